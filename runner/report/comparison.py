"""Several runs side by side: the figures of each, and which setting is best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import seeds
from runner.column import EVALUATIONS, MEASURE, PARAMETERS, VALIDATION
from runner.config import ConfigError
from runner.differing import PARAM, differing, varying
from runner.identity import DATA
from runner.recorded.run import FIGURES, KNOWN, Run, cell_rows, number
from runner.recorded.trajectory import Trajectory
from runner.report.excess import excess
from runner.report.problem import NoForm, Problem, edge, problem
from runner.stop import is_ranked

Array = NDArray[np.floating[Any]]

MOST_EPOCHS = 1e15  # anybody may have written what MLflow has


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
    epoch_steps: int = 1
    """How many an epoch has"""
    parameters: tuple[str, ...] = ()
    """What is told of them, by name"""
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
        if self.outcome == "diverged":
            return math.inf
        there = is_ranked(self.outcome, self.final_loss)
        return (self.excess if draws else self.final_loss) if there else math.nan


class Setting(NamedTuple):
    """Lines that differ in a seed alone."""

    values: dict[str, str]
    """What was swept, but for the seeds"""
    lines: list[int]
    """Their indices in the comparison"""
    spread: seeds.Spread
    """Of what settings are ranked by"""


class Comparison(NamedTuple):
    """What a report tells."""

    sweep: Run | None
    """If all are cells of one sweep."""
    swept: list[str]
    lines: list[Line]
    settings: list[Setting]
    """The best first"""
    draws: bool
    """Whether seeds draw different data: then settings are ranked by excess loss"""
    to: float | None
    """The tolerance asked for; None: each run's own"""
    left_out: list[str]
    """What could not be told, and why, a line each"""

    @property
    def seeded(self) -> list[str]:
        """The seeds that were swept."""
        return [key for key in self.swept if seeds.is_seed(key)]

    @property
    def by(self) -> str:
        """By what it is ranked."""
        return "excess loss" if self.draws else "final loss"

    def value(self, index: int) -> float:
        """That of a line: see `Line.value`."""
        return self.lines[index].value(draws=self.draws)

    def measures(self) -> list[str]:
        """The measures that any of the runs has recorded."""
        return list(dict.fromkeys(name for line in self.lines for name in line.measures))

    def varying(self) -> list[str]:
        """Every param in which the runs differ."""
        return list(varying([line.run.params for line in self.lines if line.run]))

    def ranked(self) -> list[int]:
        """The lines' indices: setting by setting, the best first in each."""
        return [index for own in self.settings for index in sorted(own.lines, key=self._rank)]

    def _rank(self, index: int) -> tuple[Any, ...]:
        value, line = self.value(index), self.lines[index]
        return (*_first(value), line.epochs if math.isfinite(value) else -line.epochs, index)

    def paired(self, one: Setting, other: Setting) -> seeds.Paired:
        """The two, on the seeds that both have."""
        own, theirs = ({self._seed(i): self.value(i) for i in s.lines} for s in (one, other))
        both = [seed for seed in own if seed in theirs]
        return seeds.paired([own[seed] for seed in both], [theirs[seed] for seed in both])

    def _seed(self, index: int) -> tuple[str, ...]:
        return tuple(self.lines[index].swept[key] for key in self.seeded)


def compare(runs: Sequence[Run], sweep: Run | None = None, to: float | None = None) -> Comparison:
    """Read each trajectory once, one after another, for what is told of all runs."""
    runs = [run for run in runs if run.id]  # the sweep's table tells of those that never began
    told = cell_rows(sweep) if sweep else []
    by_id = {run.id: run for run in runs}
    columns = [key for key in told[0] if key not in (*KNOWN, *FIGURES)] if told else []
    swept = [key.removeprefix(PARAM) for key in columns] or differing([run.params for run in runs])
    lines, left_out = [], []
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
            continue
        fitted, notes = _fitted(run)
        left_out += notes
        lines.append(_line(run, run.trajectory(), values, to, fitted))
    lines = _with_least(lines)
    settings, draws = grouped(lines, swept)
    return Comparison(sweep, swept, lines, settings, draws, to, list(dict.fromkeys(left_out)))


def grouped(lines: Sequence[Line], swept: Sequence[str]) -> tuple[list[Setting], bool]:
    """The settings, the best first, and whether seeds draw different data."""
    others = [key for key in swept if not seeds.is_seed(key)]
    if len(others) < len(swept):
        together = seeds.settings([tuple(line.swept[key] for key in others) for line in lines])
    else:
        together = [[index] for index in range(len(lines))]
    draws = any(len({lines[index].data for index in own} - {""}) > 1 for own in together)
    found = []
    for own in together:
        spread = seeds.spread([lines[index].value(draws=draws) for index in own])
        values = {key: lines[own[0]].swept[key] for key in others}
        found.append(Setting(values, own, spread))

    def rank(setting: Setting) -> tuple[Any, ...]:
        middle = setting.spread.middle
        epochs = float(np.median([lines[index].epochs for index in setting.lines]))
        share = setting.spread.diverged / (setting.spread.cells or 1)
        return (*_first(middle), share, epochs if math.isfinite(middle) else -epochs)

    return sorted(found, key=rank), draws


def _first(value: float) -> tuple[bool, bool, float]:
    """What sorts a value before larger ones, those before infinity, and that before none."""
    return not math.isfinite(value), math.isnan(value), 0.0 if math.isnan(value) else value


def _with_least(lines: Sequence[Line]) -> list[Line]:
    """Where no closed form tells the least loss there is, take the best seen on the same data."""
    best: dict[tuple[str, str], float] = {}
    for line in lines:
        if not line.is_exact and line.best_loss < best.get(line.fits, math.inf):
            best[line.fits] = line.best_loss
    made = []
    for line in lines:
        least = line.least if line.is_exact else best.get(line.fits, math.nan)
        own = line.excess if line.is_exact else line.final_loss - least
        made.append(line._replace(least=least, excess=own))
    return made


def _epochs(run: Run) -> int:
    epochs = run.figures.get("epochs_run", 0)
    return int(epochs) if 0 <= epochs < MOST_EPOCHS else 0


def _fitted(run: Run) -> tuple[Problem | None, list[str]]:
    try:
        found = problem(run)
    except NoForm:  # as one expects of a network
        return None, []
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
        figures.get("final_loss", math.nan),
        figures.get("best_loss", math.nan),
        int(epochs[below[0]]) if len(below) else None,
        distance,
        figures.get("seconds", math.nan),
        run.reason,
        len(losses),
        trajectory.epoch_steps,
        tuple(trajectory.names(PARAMETERS)),
        _measures(trajectory),
        math.nan if over is None or fitted is None else fitted.least,
        over is not None,
        math.nan if over is None or not len(over) else float(over[-1]),
        edge(run) if fitted else None,
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
    told = trajectory.told(MEASURE, VALIDATION, EVALUATIONS)
    return {key: float(values[-1]) for key, _, values in told if len(values)}
