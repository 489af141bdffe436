"""The figures of a run as far as its rows tell: for one whose end was never recorded."""

import math
from collections.abc import Sequence

import numpy as np

from runner.record.column import LOSS, Column, in_rows
from runner.record.journal import End, Rows

CUT_OFF = "the process died before recording an end: killed, or the machine stopped"


def made(rows: Rows) -> Rows:
    """The rows without that of the start, which has parameters only."""
    return rows if len(rows) and rows["step"][0] > 0 else rows[rows["step"] > 0]


class Tally:
    """Counts what comes of a run's trajectory."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.steps = self.epochs = 0
        self.best_step = 0
        self._loss = next((one for one in columns if one.role == LOSS), None)
        self._final_loss = math.nan
        self._best_loss = math.inf

    def take(self, rows: Rows) -> None:
        """Count the next chunk of its trajectory."""
        steps = made(rows)
        if self._loss is None or not in_rows([self._loss], rows) or not len(steps):
            return
        self.steps = int(steps["step"][-1])
        self.epochs = self.steps // self._loss.steps
        steps = steps[self._loss.at(steps["step"])]
        if not len(steps):
            return
        loss = self._loss.of(steps)[:, 0]
        self._final_loss = float(loss[-1])
        if (least := float(np.fmin.reduce(loss))) < self._best_loss:
            self._best_loss = least
            self.best_step = int(steps["step"][(loss == least).argmax()])

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
