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
        mine: Any = self.values
        if isinstance(other, PerCell | int | float):
            value = other.values if isinstance(other, PerCell) else other
            return PerCell(function(value, mine) if swapped else function(mine, value))
        if isinstance(other, np.ndarray):
            mine = mine.astype(other.dtype)
        else:
            import torch

            mine = torch.from_numpy(mine).to(other.device, other.dtype)
        mine = mine.reshape(-1, *[1] * (other.ndim - 1))
        return function(other, mine) if swapped else function(mine, other)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, arguments: Sequence[Any] = (), keywords: Any = None
    ) -> Any:
        """`tensor * PerCell`, which PyTorch leaves to us."""
        tensor, own = arguments
        return own._with(tensor, _OF_TENSORS[function.__name__.strip("_")], swapped=True)

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

    def __pow__(self, other: Any) -> Any:
        return self._with(other, operator.pow, swapped=False)


_OF_TENSORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "true_divide": operator.truediv,
    "truediv": operator.truediv,
}
