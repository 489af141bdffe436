"""Losses by hand: the value and its derivative, with the names and meaning of `torch.nn`.

Each function returns a loss

    value, slope = loss(prediction, y)

for two arrays of shape (samples,): the mean over the samples, a scalar, and its derivative
with respect to the prediction, shape (samples,), both of the arrays' dtype. For predictions of
many cells, (cells, samples), they are (cells,) and (cells, samples). Where a loss has a
kink, the slope is the one that PyTorch takes. `gradient_reduction="sum"` gives the slope of the
summed loss instead, `samples` times as steep; the value stays the mean. `cross_entropy` alone has a
score for each class: the predictions have an axis more, and y the numbers of classes, int64.

Beside each loss stands its curvature, the derivative of its slope along a direction of the
prediction's shape:

    change = curvature(prediction, y)(direction)

Where a slope has a kink, the side is taken that the slope is of. The last functions count the
samples whose class is predicted, for arrays of NumPy's or PyTorch's.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.base.rows import dots
from runner.dataset.target import IGNORED
from runner.errors import BadValue

Loss = Callable[[Array, Array], tuple[Any, Array]]
Curvature = Callable[[Array, Array], Callable[[Array], Array]]


def mse(*, gradient_reduction: str = "mean") -> Loss:
    """`torch.nn.MSELoss`: mean(r^2), with r = prediction - y."""
    summed = _is_sum(gradient_reduction)

    def loss(prediction: Array, y: Array) -> tuple[Any, Array]:
        residual = prediction - y
        samples = y.shape[-1]
        return dots(residual, residual) / samples, (2 if summed else 2 / samples) * residual

    return loss


def mse_curvature(*, gradient_reduction: str = "mean") -> Curvature:
    """The curvature of `mse`: 2 for each sample."""
    return lambda prediction, y: lambda change: 2 / _divisor(y, gradient_reduction) * change


def mae(*, gradient_reduction: str = "mean") -> Loss:
    """`torch.nn.L1Loss`: mean(|r|); slope 0 where r = 0."""
    summed = _is_sum(gradient_reduction)

    def loss(prediction: Array, y: Array) -> tuple[Any, Array]:
        residual = prediction - y
        slope = np.sign(residual)
        return np.abs(residual).mean(axis=-1), slope if summed else slope / y.shape[-1]

    return loss


def mae_curvature(*, gradient_reduction: str = "mean") -> Curvature:
    """The curvature of `mae`: 0."""
    return lambda prediction, y: np.zeros_like


def huber(*, delta: float = 1.0, gradient_reduction: str = "mean") -> Loss:
    """`torch.nn.HuberLoss`: r^2 / 2 up to |r| = delta, delta * (|r| - delta / 2) beyond."""
    summed = _is_sum(gradient_reduction)
    if not delta > 0:
        raise BadValue("delta", expected="a number above 0", got=delta)

    def loss(prediction: Array, y: Array) -> tuple[Any, Array]:
        residual = prediction - y
        slope = np.clip(residual, -delta, delta)
        value = (slope * (residual - slope / 2)).mean(axis=-1)
        return value, slope if summed else slope / y.shape[-1]

    return loss


def huber_curvature(*, delta: float = 1.0, gradient_reduction: str = "mean") -> Curvature:
    """The curvature of `huber`: 1 for each sample whose residual is within delta."""

    def curvature(prediction: Array, y: Array) -> Callable[[Array], Array]:
        own = (np.abs(prediction - y) <= delta) / _divisor(y, gradient_reduction)
        return lambda change: (own * change).astype(change.dtype)

    return curvature


def bce(*, gradient_reduction: str = "mean") -> Loss:
    """`torch.nn.BCEWithLogitsLoss`: mean(log(1 + exp(z)) - y z), for a logit z and y 0 or 1.

    Its slope is sigmoid(z) - y.
    """
    summed = _is_sum(gradient_reduction)

    def loss(logit: Array, y: Array) -> tuple[Any, Array]:
        fading = np.exp(-np.abs(logit))  # of no logit too large
        value = ((1 - y) * logit + np.maximum(-logit, 0) + np.log1p(fading)).mean(axis=-1)
        likely = np.where(logit < 0, fading, 1) / (1 + fading)
        slope = likely - y
        return value, slope if summed else slope / y.shape[-1]

    return loss


def bce_curvature(*, gradient_reduction: str = "mean") -> Curvature:
    """The curvature of `bce`: p (1 - p), with p = sigmoid(z)."""

    def curvature(logit: Array, y: Array) -> Callable[[Array], Array]:
        fading = np.exp(-np.abs(logit))
        own = fading / np.square(1 + fading) / _divisor(y, gradient_reduction)
        return lambda change: own * change

    return curvature


def cross_entropy(*, gradient_reduction: str = "mean") -> Loss:
    """`torch.nn.CrossEntropyLoss`: mean(log(sum(exp(z))) - z[y]), for a score z of each class.

    Its slope is softmax(z), less 1 for the class y.
    """
    summed = _is_sum(gradient_reduction)

    def loss(scores: Array, y: NDArray[Any]) -> tuple[Any, Array]:
        below = scores - scores.max(axis=-1, keepdims=True)
        shares = np.exp(below)
        total = shares.sum(axis=-1, keepdims=True)
        right = np.broadcast_to(y, scores.shape[:-1])[..., None]
        own = np.take_along_axis(below, right, axis=-1)
        value = (np.log(total) - own)[..., 0].mean(axis=-1)
        slope = shares / total
        np.put_along_axis(slope, right, np.take_along_axis(slope, right, axis=-1) - 1, axis=-1)
        return value, slope if summed else slope / y.shape[-1]

    return loss


def cross_entropy_curvature(*, gradient_reduction: str = "mean") -> Curvature:
    """The curvature of `cross_entropy`: diag(p) - p p', with p = softmax(z)."""

    def curvature(scores: Array, y: Array) -> Callable[[Array], Array]:
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        count = _divisor(y, gradient_reduction)

        def of(change: Array) -> Array:
            made: Array = shares * (change - dots(shares, change)[..., None]) / count
            return made

        return of

    return curvature


