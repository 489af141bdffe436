"""Clipping by hand: gradients made smaller before an update, as `torch.nn.utils` does it.

A gradient is (..., parameters), an array of NumPy's or PyTorch's; each row is clipped by itself, so
that a stack's cells are. A limit is a number, or one for each cell of a stack.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from runner.base.percell import PerCell
from runner.optimizer import Update, scaling

Clip = Callable[[Any], Any]

EPS = 1e-6
"""As PyTorch has it, so that a norm of 0 does not divide."""


def by_norm(most: Any) -> Clip:
    """Shortened to a Euclidean norm of at most that: `torch.nn.utils.clip_grad_norm_`."""

    def clip(gradient: Any) -> Any:
        if isinstance(gradient, np.ndarray):
            norm = np.sqrt((gradient * gradient).sum(-1, keepdims=True))
        else:
            norm = gradient.norm(dim=-1, keepdim=True)
        return gradient * (most / (norm + EPS)).clip(max=1.0)

    return clip


def by_value(most: Any) -> Clip:
    """Each number to between minus that and that: `torch.nn.utils.clip_grad_value_`."""

    def clip(gradient: Any) -> Any:
        own = most.like(gradient) if isinstance(most, PerCell) else most
        return gradient.clip(-own, own)

    return clip


def clipped(update: Update, clip: Clip | None) -> Update:
    """The update rule, given clipped gradients."""
    if clip is None:
        return update

    def after(w: Any, gradient: Any, state: Any, *lr: Any) -> tuple[Any, Any]:
        return update(w, clip(gradient), state, *lr)

    return scaling(after, getattr(update, "scale", None))
