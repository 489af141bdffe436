"""The trajectory of a run: what is recorded, collected step by step, handed on in chunks."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from runner.journal import End, Rows
from runner.loop.step import Step

CHUNK_SECONDS = 0.5  # a chunk is handed on when it is so old
CHUNK_BYTES = 2**20  # or when it takes so much room


def row_type(parameters: int, dtype: DTypeLike) -> np.dtype[np.void]:
    """One step of a trajectory: its number, when it was made, and what was recorded.

    Step 0 is the start: it has parameters, and NaN for the rest.
    """
    return np.dtype(
        [
            ("step", np.int64),
            ("time", np.float64),  # seconds since 1970
            ("loss", np.float64),  # before the step's update
            ("grad_norm", np.float64),  # Euclidean, of the loss's gradient, before the update
            ("parameters", dtype, (parameters,)),  # after the update
        ]
    )


class Recorder:
    """Collects steps in arrays and hands them on in chunks; knows the run's figures so far."""

    def __init__(self, initial: NDArray[np.floating[Any]], emit: Callable[[Rows], None]) -> None:
        kind = row_type(initial.size, initial.dtype)
        self._rows = np.empty(max(2, CHUNK_BYTES // kind.itemsize), kind)
        # Views of the columns, so that a step costs no look-up by name.
        self._times, self._loss = self._rows["time"], self._rows["loss"]
        self._parameters = self._rows["parameters"]
        self._gradients = np.empty_like(self._parameters)
        self._emit = emit
        self._first = 0
        self._filled = 0
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
        if self._filled == len(self._rows) or now > self._due:
            self.flush()

    def flush(self) -> None:
        """Hand on what has been collected, in rows that are the recorder's own again afterwards."""
        rows = self._rows[: self._filled]
        rows["step"] = np.arange(self._first, self._first + self._filled)
        rows["grad_norm"] = norms(self._gradients[: self._filled])
        self._due = time.time() + CHUNK_SECONDS
        if len(rows):
            self._emit(rows)  # where this fails, the rows are kept for the next attempt
            self.best_loss = np.fmin(self.best_loss, np.fmin.reduce(rows["loss"]))
        self._first += self._filled
        self._filled = 0


CUT_OFF = "its process ended without a word: killed, or the machine stopped"


class Tally:
    """The figures of a run as far as its rows tell: for one whose end was never recorded."""

    def __init__(self) -> None:
        self.epochs = 0
        self._final_loss = math.nan
        self._best_loss = math.inf

    def take(self, rows: Rows) -> None:
        """Count the next chunk of its trajectory."""
        made = rows[rows["step"] > 0]  # the start has parameters only
        if len(made):
            self.epochs, self._final_loss = int(made["step"][-1]), float(made["loss"][-1])
            self._best_loss = float(np.fmin(self._best_loss, np.fmin.reduce(made["loss"])))

    def metrics(self) -> dict[str, float]:
        """The final metrics."""
        if not self.epochs:
            return {"epochs_run": 0.0}
        return {
            "epochs_run": float(self.epochs),
            "final_loss": self._final_loss,
            "best_loss": self._best_loss,
        }

    def cut_off(self, damage: str | None, time: float) -> End:
        """The end that its process owes, or that its journal has lost to damage."""
        outcome, reason = ("failed", damage) if damage else ("interrupted", CUT_OFF)
        return End(outcome, self.metrics(), {"outcome": outcome}, reason, time)


def norms(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Euclidean norm of each row; scaled, so that no square overflows before the norm does."""
    values = rows.astype(np.float64)
    scale = np.abs(values).max(axis=1, initial=0.0)
    safe = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    result: NDArray[np.float64] = safe * np.sqrt(np.square(values / safe[:, None]).sum(axis=1))
    return result
