"""A hyperparameter that has another value in each cell of a stack."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PerCell:
    """(cells,) float64 values that calculate as one Python float does in a lone run.

    Among themselves and with Python's numbers they stay float64; with an array or a tensor of
    shape (cells, ...) they are first cast to its dtype, each cell's value for its own row. So the
    update rules of `runner.optimizer` take them as they are. A question (`>=`, `bool`) is answered
    for all cells at once; ValueError where they differ.
    """

    __array_ufunc__ = None  # NumPy leaves `array * PerCell` to us
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values

    def _with(self, other: Any, function: Callable[[Any, Any], Any], *, swapped: bool) -> Any:
        if isinstance(other, PerCell | int | float):
            mine, value = self.values, other.values if isinstance(other, PerCell) else other
            return PerCell(function(value, mine) if swapped else function(mine, value))
        own = self.like(other)
        return function(other, own) if swapped else function(own, other)

    def like(self, like: Any) -> Any:
        """The values in the dtype and on the device of the array, one for each of its rows."""
        mine: Any = self.values
        if isinstance(like, np.ndarray):
            mine = mine.astype(like.dtype)
        else:
            import torch

            mine = torch.from_numpy(mine).to(like.device, like.dtype)
        return mine.reshape(-1, *[1] * (like.ndim - 1))

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, arguments: Sequence[Any] = (), keywords: Any = None
    ) -> Any:
        """What PyTorch leaves to us: any of its functions of a tensor and of values like these."""
        like = next(one for one in arguments if not isinstance(one, PerCell))
        given = [one.like(like) if isinstance(one, PerCell) else one for one in arguments]
        return function(*given, **(keywords or {}))

    def _all(self, holds: NDArray[np.bool_]) -> bool:
        if holds.all() != holds.any():
            raise ValueError("the cells of a stack differ in what their update rule asks")
        return bool(holds.all())

    def __bool__(self) -> bool:
        return self._all(self.values != 0)

    def __eq__(self, other: object) -> bool:
        return self._all(np.equal(self.values, other))  # type: ignore[call-overload]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __ge__(self, other: float) -> bool:
        return bool((self.values >= other).all())

    def __gt__(self, other: float) -> bool:
        return bool((self.values > other).all())

    def __le__(self, other: float) -> bool:
        return bool((self.values <= other).all())

    def __lt__(self, other: float) -> bool:
        return bool((self.values < other).all())

    def __neg__(self) -> "PerCell":
        return PerCell(-self.values)

    def __add__(self, other: Any) -> Any:
        return self._with(other, operator.add, swapped=False)

    def __radd__(self, other: Any) -> Any:
        return self._with(other, operator.add, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, operator.sub, swapped=False)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, operator.sub, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, operator.mul, swapped=False)

    def __rmul__(self, other: Any) -> Any:
        return self._with(other, operator.mul, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._with(other, operator.truediv, swapped=False)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(other, operator.truediv, swapped=True)

    def __pow__(self, exponent: float) -> "PerCell":
        # By Python's own power: NumPy's may differ from it in the last bit.
        return PerCell(np.array([value**exponent for value in self.values.tolist()]))


def of_cells(column: NDArray[np.float64]) -> PerCell | float:
    """From (cells,): one number if all cells have the same: that is faster."""
    return float(column[0]) if (column == column[0]).all() else PerCell(column)
