"""Datasets that are drawn: each from its `seed` alone, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.dataset.numbers import numbers
from runner.errors import BadValue

Classes = NDArray[np.int64]


def points(*, x: list[Any], y: list[Any]) -> tuple[list[Any], list[Any]]:
    """The points as the config lists them."""
    return x, y


def chebyshev(*, degree: int, samples: int) -> tuple[Array, Array]:
    """So many even points of [-1, 1], and on them the Chebyshev polynomial T of that degree."""
    if degree < 0:
        raise BadValue("degree", expected="0 or more", got=degree)
    if samples < 1:
        raise BadValue("samples", expected="1 or more", got=samples)
    x = np.linspace(-1, 1, samples)
    return x, np.polynomial.Chebyshev.basis(degree)(x)


def linear(
    *,
    coefficients: list[float],
    intercept: float,
    samples: int,
    low: float,
    high: float,
    noise: float,
    seed: int,
) -> tuple[Array, Array]:
    """Samples of y = x . coefficients + intercept + noise.

    x is uniform on [low, high], noise normal with that standard deviation; x is drawn first.
    """
    slopes = _list(coefficients, "coefficients")
    _require(samples=samples, low=low, high=high, noise=noise, seed=seed)
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, (samples, len(slopes)))
    with np.errstate(over="ignore", invalid="ignore"):  # y is looked at as any dataset's is
        return x, x @ slopes + intercept + rng.normal(0, noise, samples)


def polynomial(
    *, coefficients: list[float], samples: int, low: float, high: float, noise: float, seed: int
) -> tuple[Array, Array]:
    """Samples of y = c.0 + c.1 x + c.2 x^2 + ... + noise, drawn as those of `linear` are."""
    own = _list(coefficients, "coefficients")
    _require(samples=samples, low=low, high=high, noise=noise, seed=seed)
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, samples)
    with np.errstate(over="ignore", invalid="ignore"):
        return x, np.polynomial.polynomial.polyval(x, own) + rng.normal(0, noise, samples)


def least_squares(
    *, condition: float, features: int, samples: int, noise: float, seed: int
) -> tuple[Array, Array]:
    """Samples of y = x . w + noise whose mean square x^T x / samples has that condition number.

    Its eigenvalues run from 1 down to 1 / condition, evenly on a logarithmic scale; of every x the
    mean is 0, and w is drawn from the normal distribution. So the mse without a bias has a Hessian
    of that condition number, its largest eigenvalue 2.
    """
    _require(samples=samples, noise=noise, seed=seed)
    if features < 2 or samples <= features:
        raise BadValue(
            "features and samples",
            f"expected 2 features or more, and more samples than features, "
            f"got {features} and {samples}",
        )
    if not 1 <= condition < 1 / np.finfo(np.float64).eps:
        raise BadValue("condition", expected="a number from 1 to below 4.5e15", got=condition)
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(samples, features))
    left, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
    right, _ = np.linalg.qr(rng.normal(size=(features, features)))
    singular = np.sqrt(samples * np.geomspace(1, 1 / condition, features))
    x = (left * singular) @ right.T
    return x, x @ rng.normal(size=features) + rng.normal(0, noise, samples)


def blobs(
    *, clouds: int, features: int, samples: int, spread: float, seed: int
) -> tuple[Array, Classes]:
    """Clouds of normal samples around centres that are uniform on [-5, 5]; each is a class.

    `spread` is their standard deviation; the classes come in turn.
    """
    _require(samples=samples, spread=spread, seed=seed)
    if clouds < 2 or clouds > samples or features < 1:
        raise BadValue(
            "clouds and features",
            "expected 2 clouds or more, a sample for each, and a feature, "
            f"got {clouds} clouds, {samples} samples and {features} features",
        )
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-5, 5, (clouds, features))
    y = np.arange(samples) % clouds
    return centres[y] + rng.normal(0, spread, (samples, features)), y


def moons(*, samples: int, noise: float, seed: int) -> tuple[Array, Classes]:
    """Two half circles that reach into each other, the classes 0 and 1 in turn."""
    _require(samples=samples, noise=noise, seed=seed)
    if samples < 2:
        raise BadValue("samples", expected="2 or more, one for each class", got=samples)
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    angle = rng.uniform(0, np.pi, samples)
    turn = 1 - 2 * y  # the second is upside down
    x = np.stack([y + turn * np.cos(angle), y / 2 + turn * np.sin(angle)], axis=1)
    return x + rng.normal(0, noise, x.shape), y


def separable(*, margin: float, features: int, samples: int, seed: int) -> tuple[Array, Classes]:
    """Two normal clouds on both sides of a plane through 0, no sample nearer to it than `margin`.

    The classes 0 and 1 come in turn. The plane's normal is drawn first.
    """
    _require(samples=samples, margin=margin, seed=seed)
    if samples < 2 or features < 1:
        raise BadValue(
            "samples and features",
            "expected 2 samples or more, one for each class, and a feature, "
            f"got {samples} and {features}",
        )
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=features)
    normal /= np.linalg.norm(normal)
    y = np.arange(samples) % 2
    x = rng.normal(size=(samples, features))
    along = np.abs(x @ normal) + margin
    return x + np.outer((2 * y - 1) * along - x @ normal, normal), y


def _list(given: Any, name: str) -> Array:
    own = numbers(given, name)
    if own.ndim != 1 or not len(own) or not np.isfinite(own).all():
        raise BadValue(name, expected="a list of finite numbers", got=given)
    return own


def _require(
    *,
    samples: int,
    seed: int,
    low: float | None = None,
    high: float | None = None,
    **not_negative: float,
) -> None:
    """Refuse what nothing can be drawn with."""
    if samples < 1:
        raise BadValue("samples", expected="1 or more", got=samples)
    if low is not None and high is not None and not low < high:
        raise BadValue("low and high", f"expected low below high, got {low} and {high}")
    for name, value in (*not_negative.items(), ("seed", seed)):
        if not value >= 0:
            raise BadValue(name, expected="0 or a number above it", got=value)
