"""The trajectory of a run: what is recorded, collected step by step, handed on in chunks."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.loop.step import Step

CHUNK_SECONDS = 1.0  # a chunk is handed on when it is so old
CHUNK_BYTES = 4 * 2**20  # or when its parameters take so much room
CHUNK_ROWS = 10_000  # or so many epochs are in it


class Chunk(NamedTuple):
    """Consecutive epochs. Epoch 0 is the start: it has parameters, and NaN for the rest."""

    first: int
    """The epoch of the first row."""
    times: NDArray[np.float64]
    """(rows,), seconds since 1970"""
    loss: NDArray[np.float64]
    """(rows,): before the epoch's update"""
    grad_norm: NDArray[np.float64]
    """(rows,): the Euclidean norm of the loss's gradient, before the update"""
    parameters: NDArray[np.floating[Any]]
    """(rows, parameters) in the run's dtype: after the update"""


class Recorder:
    """Collects steps in arrays and hands them on in chunks; knows the run's figures so far."""

    def __init__(self, initial: NDArray[np.floating[Any]], emit: Callable[[Chunk], None]) -> None:
        rows = max(1, min(CHUNK_ROWS, CHUNK_BYTES // initial.nbytes))
        self._emit = emit
        self._first = 0
        self._filled = 0
        self._times = np.empty(rows)
        self._loss = np.empty(rows)
        self._gradients = np.empty((rows, initial.size), initial.dtype)
        self._parameters = np.empty((rows, initial.size), initial.dtype)
        self._due = time.time() + CHUNK_SECONDS
        self.best_loss = np.inf
        self.last = Step(np.nan, initial, np.full_like(initial, np.nan))
        self.add(self.last, time.time())

    @property
    def epochs(self) -> int:
        """Recorded so far, the start not counted."""
        return self._first + self._filled - 1

    def add(self, step: Step, now: float) -> None:
        """Record the next epoch's step, made at `now` in seconds since 1970."""
        row = self._filled
        self._times[row] = now
        self._loss[row] = step.loss
        self._parameters[row] = step.parameters
        self._gradients[row] = step.gradient
        self.last = step
        self._filled = row + 1  # last, so that an interrupt leaves whole rows only
        if self._filled == len(self._times) or now > self._due:
            self.flush()

    def flush(self) -> None:
        """Hand on what has been collected."""
        rows = slice(0, self._filled)
        chunk = Chunk(
            self._first,
            self._times[rows].copy(),
            self._loss[rows].copy(),
            norms(self._gradients[rows]),
            self._parameters[rows].copy(),
        )
        self._first += self._filled
        self._filled = 0
        self._due = time.time() + CHUNK_SECONDS
        if len(chunk.times):
            self.best_loss = np.fmin(self.best_loss, np.fmin.reduce(chunk.loss))
            self._emit(chunk)


def norms(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Euclidean norm of each row; scaled, so that no square overflows before the norm does."""
    values = rows.astype(np.float64)
    scale = np.abs(values).max(axis=1, initial=0.0)
    safe = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    result: NDArray[np.float64] = safe * np.sqrt(np.square(values / safe[:, None]).sum(axis=1))
    return result
