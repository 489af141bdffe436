"""NumPy: gradient and update by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.loop.step import Step
from runner.loss import Loss
from runner.optimizer import Update

Array = NDArray[np.floating[Any]]


def steps(x: Array, y: Array, w: Array, loss: Loss, update: Update) -> Iterator[Step]:
    """Fit y = x @ w for x of shape (samples, parameters), y (samples,), w (parameters,)."""
    state = None
    while True:
        prediction = x @ w
        value, slope = loss(prediction, y)
        gradient = slope @ x
        w, state = update(w, gradient, state)
        yield Step(float(value), w, gradient)
