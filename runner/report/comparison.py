"""Several runs side by side: the figures of each, and their losses at common epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.column import MEASURE, VALIDATION
from runner.config import ConfigError
from runner.differing import PARAM, informative
from runner.recorded.run import FIGURES, KNOWN, Run, cell_rows, number
from runner.recorded.trajectory import Trajectory
from runner.report.problem import Problem, problem
from runner.stop import is_ranked

Array = NDArray[np.floating[Any]]

MOST_EPOCHS = 1e15  # anybody may have written what MLflow has

GRID = 160
"""At so many epochs, at most, losses are compared over all runs."""


class Line(NamedTuple):
    """One run, or a cell that never became one, as a line of the table."""

    name: str
    run: Run | None
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
    measures: Mapping[str, float] = {}
    """The last value of each measure that was recorded"""

    @property
    def has_curve(self) -> bool:
        """Whether its losses can be read."""
        return self.run is not None and self.epochs > 0 and self.losses != 0


class Comparison(NamedTuple):
    """What a report tells."""

    sweep: Run | None
    """If all are cells of one sweep."""
    swept: list[str]
    lines: list[Line]
    to: float | None
    """The tolerance asked for; None: each run's own"""
    epochs: NDArray[np.int64]
    """(grid,): the common epochs"""
    losses: Array
    """(lines, grid): the last value goes on where a run has stopped, infinite if it diverged"""
    left_out: list[str]
    """What could not be told, and why, a line each"""

    def measures(self) -> list[str]:
        """The measures that any of the runs has recorded."""
        return list(dict.fromkeys(name for line in self.lines for name in line.measures))

    def varying(self) -> list[str]:
        """Every param in which the runs differ."""
        return list(varying([line.run for line in self.lines if line.run]))

    def ranked(self) -> list[int]:
        """The lines' indices, the best first: those that end in a number, then the others."""
        return sorted(range(len(self.lines)), key=lambda index: rank(self.lines[index], index))


def rank(line: Line, index: int) -> tuple[Any, ...]:
    """As in a sweep's own table: final loss, then epochs; diverged and unfinished ones last."""
    ends = is_ranked(line.outcome, line.final_loss)
    return (not ends, line.final_loss if ends else math.inf, line.epochs, index)


def compare(runs: Sequence[Run], sweep: Run | None = None, to: float | None = None) -> Comparison:
    """Read each trajectory once, one after another, for what is told of all runs."""
    runs = [run for run in runs if run.id]  # the sweep's table tells of those that never began
    told = cell_rows(sweep) if sweep else []
    by_id = {run.id: run for run in runs}
    columns = [key for key in told[0] if key not in (*KNOWN, *FIGURES)] if told else []
    swept = [key.removeprefix(PARAM) for key in columns] or differing(runs)
    epochs = _grid(max((_epochs(run) for run in runs), default=0))
    lines, losses, left_out = [], [], []
    journal_ids = {run.tags.get("journal", run.id): run for run in runs}
    entries: list[tuple[Run | None, dict[str, str]]] = (
        [(by_id.get(row["run"]) or journal_ids.get(row["run"]), row) for row in told]
        if told
        else [(run, {key: run.params.get(key, "") for key in swept}) for run in runs]
    )
    for run, row in entries:
        values = dict(zip(swept, (row[key] for key in columns or swept), strict=True))
        if run is None:
            lines.append(_by_table(row, values))
            losses.append(np.full(len(epochs), np.nan))
            continue
        trajectory = run.trajectory()
        fitted, notes = _fitted(run)
        left_out += notes
        lines.append(_line(run, trajectory, values, to, fitted))
        losses.append(_at(epochs, trajectory, run.outcome))
    together = np.array(losses).reshape(len(lines), len(epochs))
    return Comparison(sweep, swept, lines, to, epochs, together, list(dict.fromkeys(left_out)))


def _epochs(run: Run) -> int:
    epochs = run.figures.get("epochs_run", 0)
    return int(epochs) if 0 <= epochs < MOST_EPOCHS else 0


def _grid(last: int) -> NDArray[np.int64]:
    """Epochs from 1 to the last, denser at the beginning, where losses change most."""
    if last < 1:
        return np.empty(0, np.int64)
    both = np.concatenate([np.geomspace(1, last, GRID // 2), np.linspace(1, last, GRID // 2)])
    epochs: NDArray[np.int64] = np.unique(both.round().astype(np.int64))
    return epochs


def _fitted(run: Run) -> tuple[Problem | None, list[str]]:
    try:
        found = problem(run)
    except ConfigError as error:
        return None, [f"no optimum and no landscape: {str(error).splitlines()[0]}"]
    return found, list(found.notes())


def _line(
    run: Run,
    trajectory: Trajectory,
    swept: dict[str, str],
    to: float | None,
    fitted: Problem | None,
) -> Line:
    figures = run.figures
    distance = math.nan
    parameters = trajectory.parameters[1]
    if fitted and fitted.solution and not fitted.doubt and len(parameters):
        final = parameters[-1]
        if len(final) == fitted.parameters:  # of a run that is not ours, there may be others
            distance = fitted.solution.distance(final)
    tolerance = number(run.params.get("tolerance"), 0.0) if to is None else to
    epochs, losses = trajectory.losses
    below = np.flatnonzero(losses < tolerance)
    return Line(
        run.name,
        run,
        swept,
        run.outcome,
        _epochs(run),
        figures.get("final_loss", math.nan),
        figures.get("best_loss", math.nan),
        int(epochs[below[0]]) if len(below) else None,
        distance,
        figures.get("seconds", math.nan),
        run.reason,
        len(losses),
        _measures(trajectory),
    )


def _by_table(row: dict[str, str], swept: dict[str, str]) -> Line:
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
    told = trajectory.told(MEASURE, VALIDATION)
    return {key: float(values[-1]) for key, _, values in told if len(values)}


def _at(epochs: NDArray[np.int64], trajectory: Trajectory, outcome: str) -> Array:
    """The run's losses at those epochs."""
    loss = trajectory.losses[1].astype(np.float64)
    if not len(loss):
        return np.full(len(epochs), np.nan)
    values: Array = loss[np.minimum(epochs, len(loss)) - 1]
    if outcome == "diverged":
        values[epochs > len(loss)] = math.inf
    return values


def differing(runs: Sequence[Run]) -> list[str]:
    """The params that tell the runs apart, without those that follow from another one."""
    return informative(varying(runs))


def varying(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Every param in which the runs differ, and its values: those of groups before their parts."""
    keys = dict.fromkeys(key for run in runs for key in run.params)
    columns = {
        key: [run.params.get(key, "") for run in runs]
        for key in sorted(keys, key=lambda key: key.count("."))
    }
    return {key: column for key, column in columns.items() if len(set(column)) > 1}
