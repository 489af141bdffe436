"""PyTorch over a stack of cells: gradient by autograd, update by hand, a leading cell axis."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.base.arrays import Array, Index, State
from runner.base.percell import of_cells
from runner.base.rows import computed
from runner.engine.program import randomness
from runner.engine.program.stacked import Rule, cut
from runner.engine.program.step import Step
from runner.optimizer import scale_of

Forward = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From w (cells, parameters), x (cells, samples, features) and y (cells, samples, ...) to the loss,
(cells,), and the prediction, (cells, samples, ...)."""

Evaluate = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""The same with the gradient, (cells, parameters), before it."""


class StackedPyTorchProgram:
    """Fits y in each cell: w (cells, parameters).

    Neither the number of cells nor a cell's position among them changes a bit of what it gives:
    cells are added until no kernel has a remainder, and each has matrix products of its own.
    """

    def __init__(self, w: Tensor, forward: Forward, evaluate: Evaluate, rule: Rule) -> None:
        self.w, self._forward, self._evaluate, self.rule = w, forward, evaluate, rule
        self.memory: Any = None
        self.indices: Index = np.arange(len(w))
        self.update = rule(self.indices)
        self._last: tuple[Any, Any] = (None, None)

    def advance(self, batch: tuple[Tensor, Tensor], *lr: Any) -> Step:
        cells = len(self.w)
        gradient, value, prediction = (p[:cells] for p in self._evaluate(*self._filled(batch)))
        with torch.no_grad():
            self.w, self.memory = self.update(self.w, gradient, self.memory, *map(of_cells, lr))
        # The arrays are never modified in place, so the step may share them.
        loss, w, slope = (part.detach().cpu().numpy() for part in (value, self.w, gradient))
        return Step(loss, w, slope, prediction.detach())

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> tuple[Array, Tensor]:
        """The loss of a batch, (cells,), and what is predicted of it."""
        cells = len(self.w)
        with torch.no_grad():
            value, prediction = self._forward(*self._filled(batch))
        return value[:cells].cpu().numpy(), prediction[:cells]

    def _filled(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return w, x and y for as many cells as are computed; the last ones repeat the first."""
        x, y = batch
        cells = computed(len(self.w), x.shape[-2])
        w = _lengthened(self.w, cells)
        if x.ndim == 2:
            return w, x.expand(cells, *x.shape), y.expand(cells, *y.shape)
        if self._last[0] is not x:  # all samples at once are the same tensors at each step
            self._last = x, (_lengthened(x, cells), _lengthened(y, cells))
        return w, *self._last[1]

    def keep(self, cells: Index) -> None:
        """Go on with those at these indices among the present cells alone."""
        there = torch.from_numpy(cells).to(self.w.device)
        self.w, self.memory = self.w[there], cut(self.memory, there)
        self.indices = self.indices[cells]
        self.update = self.rule(self.indices)

    def scale(self) -> Array | None:
        """(cells, parameters): what the last step was divided by, if by anything."""
        found = scale_of(self.update, self.memory, self.w)
        return None if found is None else found.detach().cpu().numpy()

    def state(self) -> State:
        own = {"w": self.w, "memory": self.memory, "indices": self.indices}
        return {**own, "random": randomness.state()}

    def restore(self, state: State) -> None:
        self.w, self.memory, self.indices = state["w"], state["memory"], state["indices"]
        self.update = self.rule(self.indices)
        randomness.restore(state["random"])


def _lengthened(rows: Tensor, count: int) -> Tensor:
    """Return `count` rows: these, followed by copies of the first one."""
    if count == len(rows):
        return rows
    return torch.cat([rows, rows[:1].expand(count - len(rows), *rows.shape[1:])])


def differentiated(forward: Forward) -> Evaluate:
    """The same with its gradient."""

    def evaluate(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w = w.detach().requires_grad_()
        value, prediction = forward(w, x, y)
        [gradient] = torch.autograd.grad(value.sum(), w)  # no cell's loss depends on another's w
        return gradient, value, prediction

    return evaluate


def linear(losses: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    """For predictions x @ w, with a column of x for each parameter, and a loss of each sample."""

    def forward(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        prediction = torch.bmm(w[:, None, :], x.mT)[:, 0]
        return losses(prediction, y).mean(dim=1), prediction

    return forward


def scalar(losses: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    """For predictions x * w, x with one column, and the mean of a loss of each sample.

    Products and sums are those of the lone run, number by number: the results are, to the last bit.
    """

    def forward(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        prediction = x[..., 0] * w
        return losses(prediction, y).mean(dim=1), prediction

    return forward


def objective(predict: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    """For an objective, whose value is what is predicted of the one sample."""

    def forward(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        prediction = predict(x, w)
        return prediction[..., 0], prediction

    return forward


class Functional:
    """Any model and loss, written for one cell; `torch.func` takes seconds to import."""

    def __init__(
        self, predict: Callable[[Tensor, Tensor], Tensor], loss: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        def objective(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            prediction = predict(x, w)
            return loss(prediction, y), prediction

        self.forward: Forward = torch.func.vmap(objective)
        self._gradient = torch.func.vmap(torch.func.grad_and_value(objective, has_aux=True))

    def evaluate(self, w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradient, (value, prediction) = self._gradient(w, x, y)
        return gradient, value, prediction
