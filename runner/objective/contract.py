"""An objective: a function of the parameters alone, with what is known of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.base.arrays import Array


@dataclass(frozen=True)
class Objective:
    """A function f of w, (parameters,); every function here takes axes before that as well.

    So the cells of a stack are one call. Only `value` has to be known.
    """

    value: Callable[[Any], Any]
    """From w (..., parameters), of NumPy's or PyTorch's, in its own dtype: (...)"""
    gradient: Callable[[Array], Array] | None = None
    """By hand, of NumPy's arrays: (..., parameters)"""
    hessian: Callable[[Array], Array] | None = None
    """By hand, of NumPy's arrays: (..., parameters, parameters)"""
    minima: Array | None = None
    """(minima, parameters), float64: where it is least"""
    least: float = math.nan
    """Its value there"""
    region: Array | None = None
    """(2, parameters), float64: the corners of what is usually drawn, and starts are drawn from"""
    start: Array | None = None
    """(parameters,), float64: where it is usually begun"""
    is_quadratic: bool = False
    """Whether its Hessian is the same everywhere."""
    takes_cells: bool = True
    """Whether its functions take axes before that of the parameters."""

    @property
    def parameters(self) -> int | None:
        """How many there are, if that is known."""
        known = self.region[0] if self.region is not None else self.start
        return None if known is None else len(known)
