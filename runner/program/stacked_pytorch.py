"""PyTorch over a stack of cells: gradient by autograd, update by hand, a leading cell axis."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.optimizer import scale_of
from runner.program import randomness
from runner.program.percell import of_cells
from runner.program.stacked import Index, Rule, cut
from runner.program.step import Step

Forward = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From w (cells, parameters), x and y to the loss, (cells,), and the prediction, (cells, ...).

x and y are those of one cell that all share, or have an axis of cells before.
"""

Evaluate = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""The same, and before it the gradient, (cells, parameters)."""


class Program:
    """Fits y in each cell: w (cells, parameters)."""

    def __init__(self, w: Tensor, forward: Forward, evaluate: Evaluate, rule: Rule) -> None:
        self.w, self._forward, self._evaluate, self.rule = w, forward, evaluate, rule
        self.memory: Any = None
        self.indices: Index = np.arange(len(w))
        self.update = rule(self.indices)

    def advance(self, batch: tuple[Tensor, Tensor], *lr: Any) -> Step:
        x, y = batch
        gradient, value, prediction = self._evaluate(self.w, x, y)
        with torch.no_grad():
            self.w, self.memory = self.update(self.w, gradient, self.memory, *map(of_cells, lr))
        # Nothing here is changed in index, so the step may share it.
        loss, w, slope = (part.detach().cpu().numpy() for part in (value, self.w, gradient))
        return Step(loss, w, slope, prediction.detach())

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> tuple[Any, Tensor]:
        """The loss of a batch, (cells,), and what is predicted of it."""
        with torch.no_grad():
            value, prediction = self._forward(self.w, *batch)
        return value.cpu().numpy(), prediction

    def keep(self, cells: Index) -> None:
        """Go on with those at these indices among the present cells alone."""
        there = torch.from_numpy(cells).to(self.w.device)
        self.w, self.memory = self.w[there], cut(self.memory, there)
        self.indices = self.indices[cells]
        self.update = self.rule(self.indices)

    def scale(self) -> Any:
        """(cells, parameters): what the last step was divided by, if by anything."""
        found = scale_of(self.update, self.memory, self.w)
        return None if found is None else found.detach().cpu().numpy()

    def state(self) -> dict[str, Any]:
        own = {"w": self.w, "memory": self.memory, "indices": self.indices}
        return {**own, "random": randomness.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.w, self.memory, self.indices = state["w"], state["memory"], state["indices"]
        self.update = self.rule(self.indices)
        randomness.restore(state["random"])


def differentiated(forward: Forward) -> Evaluate:
    """The same with its gradient."""

    def evaluate(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w = w.detach().requires_grad_()
        value, prediction = forward(w, x, y)
        [gradient] = torch.autograd.grad(value.sum(), w)  # no cell's loss depends on another's w
        return gradient, value, prediction

    return evaluate


def linear(losses: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    """For predictions x @ w, x (samples, parameters), and the mean of a loss of each sample."""

    def forward(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        prediction = w @ x.T if x.ndim == 2 else (x @ w[:, :, None])[:, :, 0]
        return losses(prediction, y.expand_as(prediction)).mean(dim=1), prediction

    return forward


def scalar(losses: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    """For predictions x * w, x (samples, 1), and the mean of a loss of each sample.

    Products and sums are those of the lone run, number by number: the results are, to the last bit.
    """

    def forward(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        prediction = x[..., 0] * w
        return losses(prediction, y.expand_as(prediction)).mean(dim=1), prediction

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

        gradient = torch.func.grad_and_value(objective, has_aux=True)
        self._forward = {axis: _over_cells(objective, axis) for axis in (None, 0)}
        self._gradient = {axis: _over_cells(gradient, axis) for axis in (None, 0)}

    def forward(self, w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        value, prediction = self._forward[_axis(x)](w, x, y)
        return value, prediction

    def evaluate(self, w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradient, (value, prediction) = self._gradient[_axis(x)](w, x, y)
        return gradient, value, prediction


def _over_cells(function: Callable[..., Any], data: int | None) -> Callable[..., Any]:
    return torch.func.vmap(function, in_dims=(0, data, data))


def _axis(x: Tensor) -> int | None:
    """Of the cells in x, (samples, features) if all share it."""
    return None if x.ndim == 2 else 0
