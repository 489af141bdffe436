"""Cells of stacks run again, alone, and compared step by step with what was recorded of them.

A stack makes its sums of products for all cells at once, and so rounds them otherwise than a lone
run. How much that explains is measured: the lone run is repeated on data whose numbers are changed
at random by up to `UNITS` * sqrt(samples) units of rounding each. That moves a sum over the samples
as far as another order of adding them up may. A recorded value may be away from the lone run's by
`TIMES` as much as any repeat is up to the same step, or as so many units of rounding of the largest
value so far. An outcome may differ only where a loss is that near to its threshold.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.base.text import counted
from runner.config.cell import Cell
from runner.config.spec import Checked, Spec
from runner.dataset.samples import Dataset
from runner.engine import drive, identity, stop
from runner.engine.experiment import compose
from runner.engine.isolated import isolated
from runner.engine.recording import FinishedRun
from runner.record.column import PARAMETERS, VALIDATION, Column, declared
from runner.record.journal import End, File, Reader, Rows, Start
from runner.record.trajectory import Trajectory, assembled
from runner.sweeps.executors.result import Result
from runner.sweeps.plan import Plan

CUT = ("failed", "interrupted", "pruned")
REPEATS = 3
UNITS = 4.0
TIMES = 8.0
WHAT = {"loss": "loss", "parameters": "a parameter", "validation": "the validation loss"}
NAMED = 10  # cells that differ are told one by one

Array = NDArray[np.float64]


class Lone(NamedTuple):
    """What a cell's lone run has recorded, and how it ended."""

    trajectory: Trajectory
    outcome: str
    epochs: int


class Difference(NamedTuple):
    """How far a cell's trajectory in the stack is from the lone one."""

    cell: int
    largest: float
    """Of loss and parameters, relative to the largest magnitude of each."""
    stacked: tuple[str, int]
    """Outcome and epochs."""
    alone: tuple[str, int]
    fault: str
    """What rounding does not explain; empty if it explains all."""


class Verified(NamedTuple):
    """What a sweep's verification has shown."""

    lines: list[str]
    """As a person is told."""
    different: list[str]
    """The names of the cells that differ by more than rounding explains."""


