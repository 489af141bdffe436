"""What the programs with `torch.optim` share: a step by the optimizer, and copying values out."""

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from runner import hooked


class Stepper:
    """An optimizer as a program uses it.

    PyTorch wraps what its own optimizers do, for its compiler and its profiler. The compiler's
    wrappers import `torch._dynamo`, which takes as long as importing torch; the profiler's costs a
    tenth of a small step. Nothing is compiled or profiled here, so both are bypassed, unless
    somebody has hooked in there.
    """

    def __init__(
        self, optimizer: Optimizer, parameters: Sequence[Tensor], *, closure: bool
    ) -> None:
        """`closure`: whether its step wants to evaluate the loss by itself."""
        self._optimizer, self._parameters, self._closure = optimizer, parameters, closure
        self._is_own = hooked.is_own_optimizer(optimizer)
        self._step: Callable[..., object] = optimizer.step
        if self._is_own and not optimizer.defaults.get("differentiable"):
            self._step = torch.no_grad()(partial(hooked.unwrapped_step(optimizer), optimizer))
        self._factor = 1.0
        self._rates = [group.get("lr") for group in optimizer.param_groups]

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for parameter in self._parameters:
            parameter.grad = None  # what zero_grad does, without the tenth of a step that it takes
        if not self._is_own:
            self._optimizer.zero_grad()

    def step(self, evaluate: Callable[[], Tensor], factor: float) -> None:
        """Update the parameters, with `factor` times the learning rate of the config."""
        if factor != self._factor:
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                if rate is not None:
                    group["lr"] = rate * factor
            self._factor = factor
        if self._closure:
            self._step(evaluate)
        else:
            self._step()

    def state(self) -> dict[str, Any]:
        return {"own": copy.deepcopy(self._optimizer.state_dict()), "factor": self._factor}

    def restore(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(copy.deepcopy(state["own"]))
        self._factor = state["factor"]


def flat(tensors: Iterable[Tensor]) -> NDArray[np.floating[Any]]:
    """A copy of the tensors' values, one after another, as one NumPy vector."""
    return np.concatenate([tensor.numpy(force=True) for tensor in tensors], axis=None)


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradient of each parameter, 0 for one that the loss does not reach."""
    return [_dense(p) for p in parameters]


def _dense(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter)
    return gradient.to_dense() if gradient.layout != torch.strided else gradient
