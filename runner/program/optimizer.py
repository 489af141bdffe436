"""PyTorch: gradient by autograd, update by `torch.optim`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from runner.program import randomness
from runner.program.pytorch import Stepper, flat, gradients
from runner.program.step import Step


class Program:
    """Fits y = x * w for batches of x and y (samples,), w (1,).

    w is a leaf that requires its gradient, and the one tensor that `optimizer` updates.
    """

    def __init__(
        self,
        w: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: Optimizer,
        **how: Any,
    ) -> None:
        """`how` it takes its steps: see `runner.program.pytorch.Stepper`."""
        self.w, self.loss = w, loss
        self.optimizer = Stepper(optimizer, [w], **how)

    def advance(self, batch: tuple[Tensor, Tensor], *lr: Any) -> Step:
        x, y = batch

        def evaluate() -> tuple[Tensor, Tensor]:
            self.optimizer.zero_grad()
            prediction = x * self.w
            value = self.loss(prediction, y)
            self.optimizer.backward(value)
            return value, prediction

        value, prediction = evaluate()
        gradient = flat(gradients([self.w]))
        self.optimizer.step(value, lambda: evaluate()[0], *lr)
        after, count = flat([self.w]), self.optimizer.evaluations
        return Step(value.item(), after, gradient, prediction.detach(), count)

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> tuple[float, Tensor]:
        """The loss of a batch, and what is predicted of it."""
        x, y = batch
        with torch.no_grad(), self.optimizer.evaluating():
            prediction = x * self.w
            return self.loss(prediction, y).item(), prediction

    def state(self) -> dict[str, Any]:
        w = self.w.detach().clone()
        return {"w": w, "optimizer": self.optimizer.state(), "random": randomness.state()}

    def restore(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self.w.copy_(state["w"])
        self.optimizer.restore(state["optimizer"])
        randomness.restore(state["random"])
