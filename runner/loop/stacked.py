"""NumPy over a stack of cells: gradient and update by hand, with a leading cell axis."""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.loss import Loss
from runner.optimizer import Update

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int64]
Rule = Callable[[Index | None], Update]
"""The update rule of all cells, or for those at these places among them."""


class StackedStep(NamedTuple):
    """One update of every cell; see `runner.loop.step.Step`. The arrays are the step's own."""

    loss: Array
    """(cells,)"""
    parameters: Array
    """(cells, parameters)"""
    gradient: Array
    """(cells, parameters)"""


Steps = Generator[StackedStep, Index | None, None]
"""Steps of all cells; sent places among the present cells, it goes on with those alone."""


def steps(x: Array, y: Array, w: Array, loss: Loss, rule: Rule) -> Steps:
    """Fit y = x @ w in each cell: w (cells, parameters).

    x is (samples, parameters) and y (samples,) for data that all cells share; with an axis of
    cells before these, each has its own.
    """
    state, update = None, rule(None)
    places = np.arange(len(w))
    while True:
        prediction = w @ x.T if x.ndim == 2 else (x @ w[:, :, None])[:, :, 0]
        value, slope = loss(prediction, y)
        gradient = slope @ x if x.ndim == 2 else (slope[:, None, :] @ x)[:, 0, :]
        w, state = update(w, gradient, state)
        kept = yield StackedStep(value, w, gradient)
        if kept is not None:
            places = places[kept]
            update = rule(places)
            w, state = w[kept], cut(state, kept)
            x, y = (x[kept] if x.ndim == 3 else x), (y[kept] if y.ndim == 2 else y)


def cut(state: Any, kept: Any) -> Any:
    """A rule's state for these cells alone: nested tuples of arrays (cells, ...) and numbers."""
    if isinstance(state, tuple):
        return tuple(cut(part, kept) for part in state)
    return state[kept] if hasattr(state, "shape") else state
