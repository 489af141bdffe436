"""What a program gives for each update, of one run or of every cell of a stack; is it finite?"""

import math
from typing import NamedTuple

import numpy as np

from runner.base.arrays import AnyArray, Array, Scalars, Truths


class Step(NamedTuple):
    """One update: the loss and its gradient before it, the parameters after it.

    The arrays are the step's own, in the run's dtype: later updates leave them as they are. A
    stack's step has an axis of cells before the others.
    """

    loss: Scalars
    """A float; of a stack (cells,)"""
    parameters: Array
    """(parameters,), or (cells, parameters)"""
    gradient: Array
    """As the parameters"""
    prediction: AnyArray = None
    """Of the batch, before the update: an array of the program's, apart from its gradients"""
    evaluations: int = 0
    """Of the gradient so far, where the optimizer asks for several in a step; else 0"""


def is_finite(step: Step) -> Truths:
    """Whether the loss and every parameter are finite numbers; of a stack (cells,)."""
    parameters = step.parameters
    if parameters.ndim > 1:
        return np.isfinite(step.loss) & np.isfinite(parameters).all(axis=1)
    # One dot product meets every NaN and infinity, cheaply. It can overflow by itself, though,
    # so a bad sign is looked at again.
    return math.isfinite(step.loss) and (
        math.isfinite(parameters.dot(parameters)) or bool(np.isfinite(parameters).all())
    )
