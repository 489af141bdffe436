"""A unit of work: a slice of a stack, or a lone cell."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from runner.base.colour import colour
from runner.base.failure import summary
from runner.config.cell import Cell
from runner.config.spec import Checked
from runner.dataset.samples import Dataset
from runner.engine import drive, identity, stop
from runner.engine.experiment import Experiment, compose
from runner.engine.fingerprint import TAG
from runner.engine.isolated import isolated
from runner.engine.pruning import pruning
from runner.engine.recording import FinishedRun
from runner.engine.stack import Parts, stack
from runner.errors import JournalError
from runner.record.journal import Sink, Start
from runner.sweeps.executors.result import Result, result


class Work(NamedTuple):
    """Cells that one process executes together, with all that it needs to know."""

    numbers: Sequence[int]
    """Of the cells in the sweep."""
    cells: Sequence[Cell]
    """Which the plan has checked"""
    data: Sequence[Dataset]
    """Of each cell: drawn once for the sweep, since another process might draw otherwise."""
    fingerprints: Sequence[str]
    parts: Sequence[Parts] | None
    """What the cells bring to a stack; None if each runs alone."""
    parent: str
    """The sweep's own run in the journal."""
    store: str

    def only(self, numbers: set[int]) -> "Work":
        """The part of it with these cells."""
        kept = [index for index, number in enumerate(self.numbers) if number in numbers]
        return self._replace(
            numbers=[self.numbers[index] for index in kept],
            cells=[self.cells[index] for index in kept],
            data=[self.data[index] for index in kept],
            fingerprints=[self.fingerprints[index] for index in kept],
            parts=self.parts and [self.parts[index] for index in kept],
        )


Tell = Callable[[Result], None]


def do(work: Work, journal: Sink, received: Sequence[str], tell: Tell) -> None:
    """Execute the cells; `tell` each result. Ends early once it is stopped, as `drive.execute` is.

    A cell that fails is a result like any other. Raises JournalError.
    """
    try:
        with isolated():
            (_stack if work.parts else _alone)(work, journal, received, tell)
    except JournalError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # before a run has begun: no memory, say
        traceback.clear_frames(error.__traceback__)
        for number in work.numbers:
            tell(Result(number, "failed", reason=summary(error)))


def _alone(work: Work, journal: Sink, received: Sequence[str], tell: Tell) -> None:
    for index, cell in enumerate(work.cells):
        experiment = compose(Checked(cell.spec), work.data[index])
        _execute(work.only({work.numbers[index]}), experiment, journal, received, tell)


def _stack(work: Work, journal: Sink, received: Sequence[str], tell: Tell) -> None:
    assert work.parts
    _execute(work, stack(work.parts), journal, received, tell)


def _execute(
    work: Work, made: Experiment, journal: Sink, received: Sequence[str], tell: Tell
) -> None:
    starts = [_start(work, index, made) for index in range(len(work.cells))]
    own = [stop.limits_of(cell.spec) for cell in work.cells]

    def ended(index: int, run: FinishedRun) -> None:
        if isinstance(run.failure, JournalError):
            raise run.failure
        tell(result(work.numbers[index], run.id, run.end))

    limits = stop.together(own) if work.parts else own[0]
    every = work.cells[0].spec.checkpoint.every
    own_pruning = None
    if work.parts:
        configs, steps = [cell.values for cell in work.cells], len(made.batches.sizes)
        own_pruning = pruning(configs, _pruned_by(work), limits, steps)
    drive.execute(made, starts, limits, journal, received, ended, every=every, pruning=own_pruning)


def _pruned_by(work: Work) -> str | None:
    """The quantity by which cells are given up."""
    chosen = work.cells[0].spec.sweep
    return chosen.minimise if chosen.prune else None


def _start(work: Work, index: int, made: Experiment) -> Start:
    number = work.numbers[index]
    tags = {TAG: work.fingerprints[index], "cell": str(number)}
    tags["stacked"] = str(bool(work.parts)).lower()
    # MLflow's own choice repeats itself: of four cells, three may be of the same green.
    tags["mlflow.runColor"] = colour(number)
    cell = work.cells[index]
    start = identity.start(cell, made, work.data[index], work.store, tags)
    how = dict(start.how)
    if how["checkpoint"]["every"]:
        how["unit"] = work.numbers[0]
        how["pruned_by"] = _pruned_by(work)
        how["cell"] = {"choices": dict(cell.choices), "overrides": list(cell.overrides)}
    return replace(start, parent=work.parent, how=how)
