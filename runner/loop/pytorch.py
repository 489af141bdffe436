"""What the loops with `torch.optim` share: a step by the optimizer, and copying values out."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

# PyTorch wraps what its own optimizers do, for its compiler and its profiler. The compiler's
# wrappers import `torch._dynamo`, which takes as long as importing torch; the profiler's costs a
# tenth of a small step. Nothing is compiled or profiled here, so both are gone round.


def build_optimizer(make: Callable[[], Optimizer]) -> Optimizer:
    """What `make` constructs, without the import of the compiler."""
    # The wrapper looks here for the function that the compiler would give it.
    function = inspect.unwrap(Optimizer.add_param_group)
    setattr(function, "__dynamo_disable", function)
    return make()


def stepper(optimizer: Optimizer, evaluate: Callable[[], Tensor]) -> Callable[[], object]:
    """`optimizer.step`, given `evaluate` where it demands a closure, as LBFGS does."""
    step: Callable[..., object] = optimizer.step
    parameters = inspect.signature(step).parameters.values()
    closure = [evaluate for p in parameters if p.name == "closure" and p.default is p.empty]
    of_pytorch = type(optimizer).__module__.startswith("torch.optim.")
    if of_pytorch and not optimizer.defaults.get("differentiable"):
        step = torch.no_grad()(partial(inspect.unwrap(type(optimizer).step), optimizer))
    return partial(step, *closure)


def flat(tensors: Iterable[Tensor]) -> NDArray[np.floating[Any]]:
    """A copy of the tensors' values, one after another, as one NumPy vector."""
    return np.concatenate([tensor.detach().cpu().numpy() for tensor in tensors], axis=None)


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradient of each parameter, 0 for one that the loss does not reach."""
    return [torch.zeros_like(p) if (g := p.grad) is None else g for p in parameters]
