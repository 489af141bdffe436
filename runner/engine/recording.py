"""What is recorded of a run, or of the cells of a stack, and how each ends."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from runner.base.arrays import Array, Flags, Index, State
from runner.base.failure import summary, whole
from runner.engine import ending, stop
from runner.engine.batches import FullBatch
from runner.engine.epoch import Seen, Told
from runner.engine.experiment import Experiment
from runner.engine.patience import Patience
from runner.engine.program.step import Step
from runner.engine.recorder import FinalFigures, Recorder
from runner.errors import JournalError
from runner.record.journal import End, File, Rows, Sink

CHUNK_SECONDS = 0.5  # what is collected is handed on when it is so old
WRITING_SHARE = 0.1  # but writing is to take no more than this share of the time


class FinishedRun(NamedTuple):
    """A run that has ended."""

    id: str
    """In the journal."""
    end: End
    final_loss: float
    failure: BaseException | None
    parameters: Array
    """(parameters,): where it was best, with patience, and else at its end"""


Tell = Callable[[int, FinishedRun], None]
"""Told of each cell that has ended: its index in the stack, and how."""


Known = Mapping[tuple[str, tuple[str, ...]], int]
"""By run and names of the fields, the last step of which there are rows already"""


class Look(Protocol):
    """Shows a run by itself to a person."""

    def predicted(self, when: str, value: float) -> None: ...

    def step(self, seen: Seen, step: Step, now: float) -> None: ...


class Recording:
    """What is recorded of the cells that are still computed, and how each ends.

    Every array of cells is over those; `indices` are theirs in the stack. A run by itself is one.
    """

    def __init__(
        self,
        experiment: Experiment,
        runs: Sequence[str],
        limits: stop.Limits,
        journal: Sink,
        tell: Tell,
        look: Look | None,
    ) -> None:
        self._runs, self._journal, self._tell, self._look = runs, journal, tell, look
        self._predict, self._initial = experiment.predict, np.atleast_2d(experiment.initial)
        self._recorder = Recorder(
            experiment.recorded, experiment.initial, time.time(), experiment.spacing
        )
        self._measuring = experiment.measuring
        self._epoch_steps, self._tensors = len(experiment.batches.sizes), experiment.tensors
        self.patience: Patience | None = None
        if limits.is_patient:
            is_whole = isinstance(experiment.batches, FullBatch) and experiment.validation is None
            self.patience = Patience(experiment.initial, limits.min_delta, is_before=is_whole)
        self.indices = np.arange(len(runs))
        self.open = np.ones(len(runs), bool)
        self.left = len(runs)
        self._before: Array | None = None
        self._ended: dict[int, FinishedRun] = {}  # whose rows are not written yet
        self._files: dict[int, File] = {}  # theirs
        self._share = 0.0  # seconds that each cell has had of the program's time
        self._then = time.perf_counter()
        self._due = time.time() + CHUNK_SECONDS
        self._is_writing = False
        self._written = 0  # records of the chunk, where a Ctrl-C has come between two
        self._known: Known = {}
        self._tags: Mapping[str, str] = dict[str, str]()

    def state(self) -> State:
        """Where the cells are, once all that has come of them is written."""
        self._flush()
        return {
            "recorder": self._recorder.state(),
            "patience": self.patience and self.patience.state(),
            "indices": self.indices,
            "goes on": self.open,
            "before": self._before,
            "share": self._share + (time.perf_counter() - self._then) / max(1, self.left),
        }

    def restore(self, state: State) -> None:
        """Go on from there."""
        self._recorder.restore(state["recorder"])
        if self.patience:
            self.patience.restore(state["patience"])
        self.indices, self.open = state["indices"], state["goes on"]
        self._before, self._share = state["before"], state["share"]
        self.left = int(self.open.sum())
        self._then = time.perf_counter()

    def goes_on(self, known: Known, tags: Mapping[str, str]) -> None:
        """Skip rows that are in the journal already, and give the end these tags."""
        self._known, self._tags = known, tags

    def predict_before(self) -> None:
        """Predict at the probe point, if there is one, before the first step."""
        if self._predict is not None:
            self._before = self._predict(self._initial, self.indices)
            if self._look is not None:
                self._look.predicted("before", float(self._before[0]))
        self._then = time.perf_counter()

    def add(self, step: Step, now: float, told: Told) -> None:
        """Record the next step, made at `now`, for the cells that go on, and what is told of it."""
        self._recorder.add(step, now, told)

    def all_end(self, ended: Sequence[tuple[str, Flags]]) -> bool:
        """Whether none goes on after a step with which these cells end."""
        return bool(ended) and not (self.open & ~np.any([c for _, c in ended], axis=0)).any()

    def end(
        self,
        where: Flags,
        outcome: str,
        reason: str | None = None,
        failure: BaseException | None = None,
    ) -> None:
        """End those cells of them that go on, after what is recorded of them."""
        cells = np.flatnonzero(where & self.open)
        if not len(cells):
            return
        now, then = time.perf_counter(), self._then
        self._share, self._then = self._share + (now - then) / self.left, now
        figures, after = self._recorder.end(cells), None
        if self._predict is not None and failure is None:
            try:
                after = self._predicted_after(cells, figures)
            except KeyboardInterrupt:
                self._predict = None  # not once more
                raise
            except BaseException as error:  # whatever a part of somebody's raises
                outcome, failure = "failed", error
        self.open[cells] = False
        self.left -= len(cells)
        for number, (cell, own) in enumerate(zip(cells.tolist(), figures, strict=True)):
            said = {}
            if self._before is not None:
                said["prediction_before"] = float(self._before[self.indices[cell]])
            if after is not None:
                said["prediction_after"] = float(after[number])
            best = self.patience.best(cell) if self.patience else None
            if best and best.epoch:
                own = own._replace(best_loss=best.loss)
                said["best_epoch"] = float(best.epoch)
                self._files[cell] = ending.best_file(best, self._tensors)
            end = ending.end(outcome, own, self._epoch_steps, self._share, said, reason, failure)
            if self._measuring:
                end = replace(end, tags={**end.tags, "measured": self._measuring.cost()})
            if self._tags:  # a reason of the end before holds no more
                own_reason = {} if end.reason else {"reason": ""}
                end = replace(end, tags={**end.tags, **own_reason, **self._tags})
            run = self._runs[self.indices[cell]]
            kept = best.parameters if best and best.epoch else own.parameters
            self._ended[cell] = FinishedRun(run, end, own.final_loss, failure, kept)

    def _predicted_after(self, cells: Index, figures: Sequence[FinalFigures]) -> Array:
        assert self._predict is not None
        parameters = np.stack([own.parameters for own in figures])
        with np.errstate(over="ignore", invalid="ignore"):
            after = self._predict(parameters, self.indices[cells])
        if self._look is not None:
            self._look.predicted("after", float(after[0]))
        return after

    def hand_on(self, now: float) -> list[Index]:
        """Write what is due; once half of the cells have ended, the indices of those that go on."""
        if 2 * self.left <= len(self.open):
            self._flush()
            kept = np.flatnonzero(self.open)
            self.indices, self.open = self.indices[kept], self.open[kept]
            self._recorder.keep(kept)
            if self.patience:
                self.patience.keep(kept)
            return [kept]
        if self._recorder.is_full or now > self._due:
            self._flush()
        return []

    def finish(self) -> None:
        """Write what is left. Where not all of it fits any more, the short ends may still."""
        try:
            self._flush()
        except JournalError as error:
            failed = {cell: _failed(run, error) for cell, run in self._ended.items()}
            for run in failed.values():
                self._journal.end(run.id, run.end)
            for cell, run in failed.items():
                self._tell(int(self.indices[cell]), run)
        except Exception as error:  # what a measure raises; it is not asked again
            self._ended = {cell: _failed(run, error) for cell, run in self._ended.items()}
            self._flush()

    def _flush(self) -> None:
        """Write what is collected, and the ends of the cells that have ended."""
        several = len(self._runs) > 1
        if (
            self._is_writing and several
        ):  # a second Ctrl-C came just then: who knows what is written?
            return
        self._is_writing = True
        started = time.time()
        ended = self._ended
        try:
            self._write(together=several)
        except Exception:
            self._is_writing = False  # for sure it is not written
            raise
        self._recorder.forget()
        self._written, self._ended, self._files = 0, {}, {}
        for cell, run in ended.items():
            self._tell(int(self.indices[cell]), run)
        self._is_writing = False
        now = time.time()
        self._due = now + max(CHUNK_SECONDS, (now - started) / WRITING_SHARE)

    def _write(self, *, together: bool) -> None:
        with self._journal.together() if together else nullcontext():
            for number, (cell, rows) in enumerate(self._recorder.rows()):
                if number >= self._written:
                    self._record(self._runs[self.indices[cell]], rows)
                    self._written = number + 1
            for cell, file in self._files.items():
                self._journal.attach(self._runs[self.indices[cell]], file)
            for run in self._ended.values():
                self._journal.end(run.id, run.end)

    def _record(self, run: str, rows: Rows) -> None:
        rows = rows[rows["step"] > self._known.get((run, rows.dtype.names or ()), -1)]
        if len(rows):
            self._journal.record(run, rows)


def _failed(run: FinishedRun, error: Exception) -> FinishedRun:
    """The run, of which not everything could be recorded."""
    failure = run.failure or error
    end = replace(run.end, outcome="failed", tags={"outcome": "failed"}, reason=whole(failure))
    return run._replace(end=replace(end, summary=summary(failure)), failure=failure)
