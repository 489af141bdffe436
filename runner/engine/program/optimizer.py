"""PyTorch: gradient by autograd, update by `torch.optim`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from runner.base.arrays import Array, Scalars, State
from runner.engine.program import randomness
from runner.engine.program.lone import LoneProgram
from runner.engine.program.pytorch import Stepper, flat, gradients
from runner.engine.program.step import Step


class OptimizerProgram(LoneProgram):
    """Fits y = predict(x, w) for batches of x and y, w (parameters,).

    w is a leaf that requires its gradient, and the one tensor that `optimizer` updates. `predict`
    is x * w for x (samples,) and one parameter, or that of an objective.
    """

    def __init__(
        self,
        w: Tensor,
        predict: Callable[[Tensor, Tensor], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: Optimizer,
        **how: Any,
    ) -> None:
        """`how` it takes its steps: see `runner.engine.program.pytorch.Stepper`."""
        self.w, self.predict, self.loss = w, predict, loss
        self.optimizer = Stepper(optimizer, [w], **how)

    def advance(self, batch: tuple[Tensor, Tensor], *lr: Scalars) -> Step:
        x, y = batch

        def evaluate() -> tuple[Tensor, Tensor]:
            self.optimizer.zero_grad()
            prediction = self.predict(x, self.w)
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
            prediction = self.predict(x, self.w)
            return self.loss(prediction, y).item(), prediction

    def scale(self) -> Array | None:
        """(parameters,): what the last step was divided by, if by anything."""
        return self.optimizer.scale()

    def state(self) -> State:
        w = self.w.detach().clone()
        return {"w": w, "optimizer": self.optimizer.state(), "random": randomness.state()}

    def restore(self, state: State) -> None:
        with torch.no_grad():
            self.w.copy_(state["w"])
        self.optimizer.restore(state["optimizer"])
        randomness.restore(state["random"])
