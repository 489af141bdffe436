"""Patience: for how many epochs a run was no better, and its parameters where it was best."""

from typing import NamedTuple

import numpy as np

from runner.base.arrays import Array, Counts, Index, Scalars, State
from runner.engine.epoch import Seen
from runner.engine.program.step import Step


class Best(NamedTuple):
    """A cell where it was best."""

    epoch: int
    loss: float
    parameters: Array
    """(parameters,)"""


class Patience:
    """Watches the loss of each epoch, of the validation data where there are any.

    What is kept is the state that has this loss: that before the step, where all samples are one
    batch and nothing is validated, and else that at the end of the epoch. Every array of cells is
    over those that are still computed; a run by itself is one cell.
    """

    def __init__(self, initial: Array, min_delta: Scalars, *, is_before: bool) -> None:
        """`initial` is (parameters,), or (cells, parameters); `is_before`: whether it is that."""
        self._parameters = self._before = np.atleast_2d(initial)
        cells = len(self._parameters)
        self._min_delta, self._is_before = np.broadcast_to(min_delta, cells), is_before
        self._watched, self._loss = np.full(cells, np.inf), np.full(cells, np.nan)
        self._epoch, self._epochs = np.zeros(cells, np.int64), 0

    def after(self, seen: Seen, step: Step) -> Counts:
        """Take the next step; for how many epochs it was no better, (cells,), or a number."""
        parameters = np.atleast_2d(step.parameters)
        if seen.epochs != self._epochs:
            self._epochs = seen.epochs
            watched = np.atleast_1d(seen.watched)
            better = watched < self._watched - self._min_delta
            self._watched = np.where(better, watched, self._watched)
            self._loss = np.where(better, seen.loss, self._loss)
            self._epoch = np.where(better, self._epochs, self._epoch)
            found = self._before if self._is_before else parameters
            self._parameters = np.where(better[:, None], found, self._parameters)
        self._before = parameters
        waited = self._epochs - self._epoch
        return int(waited[0]) if isinstance(step.loss, float) else waited

    def best(self, cell: int) -> Best:
        """Of the cell at that index."""
        return Best(int(self._epoch[cell]), float(self._loss[cell]), self._parameters[cell])

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices alone."""
        for name in ("_parameters", "_before", "_min_delta", "_watched", "_loss", "_epoch"):
            setattr(self, name, getattr(self, name)[cells])

    def state(self) -> State:
        return dict(vars(self))

    def restore(self, state: State) -> None:
        vars(self).update(state)
