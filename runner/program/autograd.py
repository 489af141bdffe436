"""PyTorch: gradient by autograd, update by hand."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from runner.optimizer import Update
from runner.program import randomness
from runner.program.step import Step


class Program:
    """Fits y = predict(x, w) for batches of x and y (samples,), w (parameters,).

    `predict` is x @ w for x of shape (samples, parameters), or x * w for x (samples,) and one
    parameter.
    """

    def __init__(
        self,
        w: Tensor,
        predict: Callable[[Tensor, Tensor], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor],
        update: Update,
    ) -> None:
        self.w, self.predict, self.loss, self.update = w, predict, loss, update
        self.memory: Any = None

    def advance(self, batch: tuple[Tensor, Tensor], factor: float = 1.0) -> Step:
        x, y = batch
        w = self.w.detach().requires_grad_()
        prediction = self.predict(x, w)
        value = self.loss(prediction, y)
        value.backward()
        gradient: Any = w.grad
        with torch.no_grad():
            self.w, self.memory = self.update(w, gradient, self.memory, factor)
        # Nothing here is changed in place, so the step may share it.
        return Step(value.item(), self.w.cpu().numpy(), gradient.cpu().numpy())

    def state(self) -> dict[str, Any]:
        return {"w": self.w, "memory": self.memory, "random": randomness.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.w, self.memory = state["w"], state["memory"]
        randomness.restore(state["random"])
