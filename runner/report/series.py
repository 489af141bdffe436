"""What the page draws over the steps: of each run each recorded quantity, thinned; and bands."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.base import seeds
from runner.base.arrays import Array, Index
from runner.errors import ConfigError
from runner.record.column import (
    BATCH_LOSS,
    EVALUATIONS,
    GRADIENT_NORM,
    LOSS,
    MEASURE,
    PARAMETERS,
    SCHEDULE,
    VALIDATION,
)
from runner.record.run import RecordedRun
from runner.record.trajectory import Trajectory
from runner.report.comparison import Comparison
from runner.report.drawn import MOST_POINTS, grid, thin
from runner.report.excess import excess
from runner.report.line import Line
from runner.report.problem import FittedProblem, problem

EXCESS, DISTANCE, SECONDS = "excess", "distance", "seconds"
"""Roles of what is not recorded, but follows from it."""

RECORDED = (BATCH_LOSS, GRADIENT_NORM, VALIDATION, MEASURE, SCHEDULE, EVALUATIONS, PARAMETERS)
MOST_NAMED = 8
"""Parameters that can be chosen each by itself; of more, none."""
BUDGET = 120_000
"""So many points are about what a page has room for, of all curves together."""
FEWEST = 16
OF_A_BAND = 80


class Key(NamedTuple):
    """Which quantity."""

    role: str
    name: str


class RecordedCurve(NamedTuple):
    """A quantity of a line of the comparison, at some of the steps at which it has a value."""

    line: int
    steps: Index
    values: Array


class Band(NamedTuple):
    """A quantity over the cells of a setting: after its end a cell stays where it was.

    One that diverged is infinite from there on.
    """

    setting: int
    steps: Index
    low: Array
    middle: Array
    high: Array


class Series(NamedTuple):
    curves: dict[Key, list[RecordedCurve]]
    bands: dict[Key, list[Band]]


def series(compared: Comparison, drawn: Sequence[int]) -> Series:
    """Read each trajectory for what is drawn of it; `drawn` are the settings that are at first."""
    settings = compared.settings
    at_first = {i for s in drawn for i in settings[s].lines if len(settings[s].lines) == 1}
    of_bands = {i: s for s in drawn for i in settings[s].lines if len(settings[s].lines) > 1}
    lines = [(i, line) for i, line in enumerate(compared.lines) if line.has_curve]
    curves: dict[Key, list[RecordedCurve]] = {}
    held: dict[tuple[Key, int], list[Array]] = {}
    grids = {s: _grid([compared.lines[i] for i in settings[s].lines]) for s in of_bands.values()}
    most = MOST_POINTS
    for number, (index, line) in enumerate(lines):
        assert line.run is not None
        told = list(quantities(line.run, line.run.trajectory(), line))
        if number == 0:
            most = max(FEWEST, min(MOST_POINTS, BUDGET // (len(lines) * max(1, len(told)))))
        for key, steps, values in told:
            kept = thin(values, MOST_POINTS if index in at_first else most)
            curves.setdefault(key, []).append(RecordedCurve(index, steps[kept], values[kept]))
            if index in of_bands:
                setting = of_bands[index]
                own = _held(grids[setting], steps, values, line.outcome)
                held.setdefault((key, setting), []).append(own)
    bands: dict[Key, list[Band]] = {}
    for (key, setting), together in held.items():
        found = _quantiles(np.stack(together))
        bands.setdefault(key, []).append(Band(setting, grids[setting], *found))
    return Series(curves, bands)


def quantities(
    run: RecordedRun, trajectory: Trajectory, line: Line
) -> Iterator[tuple[Key, Index, NDArray[np.float64]]]:
    """Each quantity of a run: which, steps, and its values after each, (steps,)."""
    fitted = _fitted(run)
    epochs, losses = trajectory.losses
    ends = epochs * trajectory.epoch_steps
    yield Key(LOSS, "loss"), ends, losses.astype(np.float64)
    over = excess(fitted, trajectory)
    if over is None and not math.isnan(line.least):
        over = losses - line.least
    if over is not None:
        yield Key(EXCESS, "excess loss"), ends, over.astype(np.float64)
    steps, parameters = trajectory.parameters
    known = fitted.solution if fitted and not fitted.doubt else None
    if fitted and known and parameters.shape[1:] == (fitted.parameters,):
        yield (
            Key(DISTANCE, "distance to the optimum"),
            steps,
            known.distance(parameters).astype(np.float64),
        )
    named = len(trajectory.names(PARAMETERS)) <= MOST_NAMED
    wanted = RECORDED if named else RECORDED[:-1]
    for role, name, steps, values in trajectory.by_step(*wanted):
        own = "batch loss" if role == BATCH_LOSS else name
        yield Key(role, own), steps, values.astype(np.float64)
    if "stacked" not in run.tags and len(trajectory):
        times = trajectory.rows["time"]
        yield Key(SECONDS, "seconds"), trajectory.step, times - times[0]


def _fitted(run: RecordedRun) -> FittedProblem | None:
    try:
        return problem(run)
    except ConfigError:  # told already
        return None


def _grid(lines: Sequence[Line]) -> Index:
    last = 0
    for line in lines:
        if line.run is not None and line.has_curve:
            steps = line.run.trajectory().step
            last = max(last, int(steps[-1]) if len(steps) else 0)
    return grid(last, OF_A_BAND)


def _held(steps: Index, own: Index, values: Array, outcome: str) -> Array:
    """The last value at or before each of the steps; NaN before the first."""
    if not len(own):
        return np.full(len(steps), np.nan)
    at = np.searchsorted(own, steps, side="right") - 1
    found: Array = np.where(at < 0, np.nan, values[np.maximum(at, 0)])
    if outcome == "diverged":
        found[steps > own[-1]] = math.inf
    return found


def _quantiles(values: Array) -> tuple[Array, Array, Array]:
    """A quarter, half and three quarters over the cells; values are (cells, steps)."""
    ranked = np.sort(values, axis=0)  # NaN last: what no cell has yet, all have not
    low, high = seeds.quartiles(ranked)
    return low, np.median(ranked, axis=0), high
