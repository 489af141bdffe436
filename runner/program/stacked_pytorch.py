"""PyTorch over a stack of cells: gradient by autograd, update by hand, a leading cell axis."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.program import randomness
from runner.program.stacked import Index, Rule, cut
from runner.program.step import Step

Evaluate = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From w (cells, parameters), x and y to the gradient, (cells, parameters), and the loss, (cells,).

x and y are those of one cell that all share, or have an axis of cells before.
"""


class Program:
    """Fits y in each cell: w (cells, parameters)."""

    def __init__(self, w: Tensor, evaluate: Evaluate, rule: Rule) -> None:
        self.w, self.evaluate, self.rule = w, evaluate, rule
        self.memory: Any = None
        self.indices: Index = np.arange(len(w))
        self.update = rule(self.indices)

    def advance(self, batch: tuple[Tensor, Tensor], factor: float = 1.0) -> Step:
        x, y = batch
        gradient, value = self.evaluate(self.w, x, y)
        with torch.no_grad():
            self.w, self.memory = self.update(self.w, gradient, self.memory, factor)
        # Nothing here is changed in index, so the step may share it.
        return Step(*(part.detach().cpu().numpy() for part in (value, self.w, gradient)))

    def keep(self, cells: Index) -> None:
        """Go on with those at these indices among the present cells alone."""
        there = torch.from_numpy(cells).to(self.w.device)
        self.w, self.memory = self.w[there], cut(self.memory, there)
        self.indices = self.indices[cells]
        self.update = self.rule(self.indices)

    def state(self) -> dict[str, Any]:
        own = {"w": self.w, "memory": self.memory, "indices": self.indices}
        return {**own, "random": randomness.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.w, self.memory, self.indices = state["w"], state["memory"], state["indices"]
        self.update = self.rule(self.indices)
        randomness.restore(state["random"])


def linear(losses: Callable[[Tensor, Tensor], Tensor]) -> Evaluate:
    """For predictions x @ w, x (samples, parameters), and the mean of a loss of each sample."""

    def evaluate(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        w = w.detach().requires_grad_()
        prediction = w @ x.T if x.ndim == 2 else (x @ w[:, :, None])[:, :, 0]
        value = losses(prediction, y.expand_as(prediction)).mean(dim=1)
        [gradient] = torch.autograd.grad(value.sum(), w)  # no cell's loss depends on another's w
        return gradient, value

    return evaluate


def scalar(losses: Callable[[Tensor, Tensor], Tensor]) -> Evaluate:
    """For predictions x * w, x (samples, 1), and the mean of a loss of each sample.

    Products and sums are those of the lone run, number by number: the results are, to the last bit.
    """

    def evaluate(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        w = w.detach().requires_grad_()
        prediction = x[..., 0] * w
        value = losses(prediction, y.expand_as(prediction)).mean(dim=1)
        [gradient] = torch.autograd.grad(value.sum(), w)  # no cell's loss depends on another's w
        return gradient, value

    return evaluate


def functional(
    predict: Callable[[Tensor, Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    shared: bool,
) -> Evaluate:
    """For any model and loss, written for one cell; `torch.func` takes seconds to import."""

    def objective(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return loss(predict(x, w), y)

    data = None if shared else 0
    return torch.func.vmap(torch.func.grad_and_value(objective), in_dims=(0, data, data))
