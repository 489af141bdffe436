"""What the loops with `torch.optim` share: evaluating again on demand, and copying out."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer


def closure_for(optimizer: Optimizer, evaluate: Callable[[], Tensor]) -> list[Any]:
    """What to call `optimizer.step` with: `evaluate` where it demands one (LBFGS), else nothing."""
    parameters = inspect.signature(optimizer.step).parameters.values()
    return [evaluate for p in parameters if p.name == "closure" and p.default is p.empty]


def flat(tensors: Iterable[Tensor]) -> NDArray[np.floating[Any]]:
    """A copy of the tensors' values, one after another, as one NumPy vector."""
    return np.concatenate([tensor.detach().cpu().numpy() for tensor in tensors], axis=None)


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradient of each parameter, 0 for one that the loss does not reach."""
    return [torch.zeros_like(p) if (g := p.grad) is None else g for p in parameters]
