"""What every loop yields, once for each update."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Step(NamedTuple):
    """One update: the loss and its gradient before it, the parameters after it.

    The arrays are the step's own, in the run's dtype: later updates leave them as they are.
    """

    loss: float
    parameters: NDArray[np.floating[Any]]
    """(parameters,)"""
    gradient: NDArray[np.floating[Any]]
    """(parameters,)"""


def is_finite(step: Step) -> bool:
    """Whether the loss and every parameter are finite numbers."""
    # One dot product meets every NaN and infinity, cheaply. It can overflow by itself, though,
    # so a bad sign is looked at again.
    parameters = step.parameters
    return math.isfinite(step.loss) and (
        math.isfinite(parameters.dot(parameters)) or bool(np.isfinite(parameters).all())
    )
