"""One run as a line of a table: its figures, and what its loss is held against."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from runner.engine.identity import DATA
from runner.engine.stop import ranked_value
from runner.record.column import EVALUATIONS, MEASURE, PARAMETERS, VALIDATION
from runner.record.run import RecordedRun, number
from runner.record.trajectory import Trajectory
from runner.report.excess import excess
from runner.report.problem import FittedProblem, edge

MOST_EPOCHS = 1e15  # anybody may have written what MLflow has


class Line(NamedTuple):
    """One run, or a cell that never became one, as a line of the table."""

    name: str
    run: RecordedRun | None
    swept: dict[str, str]
    outcome: str
    epochs: int
    final_loss: float
    best_loss: float
    reached: int | None
    """The first epoch whose loss was below the tolerance asked for"""
    distance: float
    """Of the last parameters from the optimum in closed form; NaN where there is none"""
    seconds: float
    reason: str
    losses: int | None = None
    """In its trajectory; None: as many as epochs"""
    epoch_steps: int = 1
    """How many an epoch has"""
    parameters: tuple[str, ...] = ()
    """What is told of them, by name"""
    numbers: int = 0
    """How many they are"""
    measures: Mapping[str, float] = {}
    """The last value of each measure that was recorded"""
    least: float = math.nan
    """The least loss there is, in closed form, or that was seen on the same data"""
    is_exact: bool = False
    """Whether it is in closed form"""
    excess: float = math.nan
    """By how much the last loss is above it"""
    edge: float | None = None
    """The learning rate at which its optimizer leaves the minimum, where that is known"""

    @property
    def has_curve(self) -> bool:
        """Whether its losses can be read."""
        return self.run is not None and self.epochs > 0 and self.losses != 0

    @property
    def data(self) -> str:
        """What tells its data from others; empty if that is not known."""
        return self.run.tags.get(DATA, "") if self.run else ""

    @property
    def fits(self) -> tuple[str, str]:
        """The same of its data and its loss."""
        return self.data, self.run.params.get("loss._target_", "") if self.run else ""

    def value(self, *, draws: bool) -> float:
        """By what it is ranked; infinite if it diverged, NaN if it ends in no number."""
        value = self.excess if draws else self.final_loss
        return ranked_value(self.outcome, self.final_loss, value)


def line_of(
    run: RecordedRun,
    trajectory: Trajectory,
    swept: dict[str, str],
    to: float | None,
    fitted: FittedProblem | None,
) -> Line:
    figures = run.figures
    distance = math.nan
    parameters = trajectory.parameters[1]
    if fitted and fitted.solution and not fitted.doubt and len(parameters):
        final = parameters[-1]
        if len(final) == fitted.parameters:  # of a run that is not ours, there may be others
            distance = float(fitted.solution.distance(final))
    tolerance = number(run.params.get("tolerance"), 0.0) if to is None else to
    epochs, losses = trajectory.losses
    below = np.flatnonzero(losses < tolerance)
    over = excess(fitted, trajectory)
    return Line(
        run.name,
        run,
        swept,
        run.outcome,
        _epochs(run),
        run.final_loss,
        figures.get("best_loss", math.nan),
        int(epochs[below[0]]) if len(below) else None,
        distance,
        figures.get("seconds", math.nan),
        run.reason,
        len(losses),
        trajectory.epoch_steps,
        tuple(trajectory.names(PARAMETERS)),
        parameters.shape[1],
        _measures(trajectory),
        math.nan if over is None or fitted is None else fitted.least,
        over is not None,
        math.nan if over is None or not len(over) else float(over[-1]),
        edge(run) if fitted else None,
    )


def line_by_table(row: dict[str, str], swept: dict[str, str]) -> Line:
    """A cell that was not run, or whose run is nowhere any more, as the sweep's table has it."""
    final, best, seconds = (number(row[key]) for key in ("final_loss", "best_loss", "seconds"))
    return Line(
        row["name"],
        None,
        swept,
        row["outcome"],
        int(number(row["epochs"], 0.0)),
        final,
        best,
        None,
        math.nan,
        seconds,
        row["reason"],
    )


def _measures(trajectory: Trajectory) -> dict[str, float]:
    told = trajectory.told(MEASURE, VALIDATION, EVALUATIONS)
    return {key: float(values[-1]) for key, _, values in told if len(values)}


def _epochs(run: RecordedRun) -> int:
    epochs = run.figures.get("epochs_run", 0)
    return int(epochs) if 0 <= epochs < MOST_EPOCHS else 0
