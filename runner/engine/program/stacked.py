"""NumPy over a stack of cells: gradient and update by hand, with a leading cell axis.

One matrix product for all cells would round by how many cells there are: BLAS sums the last rows of
its blocks in another order. So each cell has a product of its own, the one its lone run takes, and
neither the number of cells nor a cell's position among them changes a bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from runner.base.arrays import Array, Index, State
from runner.base.percell import of_cells
from runner.base.rows import aligned
from runner.engine.program.step import Step
from runner.loss import Loss
from runner.model import ByHand
from runner.objective.minimised import Minimised
from runner.optimizer import Update, scale_of

Rule = Callable[[Index], Update]
"""The update rule for the cells at these indices in the stack."""


class StackedProgram:
    """Fits y in each cell: w (cells, parameters).

    x is as the model designs it and y as in a lone run in a batch that all cells share; with an
    axis of cells before these, each has its own.
    """

    def __init__(self, w: Array, model: ByHand | Minimised, loss: Loss, rule: Rule) -> None:
        self.w, self.model, self.loss, self.rule = w, model, loss, rule
        self.memory: Any = None
        self.indices: Index = np.arange(len(w))
        self.update = rule(self.indices)

    def advance(self, batch: tuple[Array, Array], *lr: Any) -> Step:
        x, y = batch
        prediction = predict(self.model, x, self.w)
        value, slope = self.loss(prediction, y)
        slopes = gradient(self.model, x, slope, self.w)
        self.w, self.memory = self.update(self.w, slopes, self.memory, *map(of_cells, lr))
        return Step(value, self.w, slopes, prediction)

    def evaluate(self, batch: tuple[Array, Array]) -> tuple[Array, Array]:
        """The loss of a batch, (cells,), and what is predicted of it."""
        x, y = batch
        prediction = predict(self.model, x, self.w)
        return self.loss(prediction, y)[0], prediction

    def scale(self) -> Array | None:
        """(cells, parameters): what the last step was divided by, if by anything."""
        made: Array | None = scale_of(self.update, self.memory, self.w)
        return made

    def keep(self, cells: Index) -> None:
        """Go on with those at these indices among the present cells alone."""
        self.w, self.memory = self.w[cells], cut(self.memory, cells)
        self.indices = self.indices[cells]
        self.update = self.rule(self.indices)

    def state(self) -> State:
        return {"w": self.w, "memory": self.memory, "indices": self.indices}

    def restore(self, state: State) -> None:
        self.w, self.memory, self.indices = state["w"], state["memory"], state["indices"]
        self.update = self.rule(self.indices)


def predict(model: ByHand | Minimised, x: Array, w: Array) -> Array:
    """Return each cell's predictions, (cells, samples, ...), for w (cells, parameters)."""
    if model.takes_cells:
        made: Array = model.predict(x, w)
        return made
    product: Array = x @ w[:, :, None]
    return product[:, :, 0]


def gradient(model: ByHand | Minimised, x: Array, slope: Array, w: Array) -> Array:
    """(cells, parameters): of losses whose derivative with respect to the prediction is `slope`."""
    if model.takes_cells:
        return model.gradient(x, slope, w)
    product: Array = aligned(slope)[:, None, :] @ (aligned(x) if x.ndim == 3 else x)
    return product[:, 0, :]


def cut(memory: Any, cells: Any) -> Any:
    """What a rule keeps, for these cells alone: nested tuples of arrays (cells, ...), numbers."""
    if isinstance(memory, tuple):
        return tuple(cut(part, cells) for part in memory)
    return memory[cells] if hasattr(memory, "shape") else memory
