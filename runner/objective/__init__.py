"""Objectives: functions of the parameters alone, minimised without data; those of our own.

Any function that returns an `Objective` will do.
"""

from runner.objective.contract import Objective
from runner.objective.functions import (
    ackley,
    beale,
    himmelblau,
    rastrigin,
    rosenbrock,
    saddle,
    styblinski_tang,
)
from runner.objective.quadratic_form import quadratic

__all__ = [
    "Objective",
    "ackley",
    "beale",
    "himmelblau",
    "quadratic",
    "rastrigin",
    "rosenbrock",
    "saddle",
    "styblinski_tang",
]
