"""The one driver: takes the steps of a run, or of all cells of a stack, records them, stops."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from runner import stop
from runner.epoch import Seen
from runner.experiment import Experiment
from runner.failure import summary, whole
from runner.journal import End, JournalError, Sink, Start
from runner.program.step import Step, is_finite
from runner.recorder import Figures, Recorder
from runner.signals import stopped_by

CHUNK_SECONDS = 0.5  # what is collected is handed on when it is so old
WRITING_SHARE = 0.1  # but writing is to take no more than this share of the time


class Run(NamedTuple):
    """A run that has ended."""

    id: str
    """In the journal."""
    end: End
    final_loss: float
    failure: BaseException | None


Tell = Callable[[int, Run], None]
"""Told of each cell that has ended: its index in the stack, and how."""


class Look(Protocol):
    """Shows a run by itself to a person."""

    def predicted(self, when: str, value: float) -> None: ...

    def step(self, seen: Seen, step: Step, now: float) -> None: ...


def execute(
    experiment: Experiment,
    starts: Sequence[Start],
    limits: stop.Limits,
    journal: Sink,
    received: Sequence[str],
    tell: Tell,
    look: Look | None = None,
) -> None:
    """Take steps and record them until every cell has stopped, or all are stopped.

    `starts` and `limits` are those of the cells, or of the one run. Once `received` is not empty,
    its first word says by what they are stopped: SIGINT, say. What a part raises, be it SystemExit,
    ends the cells that go on as failed; so does what cannot be recorded, if that at least can.

    Raises JournalError.
    """
    with journal.together() if len(starts) > 1 else nullcontext():
        runs = [journal.begin(start) for start in starts]
    cells = _Cells(experiment, runs, journal, tell, look)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            cells.predict_before()
            train(experiment, limits, cells, received, look)
        cells.end(cells.goes_on, "interrupted", stopped_by(received))
    except KeyboardInterrupt:  # the second Ctrl-C, in the middle of a step
        cells.end(cells.goes_on, "interrupted", stopped_by(received))
    except BaseException as error:  # whatever a part of somebody's raises
        cells.end(cells.goes_on, "failed", failure=error)
    cells.finish()


def train(
    experiment: Experiment,
    limits: stop.Limits,
    cells: "_Cells",
    received: Sequence[str],
    look: Look | None = None,
) -> None:
    """Take steps until each cell has a reason to stop, or all are stopped."""
    program, batches, epochs = experiment.program, experiment.batches, experiment.epochs()
    for batch in batches:
        step = program.advance(batch, 1.0)
        finite = is_finite(step)
        seen = epochs.after(step, batch[1])
        ended = stop.ended(finite, seen.loss, seen.epochs, limits)
        now = time.time()
        if ended and ended[0][0] == "diverged":  # what is no number is not recorded
            cells.end(ended[0][1], "diverged")
            if not cells.left:
                return
        cells.add(step, now, seen.told)
        if look is not None:
            look.step(seen, step, now)
        for outcome, where in ended:
            cells.end(where, outcome)
        if received or not cells.left:
            return
        if kept := cells.hand_on(now):
            for part in (program, batches, epochs):
                part.keep(kept[0])
            limits = limits.of(kept[0])
    raise AssertionError("a stream of batches never ends")


class _Cells:
    """What is recorded of the cells that are still computed, and how each ends.

    Every array of cells is over those; `_indices` are theirs in the stack. A run by itself is one.
    """

    def __init__(
        self,
        experiment: Experiment,
        runs: Sequence[str],
        journal: Sink,
        tell: Tell,
        look: Look | None,
    ) -> None:
        self._runs, self._journal, self._tell, self._look = runs, journal, tell, look
        self._predict, self._initial = experiment.predict, np.atleast_2d(experiment.initial)
        self._recorder = Recorder(
            experiment.recorded, experiment.initial, time.time(), experiment.spacing
        )
        self._epoch_steps = len(experiment.batches.sizes)
        self._indices = np.arange(len(runs))
        self.goes_on = np.ones(len(runs), bool)
        self.left = len(runs)
        self._before: NDArray[np.floating[Any]] | None = None
        self._ended: dict[int, Run] = {}  # whose rows are not written yet
        self._share = 0.0  # seconds that each cell has had of the program's time
        self._then = time.perf_counter()
        self._due = time.time() + CHUNK_SECONDS
        self._is_writing = False
        self._written = 0  # records of the chunk, where a Ctrl-C has come between two

    def predict_before(self) -> None:
        """Predict at the probe point, if there is one, before the first step."""
        if self._predict is not None:
            self._before = self._predict(self._initial, self._indices)
            if self._look is not None:
                self._look.predicted("before", float(self._before[0]))
        self._then = time.perf_counter()

    def add(self, step: Step, now: float, told: Mapping[str, Any]) -> None:
        """Record the next step, made at `now`, for the cells that go on, and what is told of it."""
        self._recorder.add(step, now, told)

    def end(
        self,
        where: NDArray[np.bool_],
        outcome: str,
        reason: str | None = None,
        failure: BaseException | None = None,
    ) -> None:
        """End those cells of them that go on, after what is recorded of them."""
        cells = np.flatnonzero(where & self.goes_on)
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
        self.goes_on[cells] = False
        self.left -= len(cells)
        for number, (cell, own) in enumerate(zip(cells.tolist(), figures, strict=True)):
            said = {}
            if self._before is not None:
                said["prediction_before"] = float(self._before[self._indices[cell]])
            if after is not None:
                said["prediction_after"] = float(after[number])
            end = _end(outcome, own, self._epoch_steps, self._share, said, reason, failure)
            run = self._runs[self._indices[cell]]
            self._ended[cell] = Run(run, end, own.final_loss, failure)

    def _predicted_after(self, cells: Any, figures: Sequence[Figures]) -> Any:
        assert self._predict is not None
        parameters = np.stack([own.parameters for own in figures])
        with np.errstate(over="ignore", invalid="ignore"):
            after = self._predict(parameters, self._indices[cells])
        if self._look is not None:
            self._look.predicted("after", float(after[0]))
        return after

    def hand_on(self, now: float) -> list[NDArray[np.int64]]:
        """Write what is due; once half of the cells have ended, the indices of those that go on."""
        if 2 * self.left <= len(self.goes_on):
            self._flush()
            kept = np.flatnonzero(self.goes_on)
            self._indices, self.goes_on = self._indices[kept], self.goes_on[kept]
            self._recorder.keep(kept)
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
                self._tell(int(self._indices[cell]), run)
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
        self._written, self._ended = 0, {}
        for cell, run in ended.items():
            self._tell(int(self._indices[cell]), run)
        self._is_writing = False
        now = time.time()
        self._due = now + max(CHUNK_SECONDS, (now - started) / WRITING_SHARE)

    def _write(self, *, together: bool) -> None:
        with self._journal.together() if together else nullcontext():
            for number, (cell, rows) in enumerate(self._recorder.rows()):
                if number >= self._written:
                    self._journal.record(self._runs[self._indices[cell]], rows)
                    self._written = number + 1
            for run in self._ended.values():
                self._journal.end(run.id, run.end)


def _end(
    outcome: str,
    figures: Figures,
    epoch_steps: int,
    seconds: float,
    predictions: Mapping[str, float],
    reason: str | None,
    failure: BaseException | None,
) -> End:
    """The end of a run that recorded so much."""
    epochs = figures.steps // epoch_steps
    metrics = {"epochs_run": float(epochs), "seconds": seconds, **predictions}
    if epochs:
        metrics |= {"final_loss": figures.final_loss, "best_loss": figures.best_loss}
        metrics |= {f"final_{name}": value for name, value in figures.told.items()}
    tags = {"outcome": outcome}
    if outcome == "diverged":
        tags["diverged_at"] = str(figures.steps + 1)
    if failure is None:
        return End(outcome, metrics, tags, reason)
    return End(outcome, metrics, tags, whole(failure), summary=summary(failure))


def _failed(run: Run, error: Exception) -> Run:
    """The run, of which not everything could be recorded."""
    failure = run.failure or error
    end = replace(run.end, outcome="failed", tags={"outcome": "failed"}, reason=whole(failure))
    return run._replace(end=replace(end, summary=summary(failure)), failure=failure)
