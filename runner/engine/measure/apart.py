"""Derivatives by PyTorch, one cell, one direction and one sample after another: plain autograd.

It takes what `torch.func` does not: a value that decides a branch, a function with a gradient of
its own, numbers drawn in the middle.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Value = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From w (parameters,), x and y of one cell to the loss."""


def gradient(value: Value, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(parameters,)"""
    return _slope(value, w, x, y, graph=False)[1].detach()


def products(value: Value, w: Tensor, directions: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The Hessian times each direction, (directions, parameters)."""
    own, slope = _slope(value, w, x, y, graph=True)
    if not slope.requires_grad:  # it is linear
        return torch.zeros_like(directions)
    made = []
    for direction in directions:
        [found] = torch.autograd.grad(slope, own, direction, retain_graph=True, allow_unused=True)
        made.append(torch.zeros_like(own) if found is None else found.detach())
    return torch.stack(made)


def noise(value: Value, w: Tensor, x: Tensor, y: Tensor) -> float:
    """The trace of the covariance of one sample's gradient."""
    squares, total = 0.0, np.zeros(w.numel())
    for n in range(len(x)):
        slope: Any = gradient(value, w, x[n : n + 1], y[n : n + 1]).double().cpu().numpy()
        squares, total = squares + float(slope @ slope), total + slope
    mean = total / len(x)
    return squares / len(x) - float(mean @ mean)


def _slope(value: Value, w: Tensor, x: Tensor, y: Tensor, *, graph: bool) -> tuple[Tensor, Tensor]:
    own = w.detach().clone().requires_grad_()
    [slope] = torch.autograd.grad(value(own, x, y), own, create_graph=graph)
    return own, slope
