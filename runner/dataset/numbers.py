"""What somebody has given, as numbers."""

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.errors import BadValue


def numbers(given: Any, name: str) -> Array:
    """As float64. Raises ValueError for text, true and false, of which NumPy would make numbers.

    So it does for missing values: NumPy would read what a mask hides.
    """
    hidden = np.count_nonzero(np.ma.getmaskarray(given)) if np.ma.isMaskedArray(given) else 0
    if hidden:
        raise BadValue(name, f"holds missing values: {hidden} are masked")
    try:
        array = np.asarray(given, None if hasattr(given, "dtype") else object)
        strange = () if array.dtype.kind in "iufb" else filter(_is_no_number, array.flat)
        for value in strange:
            raise ValueError(f"expected numbers, in lists of equal length, got {value!r}")
        return array.astype(np.float64)
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise BadValue(name, f"{error}") from error


def _is_no_number(value: Any) -> bool:
    return isinstance(value, bool) or not isinstance(value, Real | Decimal)


def is_missing(value: Any) -> bool:
    """Return whether nothing stands there: None, NaN, NaT, or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (ArithmeticError, TypeError, ValueError):  # NA has no truth, and an array has several
        return type(value).__name__ == "NAType"


def shortly(error: BaseException) -> str:
    """Return what an exception says, in one line that is not long."""
    return " ".join(str(error).split())[:300]


def finite(values: Array, name: str, dtype: str, columns: Any = None) -> Array:
    """The values in that dtype, refused if one of them is then no finite number.

    `columns` are their names, where they have some.
    """
    with np.errstate(over="ignore"):
        cast: Array = values.astype(dtype)
    if (lost := ~np.isfinite(cast)).any():
        at = np.argwhere(lost)[0].tolist()
        column = f", column {columns[at[1]] if columns else at[1] + 1}" if len(at) > 1 else ""
        raise BadValue(
            name,
            f"holds NaN, infinity or a number too large for {dtype}: "
            f"{float(values[tuple(at)])!r} in row {at[0] + 1}{column}",
        )
    return cast
