"""Several runs side by side: the figures of each, and which setting is best."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from runner.base import seeds
from runner.errors import ConfigError, NoForm
from runner.record.differing import PARAM, differing, varying
from runner.record.run import FIGURES, KNOWN, RecordedRun, cell_rows
from runner.report.line import Line, line_by_table, line_of
from runner.report.problem import FittedProblem, problem
from runner.report.setting import Setting, grouped

LONGEST = 300
"""Characters of a reason: it may hold whatever a config holds."""


class Comparison(NamedTuple):
    """What a report tells."""

    sweep: RecordedRun | None
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

    def problems(self) -> dict[str, list[Setting]]:
        """The settings of each problem."""
        found: dict[str, list[Setting]] = {}
        for setting in self.settings:
            found.setdefault(setting.problem, []).append(setting)
        return found

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
        epochs = line.epochs if math.isfinite(value) else -line.epochs
        return (*seeds.order_of(value), *seeds.order_of(line.excess), epochs, index)

    def paired(self, one: Setting, other: Setting) -> seeds.Paired:
        """The two, on the seeds that both have."""
        own, theirs = ({self._seed(i): self.value(i) for i in s.lines} for s in (one, other))
        both = [seed for seed in own if seed in theirs]
        return seeds.paired([own[seed] for seed in both], [theirs[seed] for seed in both])

    def _seed(self, index: int) -> tuple[str, ...]:
        return tuple(self.lines[index].swept[key] for key in self.seeded)


def compare(
    runs: Sequence[RecordedRun], sweep: RecordedRun | None = None, to: float | None = None
) -> Comparison:
    """Read each trajectory once, one after another, for what is told of all runs."""
    runs = [run for run in runs if run.id]  # the sweep's table tells of those that never began
    told = cell_rows(sweep) if sweep else []
    by_id = {run.id: run for run in runs}
    columns = [key for key in told[0] if key not in (*KNOWN, *FIGURES)] if told else []
    swept = [key.removeprefix(PARAM) for key in columns] or _differing(runs, sweep)
    lines, left_out = [], []
    journal_ids = {run.tags.get("journal", run.id): run for run in runs}
    entries: list[tuple[RecordedRun | None, dict[str, str]]] = (
        [(by_id.get(row["run"]) or journal_ids.get(row["run"]), row) for row in told]
        if told
        else [(run, {key: run.params.get(key, "") for key in swept}) for run in runs]
    )
    for run, row in entries:
        values = dict(zip(swept, (row[key] for key in columns or swept), strict=True))
        if run is None:
            lines.append(line_by_table(row, values))
            continue
        fitted, notes = _fitted(run)
        left_out += notes
        lines.append(line_of(run, run.trajectory(), values, to, fitted))
    lines = _with_least(lines)
    settings, draws = grouped(lines, swept)
    return Comparison(sweep, swept, lines, settings, draws, to, list(dict.fromkeys(left_out)))


def _with_least(lines: Sequence[Line]) -> list[Line]:
    """Where no closed form tells the least loss there is, take the best seen on the same data."""
    best = seeds.least_of_each((line.fits, line.best_loss) for line in lines if not line.is_exact)
    made = []
    for line in lines:
        least = line.least if line.is_exact else best.get(line.fits, math.nan)
        own = line.excess if line.is_exact else line.final_loss - least
        made.append(line._replace(least=least, excess=own))
    return made


def _differing(runs: Sequence[RecordedRun], sweep: RecordedRun | None) -> list[str]:
    """What tells runs apart; of runs of anybody's, whatever is not below something else."""
    params = [run.params for run in runs]
    told = differing(params)
    if sweep is None:
        told += [key for key in varying(params) if "." not in key and key not in told]
    return told


def _fitted(run: RecordedRun) -> tuple[FittedProblem | None, list[str]]:
    try:
        found = problem(run)
    except NoForm:  # as one expects of a network
        return None, []
    except ConfigError as error:
        return None, [f"no optimum and no landscape: {str(error).splitlines()[0][:LONGEST]}"]
    return found, list(found.notes())
