"""Datasets: what is fitted. Any function that returns (x, y) will do; two are here.

x has the shape (samples,) or (samples, features), y has (samples,).
"""

import hashlib
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""A deviation of no more than this share of the largest number is rounding."""


class Dataset(NamedTuple):
    """Samples as a loop takes them, in the run's dtype."""

    x: Array
    """(samples, features)"""
    y: Array
    """(samples,)"""
    probe: Array | None
    """(1, features): the point to predict before and after training, scaled as x is."""
    digest: str
    """64 hexadecimal digits that tell these samples from others."""


def points(*, x: list[Any], y: list[Any]) -> tuple[list[Any], list[Any]]:
    """The points as the config lists them."""
    return x, y


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
    """Samples of y = x . coefficients + intercept + noise, float64.

    x is uniform on [low, high], noise normal with that standard deviation; both are drawn from
    `seed` alone, x first.
    """
    slopes = _numbers(coefficients, "coefficients")
    if slopes.ndim != 1 or not np.isfinite(slopes).all():
        raise ValueError(f"coefficients: expected a list of finite numbers, got {coefficients}")
    if samples < 1:
        raise ValueError(f"samples: expected 1 or more, got {samples}")
    if not low < high:
        raise ValueError(f"low and high: expected low below high, got {low} and {high}")
    if not noise >= 0:
        raise ValueError(f"noise: expected 0 or a number above it, got {noise}")
    if seed < 0:
        raise ValueError(f"seed: expected 0 or a number above it, got {seed}")
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, (samples, len(slopes)))
    with np.errstate(over="ignore", invalid="ignore"):  # y is looked at as any dataset's is
        return x, x @ slopes + intercept + rng.normal(0, noise, samples)


def prepare(x: Any, y: Any, *, dtype: str, standardize: Any, probe: Any) -> Dataset:
    """Check the samples and bring them into the shapes and the dtype of the run.

    With `standardize`, each feature (and the probe with it) is shifted and scaled to mean 0 and
    standard deviation 1 over the samples; y stays. Raises ValueError for what cannot be fitted.
    """
    if not isinstance(standardize, bool):
        raise ValueError(f"standardize: expected true or false, got {standardize!r}")
    x, y = _numbers(x, "x"), _numbers(y, "y")
    x = x[:, None] if x.ndim == 1 else x
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if x.ndim != 2 or x.size == 0 or y.shape != x.shape[:1]:
        raise ValueError(
            "x and y: expected the shapes (samples,) or (samples, features), and (samples,), "
            f"got {x.shape} and {y.shape}"
        )
    point = None if probe is None else _numbers(probe, "probe")
    if point is not None:
        if point.ndim > 1 or point.size != x.shape[1]:
            raise ValueError(f"probe: expected {x.shape[1]} number(s), one a feature, got {probe}")
        point = point.reshape(1, -1)
    if standardize:
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = x.mean(axis=0), x.std(axis=0)
        if np.isinf(deviation).any():
            raise ValueError("x: holds numbers that are too large to be standardized")
        # Of equal numbers, the mean may differ from them in the last bit, and so has a deviation.
        constant = np.flatnonzero(deviation <= ROUNDING * np.abs(x).max(axis=0))
        if constant.size:
            raise ValueError(
                f"standardize: features {constant.tolist()} are constant; set it to false"
            )
        x = (x - mean) / deviation
        point = None if point is None else (point - mean) / deviation
    x, y = _finite(x, "x", dtype), _finite(y, "y", dtype)
    point = None if point is None else _finite(point, "probe", dtype)
    return Dataset(x, y, point, _digest(x, y, point))


def _numbers(given: Any, name: str) -> Array:
    """As float64. Raises ValueError for text, true and false, of which NumPy would make numbers.

    So it does for missing values: NumPy would read what a mask hides.
    """
    hidden = np.count_nonzero(np.ma.getmaskarray(given)) if np.ma.isMaskedArray(given) else 0
    if hidden:
        raise ValueError(f"{name}: holds missing values: {hidden} are masked")
    try:
        array = np.asarray(given, None if hasattr(given, "dtype") else object)
        strange = () if array.dtype.kind in "iuf" else filter(_is_no_number, array.flat)
        for value in strange:
            raise ValueError(f"expected numbers, in lists of equal length, got {value!r}")
        return array.astype(np.float64)
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def _is_no_number(value: Any) -> bool:
    return isinstance(value, bool) or not isinstance(value, Real)


def _finite(values: Array, name: str, dtype: str) -> Array:
    """The values in that dtype, refused if one of them is then no finite number."""
    with np.errstate(over="ignore"):
        cast: Array = values.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(f"{name}: holds NaN, infinity or a number too large for {dtype}")
    return cast


def _digest(*arrays: Array | None) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
