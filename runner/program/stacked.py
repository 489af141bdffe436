"""NumPy over a stack of cells: gradient and update by hand, with a leading cell axis."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.loss import Loss
from runner.model import ByHand
from runner.optimizer import Update
from runner.program.percell import of_cells
from runner.program.step import Step

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int64]
Rule = Callable[[Index], Update]
"""The update rule for the cells at these indices in the stack."""


class Program:
    """Fits y in each cell: w (cells, parameters).

    x is as the model designs it and y as in a lone run in a batch that all cells share; with an
    axis of cells before these, each has its own.
    """

    def __init__(self, w: Array, model: ByHand, loss: Loss, rule: Rule) -> None:
        self.w, self.model, self.loss, self.rule = w, model, loss, rule
        self.memory: Any = None
        self.indices: Index = np.arange(len(w))
        self.update = rule(self.indices)

    def advance(self, batch: tuple[Array, Array], *lr: Any) -> Step:
        x, y = batch
        prediction = self._predict(x)
        value, slope = self.loss(prediction, y)
        if self.model.outputs > 1:
            gradient = self.model.gradient(x, slope)
        else:
            gradient = slope @ x if x.ndim == 2 else (slope[:, None, :] @ x)[:, 0, :]
        self.w, self.memory = self.update(self.w, gradient, self.memory, *map(of_cells, lr))
        return Step(value, self.w, gradient, prediction)

    def evaluate(self, batch: tuple[Array, Array]) -> tuple[Array, Array]:
        """The loss of a batch, (cells,), and what is predicted of it."""
        x, y = batch
        prediction = self._predict(x)
        return self.loss(prediction, y)[0], prediction

    def _predict(self, x: Array) -> Array:
        if self.model.outputs > 1:
            made: Array = self.model.predict(x, self.w)
            return made
        return self.w @ x.T if x.ndim == 2 else (x @ self.w[:, :, None])[:, :, 0]

    def keep(self, cells: Index) -> None:
        """Go on with those at these indices among the present cells alone."""
        self.w, self.memory = self.w[cells], cut(self.memory, cells)
        self.indices = self.indices[cells]
        self.update = self.rule(self.indices)

    def state(self) -> dict[str, Any]:
        return {"w": self.w, "memory": self.memory, "indices": self.indices}

    def restore(self, state: dict[str, Any]) -> None:
        self.w, self.memory, self.indices = state["w"], state["memory"], state["indices"]
        self.update = self.rule(self.indices)


def cut(memory: Any, cells: Any) -> Any:
    """What a rule keeps, for these cells alone: nested tuples of arrays (cells, ...), numbers."""
    if isinstance(memory, tuple):
        return tuple(cut(part, cells) for part in memory)
    return memory[cells] if hasattr(memory, "shape") else memory
