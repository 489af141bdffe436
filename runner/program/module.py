"""PyTorch: model by `torch.nn`, gradient by autograd, update by `torch.optim`."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from runner.program import randomness
from runner.program.pytorch import Stepper, flat, gradients
from runner.program.step import Step


class Program:
    """Fits y = model(x) for batches of x (samples, features) and y of the shape that comes out.

    `optimizer` updates the model's parameters; a step lays them one after another. It is given a
    `closure` that evaluates the loss again if it wants one.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: Optimizer,
        *,
        closure: bool = False,
    ) -> None:
        self.model, self.loss = model, loss
        self.parameters = list(model.parameters())
        self.optimizer = Stepper(optimizer, self.parameters, closure=closure)

    def advance(self, batch: tuple[Tensor, Tensor], factor: float = 1.0) -> Step:
        x, y = batch

        def again() -> Tensor:
            self.optimizer.zero_grad()
            value = self.loss(self.model(x), y)
            value.backward()
            return value

        self.optimizer.zero_grad()
        prediction = self.model(x)
        value = self.loss(prediction, y)
        value.backward()
        gradient = flat(gradients(self.parameters))
        self.optimizer.step(again, factor)
        return Step(value.item(), flat(self.parameters), gradient, prediction.detach())

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> tuple[float, Tensor]:
        """The loss of a batch, and what is predicted of it, in evaluation mode."""
        x, y = batch
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            with torch.no_grad():
                prediction = self.model(x)
                return self.loss(prediction, y).item(), prediction
        finally:
            for module in training:
                module.training = True

    def state(self) -> dict[str, Any]:
        """What the model, the loss and the optimizer say is their state, and where chance stands.

        What a part keeps beside its `state_dict` is not known to anybody else.
        """
        return {
            "model": copy.deepcopy(self.model.state_dict()),
            "optimizer": self.optimizer.state(),
            "random": randomness.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.restore(state["optimizer"])
        randomness.restore(state["random"])
