"""Where a loss is least, and how far above that it is, where that is known."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from runner.base.arrays import Array
from runner.objective import Objective, closed_form
from runner.objective.minima import Minima


class Optimum(NamedTuple):
    """What is known, in float64."""

    solution: closed_form.LeastSquares | Minima | None
    """Where the loss is least"""
    least: float
    """The least loss there is; NaN where nobody knows it"""
    excess: Callable[[Array], Array] | None
    """From parameters, (points, parameters), by how much their loss is above that, (points,)"""


def of_least_squares(design: Array, y: Array, times: int = 1) -> Optimum:
    """Return that of mean((X w - y)^2), X (samples, parameters), `times` as large.

    The excess is not the difference of two numbers that are almost equal: (w - w*)'X'X(w - w*) / n.
    """
    solution = closed_form.least_squares(design, y)
    triangle: Array = np.asarray(np.linalg.qr(design, mode="r"))  # |R a| = |X a| for every a

    def excess(parameters: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            apart = (np.asarray(parameters, np.float64) - solution.optimum) @ triangle.T
            value: Array = np.square(apart).sum(axis=1) * (times / len(y))
        return value

    residual = design @ solution.optimum - y
    return Optimum(solution, times * float(residual @ residual) / len(y), excess)


def of_objective(objective: Objective) -> Optimum:
    """As it is published."""

    def excess(parameters: Array) -> Array:
        with np.errstate(all="ignore"):
            own: Array = objective.value(np.asarray(parameters, np.float64)) - objective.least
        return own

    minima = None if objective.minima is None else Minima(objective.minima)
    known = not math.isnan(objective.least) and objective.takes_cells
    return Optimum(minima, objective.least, excess if known else None)
