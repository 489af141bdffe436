"""PyTorch: model by `torch.nn`, gradient by autograd, update by `torch.optim`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from runner.base.arrays import Array, Scalars, State
from runner.engine.program import randomness
from runner.engine.program.lone import LoneProgram
from runner.engine.program.pytorch import Stepper, cloned, flat, gradients
from runner.engine.program.step import Step


class ModuleProgram(LoneProgram):
    """Fits y = model(x) for batches of x (samples, features) and y of the shape that comes out.

    `optimizer` updates the model's parameters; a step lays them one after another.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: Optimizer,
        **how: Any,
    ) -> None:
        """`how` it takes its steps: see `runner.engine.program.pytorch.Stepper`."""
        self.model, self.loss = model, loss
        self.parameters = list(model.parameters())
        self.optimizer = Stepper(optimizer, self.parameters, **how)

    def advance(self, batch: tuple[Tensor, Tensor], *lr: Scalars) -> Step:
        x, y = batch

        def evaluate() -> tuple[Tensor, Tensor]:
            self.optimizer.zero_grad()
            prediction = self.model(x)
            value = self.loss(prediction, y)
            self.optimizer.backward(value)
            return value, prediction

        value, prediction = evaluate()
        gradient = flat(gradients(self.parameters))
        self.optimizer.step(value, lambda: evaluate()[0], *lr)
        after, count = flat(self.parameters), self.optimizer.evaluations
        return Step(value.item(), after, gradient, prediction.detach(), count)

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> tuple[float, Tensor]:
        """The loss of a batch, and what is predicted of it, in evaluation mode."""
        x, y = batch
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            with torch.no_grad(), self.optimizer.evaluating():
                prediction = self.model(x)
                return self.loss(prediction, y).item(), prediction
        finally:
            for module in training:
                module.training = True

    def scale(self) -> Array | None:
        """(parameters,): what the last step was divided by, if by anything."""
        return self.optimizer.scale()

    def state(self) -> State:
        """What the model, the loss and the optimizer say is their state, and where chance stands.

        What a part keeps beside its `state_dict` is not known to anybody else.
        """
        return {
            "model": cloned(self.model.state_dict()),
            "optimizer": self.optimizer.state(),
            "random": randomness.state(),
        }

    def restore(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.restore(state["optimizer"])
        randomness.restore(state["random"])