def chosen(planned: Plan, results: Sequence[Result], count: int) -> list[Result]:
    """So many cells of stacks that have ended by themselves, spread evenly over all of these.

    Beside them, of each stack that is not known to be right, its longest cell but the first.
    """
    ended = {r.cell: r for r in results if r.outcome not in CUT}
    stacks = [unit for unit in planned.units if unit.parts]
    there = [ended[number] for unit in stacks for number in unit.numbers if number in ended]
    count = min(count, len(there))
    some = {there[(2 * place + 1) * len(there) // (2 * count)].cell for place in range(count)}
    for unit in stacks:
        own = [ended[number] for number in unit.numbers[1:] if number in ended]
        if unit.parts and unit.parts[0].doubt and own and not some & {r.cell for r in own}:
            some.add(max(own, key=lambda r: (r.epochs, r.cell)).cell)
    return [r for r in there if r.cell in some]


def compare(planned: Plan, results: Sequence[Result], journals: Iterable[Path]) -> list[Difference]:
    """Run those cells alone, recording nothing, and compare."""
    recorded = _recorded({r.run for r in results}, journals)
    return [
        difference(planned.cells[r.cell], planned.data[r.cell], r, recorded[r.run]) for r in results
    ]


def told(cells: Sequence[Cell], differences: Sequence[Difference]) -> list[str]:
    """The largest difference in a line, and one for each cell that rounding does not explain."""
    worst = max(differences, key=lambda d: d.largest)
    name = identity.name(cells[worst.cell])
    count = counted(len(differences), "cell")
    lines = [f"verified    {count} alone: largest difference {worst.largest:.2g} ({name})"]
    for d in differences:
        if not d.fault and d.stacked != d.alone:
            there, here = (f"{outcome} at epoch {epochs}" for outcome, epochs in d[2:4])
            why = "its loss is within rounding of the threshold"
            lines.append(
                f"            {identity.name(cells[d.cell])}: {there}, alone {here}: {why}"
            )
    bad = [d for d in differences if d.fault]
    if bad:
        lines.append(f"DIFFERENT   {len(bad)} of {count}, by more than rounding explains:")
        lines += [f"            {identity.name(cells[d.cell])}: {d.fault}" for d in bad[:NAMED]]
        lines += [f"            and {len(bad) - NAMED} more"] if len(bad) > NAMED else []
        lines.append("            do not trust this sweep's stacks: sweep.stack=false")
    return lines


def difference(cell: Cell, data: Dataset, result: Result, rows: Trajectory) -> Difference:
    """Run the cell alone on its data, and compare with the rows that its stack has recorded."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _compared(cell, data, result, rows)


def _compared(cell: Cell, data: Dataset, result: Result, rows: Trajectory) -> Difference:
    lone, again = _alone(cell.spec, data), _alone(cell.spec, data)
    rng = np.random.default_rng(0)
    shaken = [_alone(cell.spec, _shaken(data, rng)) for _ in range(REPEATS)]
    stacked = Lone(rows, result.outcome, result.epochs)
    common = min(len(lone.trajectory), len(rows))
    largest, faults = 0.0, []
    for what in WHAT:
        here, there = _values(lone, what)[:common], _values(stacked, what)[:common]
        scale = np.nanmax(np.abs(here), initial=0.0) or 1.0
        apart = np.abs(here / scale - there / scale).max(axis=1)
        largest = max(largest, float(np.nanmax(apart, initial=0.0)))
        allowed = _allowed(lone, shaken, what, data)[:common] / scale
        faults += [_told_values(what, here, there, n) for n in np.flatnonzero(apart > allowed)[:1]]
    if not _is_same(lone, again):  # or what rounding may do could not be told from what it does
        faults = [_told_repeat(lone, again), *faults]
    if not faults and (lone.outcome, lone.epochs) != (result.outcome, result.epochs):
        faults = _told_ends(cell.spec, stacked, lone, _allowed(lone, shaken, "loss", data))
    ends = (result.outcome, result.epochs), (lone.outcome, lone.epochs)
    return Difference(result.cell, largest, *ends, "; ".join(faults))


def _allowed(lone: Lone, shaken: Sequence[Lone], what: str, data: Dataset) -> Array:
    """(steps,): how far from the lone run's values rounding may lead, up to each of its steps."""
    here = _values(lone, what)
    most = _units(data) * np.fmax.accumulate(np.abs(here).max(axis=1))
    for other in shaken:
        there, common = _values(other, what), min(len(other.trajectory), len(here))
        apart = np.abs(here[:common] - there[:common]).max(axis=1)
        most[:common] = np.fmax(most[:common], apart)
    result: Array = TIMES * np.fmax.accumulate(most)
    return result


def _told_values(what: str, here: Array, there: Array, step: np.int64) -> str:
    column = int(np.abs(here[step] - there[step]).argmax())
    both = f"{there[step, column]:.9g} in the stack, {here[step, column]:.9g} alone"
    return f"{WHAT[what]} at step {step} is {both}"


def _is_same(one: Lone, other: Lone) -> bool:
    return one[1:] == other[1:] and all(
        np.array_equal(_values(one, what), _values(other, what), equal_nan=True) for what in WHAT
    )


def _told_repeat(one: Lone, other: Lone) -> str:
    """How a lone run differs from itself."""
    both = f"{_last_loss(one):.9g} at its end, then {_last_loss(other):.9g}"
    return f"alone, it does not come out the same twice: loss {both}"


def _last_loss(run: Lone) -> float:
    return float(run.trajectory.step_losses[-1])


def _told_ends(spec: Spec, stacked: Lone, lone: Lone, allowed: Array) -> list[str]:
    """What is wrong with another end, unless a loss is so near to its threshold."""
    step = min(stacked.epochs, lone.epochs)
    ends = {stacked.outcome, lone.outcome}
    if "diverged" in ends:  # the next step was not finite in one of them
        limit = float(np.finfo(lone.trajectory.parameters[1].dtype).max)
        one_apart = abs(stacked.epochs - lone.epochs) <= 1
        near = one_apart and _reaches(stacked, limit) and _reaches(lone, limit)
    else:
        loss, epoch = lone.trajectory.losses[1], lone.trajectory.epoch_steps
        near = step > 0 and abs(loss[step - 1] - spec.tolerance) <= allowed[step * epoch]
    there, here = (f"{one.outcome} at epoch {one.epochs}" for one in (stacked, lone))
    return [] if near else [f"{there} in the stack, {here} alone"]


def _reaches(run: Lone, limit: float) -> bool:
    """Whether its last values are so large that a further step may be past all numbers."""
    last = max(float(np.nanmax(np.abs(_values(run, what)[-1:]), initial=0.0)) for what in WHAT)
    return bool(last > np.sqrt(limit))


def _values(run: Lone, what: str) -> Array:
    """(steps, numbers): of parameters the norms, where not all are recorded at each step"""
    own = run.trajectory
    if what == "loss":
        return own.step_losses.astype(np.float64)[:, None]
    if what == "validation":
        column = own.column(VALIDATION)
        if column is None:
            return np.zeros((len(own), 1))
        return column.of(own.rows).astype(np.float64)
    steps, values = own.parameters
    if len(steps) < len(own):
        values = np.stack([norms for _, _, norms in own.told(PARAMETERS)], 1)
    return values.astype(np.float64)


def _units(data: Dataset) -> float:
    """What adding up the samples in another order may change, relative to the sum's terms."""
    return UNITS * float(np.sqrt(len(data.y)) * np.finfo(data.x.dtype).eps)


def _shaken(data: Dataset, rng: np.random.Generator) -> Dataset:
    """The samples, each number changed by a few units of rounding."""

    def changed(array: Any) -> Any:
        return (array * (1 + _units(data) * rng.uniform(-1, 1, array.shape))).astype(array.dtype)

    return data._replace(x=changed(data.x), y=data.y if data.classes else changed(data.y))


def _alone(spec: Spec, data: Dataset) -> Lone:
    """Return the lone run of a cell, which the plan has checked."""
    kept, ended = _Kept(), list[FinishedRun]()
    limits = stop.limits_of(spec)
    with isolated():
        experiment = compose(Checked(spec), data)
        drive.execute(
            experiment, [Start("", "", "")], limits, kept, [], lambda _, run: ended.append(run)
        )
    [run] = ended
    if run.failure is not None:
        raise run.failure
    return Lone(
        assembled([one.column for one in experiment.recorded], kept.rows),
        run.end.outcome,
        int(run.end.metrics["epochs_run"]),
    )


class _Kept:
    """A sink that keeps one run's rows in memory."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []

    def begin(self, start: Start) -> str:
        return ""

    def record(self, run: str, rows: Rows) -> None:
        self.rows.append(rows.copy())

    def attach(self, run: str, file: File) -> None:
        pass

    def end(self, run: str, end: End) -> None:
        pass

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()


def _recorded(runs: set[str], journals: Iterable[Path]) -> Mapping[str, Trajectory]:
    """What the journals have of these runs."""
    columns: dict[str, tuple[Column, ...]] = {}
    kept: dict[str, list[Rows]] = {run: [] for run in runs}
    for path in journals:
        for record in Reader(path).rest():
            if record.run not in kept:
                continue
            if isinstance(record.content, Start):
                columns[record.run] = declared(record.content)
            elif isinstance(record.content, np.ndarray):
                kept[record.run].append(record.content)
    return {run: assembled(columns[run], chunks) for run, chunks in kept.items()}