def over_outputs(loss: Loss) -> Loss:
    """The loss of predictions with an axis of outputs at the end: the mean over these as well."""

    def flat(prediction: Array, y: Array) -> tuple[Any, Array]:
        one = prediction.reshape(*prediction.shape[:-2], -1)
        value, slope = loss(one, y.reshape(*y.shape[:-2], -1))
        return value, slope.reshape(prediction.shape)

    return flat


def curvature_over_outputs(curvature: Curvature) -> Curvature:
    """The curvature of a loss that is taken `over_outputs`."""

    def flat(prediction: Array, y: Array) -> Callable[[Array], Array]:
        of = curvature(_flat(prediction), _flat(y))
        return lambda change: of(_flat(change)).reshape(change.shape)

    return flat


def _flat(values: Array) -> Array:
    return values.reshape(*values.shape[:-2], -1)


def _divisor(y: Array, gradient_reduction: str) -> int:
    return 1 if gradient_reduction == "sum" else y.shape[-1]


def _is_sum(gradient_reduction: str) -> bool:
    if gradient_reduction not in ("mean", "sum"):
        raise BadValue("gradient_reduction", expected="mean or sum", got=gradient_reduction)
    return gradient_reduction == "sum"


BY_HAND: dict[str, Callable[..., Loss]] = {
    "torch.nn.MSELoss": mse,
    "torch.nn.L1Loss": mae,
    "torch.nn.HuberLoss": huber,
    "torch.nn.BCEWithLogitsLoss": bce,
    "torch.nn.CrossEntropyLoss": cross_entropy,
}
"""The loss by hand for each class of `torch.nn` that has one."""

CURVATURES: dict[str, Callable[..., Curvature]] = {
    "torch.nn.MSELoss": mse_curvature,
    "torch.nn.L1Loss": mae_curvature,
    "torch.nn.HuberLoss": huber_curvature,
    "torch.nn.BCEWithLogitsLoss": bce_curvature,
    "torch.nn.CrossEntropyLoss": cross_entropy_curvature,
}
"""The curvature by hand of each loss that has one, under the same names."""


def correct_by_scores(prediction: Any, y: Any) -> Any:
    """Return how many samples have their class predicted; of a stack, (cells,).

    The prediction has a score for each class, (..., samples, classes); y holds classes, (samples,)
    or as many.
    """
    return _count(_array(prediction).argmax(axis=-1) == _array(y))


def correct_above(threshold: float, samples_axis: int) -> Any:
    """Return what counts as `correct_by_scores`: above the threshold, the second of two classes.

    `samples_axis`: 0, or 1 of a stack; an axis of size 1 may come after it.
    """

    def right(prediction: Any, y: Any) -> Any:
        prediction, y = _array(prediction), _array(y)
        shape = prediction.shape[: samples_axis + 1]
        more = prediction.ndim - len(shape)
        second = y.reshape(y.shape[: y.ndim - more]) > 0.5
        is_right = (prediction.reshape(shape) > threshold) == second
        return _count(is_right & (y.reshape(second.shape) != IGNORED))

    return right


def count_labelled(y: Any) -> Any:
    """Return how many samples of y, (samples,), have a class; of a stack, (cells,)."""
    return _count(_array(y) != IGNORED)


def _count(right: Any) -> Any:
    return np.count_nonzero(right) if right.ndim == 1 else np.count_nonzero(right, axis=-1)


def _array(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else values.numpy(force=True)
