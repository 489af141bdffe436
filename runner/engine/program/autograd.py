"""PyTorch: gradient by autograd, update by hand."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from runner.base.arrays import Array, Scalars, State
from runner.engine.program import randomness
from runner.engine.program.lone import LoneProgram
from runner.engine.program.step import Step
from runner.optimizer import Update, scale_of


class AutogradProgram(LoneProgram):
    """Fits y = predict(x, w) for batches of x and y, w (parameters,).

    `predict` is that of a model by hand, for x as it is designed, or x * w for x (samples,) and one
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

    def advance(self, batch: tuple[Tensor, Tensor], *lr: Scalars) -> Step:
        x, y = batch
        w = self.w.detach().requires_grad_()
        prediction = self.predict(x, w)
        value = self.loss(prediction, y)
        value.backward()
        gradient: Any = w.grad
        with torch.no_grad():
            self.w, self.memory = self.update(w, gradient, self.memory, *lr)
        # Nothing here is changed in place, so the step may share it.
        parameters, slope = self.w.cpu().numpy(), gradient.cpu().numpy()
        return Step(value.item(), parameters, slope, prediction.detach())

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> tuple[float, Tensor]:
        """The loss of a batch, and what is predicted of it."""
        x, y = batch
        with torch.no_grad():
            prediction = self.predict(x, self.w)
            return self.loss(prediction, y).item(), prediction

    def scale(self) -> Array | None:
        """(parameters,): what the last step was divided by, if by anything."""
        found = scale_of(self.update, self.memory, self.w)
        return None if found is None else found.detach().cpu().numpy()

    def state(self) -> State:
        return {"w": self.w, "memory": self.memory, "random": randomness.state()}

    def restore(self, state: State) -> None:
        self.w, self.memory = state["w"], state["memory"]
        randomness.restore(state["random"])
