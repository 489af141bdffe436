"""What the loops with `torch.optim` share: a step by the optimizer, and copying values out."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from runner import hooked

# PyTorch wraps what its own optimizers do, for its compiler and its profiler. The compiler's
# wrappers import `torch._dynamo`, which takes as long as importing torch; the profiler's costs a
# tenth of a small step. Nothing is compiled or profiled here, so both are bypassed, unless somebody
# has hooked in there.


def stepper(
    optimizer: Optimizer, evaluate: Callable[[], Tensor], *, closure: bool
) -> Callable[[], object]:
    """`optimizer.step`, given `evaluate` if it wants a closure."""
    step: Callable[..., object] = optimizer.step
    if hooked.is_own_optimizer(optimizer) and not optimizer.defaults.get("differentiable"):
        step = torch.no_grad()(partial(hooked.unwrapped_step(optimizer), optimizer))
    return partial(step, evaluate) if closure else step


def clearer(optimizer: Optimizer, parameters: Sequence[Tensor]) -> Callable[[], None]:
    """What forgets the gradients of the step before."""

    def clear() -> None:
        for parameter in parameters:
            parameter.grad = None  # what zero_grad does, without the tenth of a step that it takes

    def clear_all() -> None:
        clear()
        optimizer.zero_grad()

    return clear if hooked.is_own_optimizer(optimizer) else clear_all


def flat(tensors: Iterable[Tensor]) -> NDArray[np.floating[Any]]:
    """A copy of the tensors' values, one after another, as one NumPy vector."""
    return np.concatenate([tensor.detach().cpu().numpy() for tensor in tensors], axis=None)


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradient of each parameter, 0 for one that the loss does not reach."""
    return [_dense(p) for p in parameters]


def _dense(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter)
    return gradient.to_dense() if gradient.layout != torch.strided else gradient
