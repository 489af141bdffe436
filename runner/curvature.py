"""Second derivatives of the losses by hand: how a slope changes with the prediction.

Each function takes what the loss of the same name in `runner.loss` takes, and returns

    change = curvature(prediction, y)(direction)

the derivative of that loss's slope with respect to the prediction, along a direction of the
prediction's shape. Where a slope has a kink, the side is taken that the slope is of.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.rows import dots

Array = NDArray[np.floating[Any]]
Curvature = Callable[[Array, Array], Callable[[Array], Array]]


def mse(*, gradient_reduction: str = "mean") -> Curvature:
    """2 for each sample."""
    return lambda prediction, y: lambda change: 2 / _count(y, gradient_reduction) * change


def mae(*, gradient_reduction: str = "mean") -> Curvature:
    """0."""
    return lambda prediction, y: np.zeros_like


def huber(*, delta: float = 1.0, gradient_reduction: str = "mean") -> Curvature:
    """1 for each sample whose residual is within delta."""

    def curvature(prediction: Array, y: Array) -> Callable[[Array], Array]:
        own = (np.abs(prediction - y) <= delta) / _count(y, gradient_reduction)
        return lambda change: (own * change).astype(change.dtype)

    return curvature


def bce(*, gradient_reduction: str = "mean") -> Curvature:
    """P (1 - p), p = sigmoid(z)."""

    def curvature(logit: Array, y: Array) -> Callable[[Array], Array]:
        fading = np.exp(-np.abs(logit))
        own = fading / np.square(1 + fading) / _count(y, gradient_reduction)
        return lambda change: own * change

    return curvature


def cross_entropy(*, gradient_reduction: str = "mean") -> Curvature:
    """diag(p) - p p', p = softmax(z)."""

    def curvature(scores: Array, y: Array) -> Callable[[Array], Array]:
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        count = _count(y, gradient_reduction)

        def of(change: Array) -> Array:
            made: Array = shares * (change - dots(shares, change)[..., None]) / count
            return made

        return of

    return curvature


def over_outputs(curvature: Curvature) -> Curvature:
    """Of predictions with an axis of outputs at the end: see `runner.loss.over_outputs`."""

    def flat(prediction: Array, y: Array) -> Callable[[Array], Array]:
        of = curvature(_flat(prediction), _flat(y))
        return lambda change: of(_flat(change)).reshape(change.shape)

    return flat


def _flat(values: Array) -> Array:
    return values.reshape(*values.shape[:-2], -1)


def _count(y: Array, gradient_reduction: str) -> int:
    return 1 if gradient_reduction == "sum" else y.shape[-1]


BY_HAND: dict[str, Callable[..., Curvature]] = {
    "torch.nn.MSELoss": mse,
    "torch.nn.L1Loss": mae,
    "torch.nn.HuberLoss": huber,
    "torch.nn.BCEWithLogitsLoss": bce,
    "torch.nn.CrossEntropyLoss": cross_entropy,
}
"""For each class of `torch.nn` that has a loss by hand."""
