"""A stack's steps: recorded for each cell, and each cell stopped where it would have alone."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import stop
from runner.drive import ended
from runner.failure import summary, whole
from runner.journal import End, Journal, JournalError, Start
from runner.signals import stopped_by
from runner.stack import Stacked
from runner.trajectory import norms, row_type

Array = NDArray[np.floating[Any]]
Tell = Callable[[int, str, End], None]
"""Told of each cell that has ended: its place in the stack, its run in the journal, how."""

CHUNK_BYTES = 16 * 2**20  # what is collected before it goes to the journal
CHUNK_SECONDS = 0.5  # or how long, if writing it does not take most of that time
WRITING_SHARE = 0.1


def execute(
    stack: Stacked,
    starts: Sequence[Start],
    limits: stop.Limits,
    journal: Journal,
    received: Sequence[str],
    tell: Tell,
) -> None:
    """Take the stack's steps until every cell has stopped, or all are, as `drive.execute` is.

    What a part raises ends the cells that go on as failed. Raises JournalError.
    """
    with journal.together():
        runs = [journal.begin(start) for start in starts]
    recorder = _Recorder(stack, runs, journal, tell)
    failure: BaseException | None = None
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            recorder.predict_before()
            _train(stack, limits, recorder, received)
            recorder.interrupt(stopped_by(received))
    except KeyboardInterrupt:  # the second Ctrl-C, in the middle of a step
        recorder.interrupt(stopped_by(received))
    except JournalError:
        raise
    except BaseException as error:  # whatever a part of somebody's raises
        failure = error
    if failure is not None:
        recorder.fail(failure)
    recorder.flush()


def _train(
    stack: Stacked, limits: stop.Limits, recorder: "_Recorder", received: Sequence[str]
) -> None:
    """Take steps, as `runner.drive` does for one cell."""
    step = next(stack.steps)
    while True:
        now = time.time()
        lost = ~(np.isfinite(step.loss) & np.isfinite(step.parameters).all(axis=1))
        loss = step.loss.astype(np.float64)
        own = limits.of(recorder.places)
        (diverged, where), *others = stop.stopped_cells(lost, loss, recorder.epoch + 1, own)
        recorder.end(where, diverged)  # what is no number is not recorded
        recorder.add(step, now)
        for outcome, where in others:
            recorder.end(where, outcome)
        if received or not recorder.goes_on.any():
            return
        if recorder.is_due(now):
            recorder.flush()
        if recorder.goes_on.all():
            step = next(stack.steps)
        elif 2 * np.count_nonzero(recorder.goes_on) <= len(recorder.goes_on):
            step = stack.steps.send(recorder.compact())
        else:
            step = next(stack.steps)


class _Recorder:
    """Collects the steps of the cells that are still computed, and hands them to the journal.

    Every array of cells is over those; `places` are theirs in the stack.
    """

    def __init__(self, stack: Stacked, runs: Sequence[str], journal: Journal, tell: Tell) -> None:
        self._runs, self._journal, self._tell = runs, journal, tell
        self._predict = stack.predict
        initial = stack.initial
        cells, parameters = initial.shape
        self._kind = row_type(parameters, initial.dtype)
        self._room = max(2, CHUNK_BYTES // (self._kind.itemsize * cells))
        self._before: Array | None = None
        self._initial = initial
        self.places = np.arange(cells)
        self.goes_on = np.ones(cells, bool)
        self.epoch = 0
        self._share = 0.0  # seconds that each cell has had of the stack's time
        self._then = time.perf_counter()
        self._best: Array = np.full(cells, np.inf)
        self._ends: dict[int, End] = {}  # of cells whose rows are not written yet
        self._last_row = np.full(cells, -1)  # of a cell that has ended, in the chunk
        self._final = initial.copy()
        self._final_loss = np.full(cells, np.nan)
        self._times: list[float] = []
        self._steps: list[tuple[Array, Array, Array]] = []
        self._first = 0
        self._writing = False
        self._due = time.time() + CHUNK_SECONDS
        nothing = np.full(cells, np.nan)
        self._append(nothing, initial, np.full_like(initial, np.nan), time.time())

    def add(self, step: Any, now: float) -> None:
        """Record the next epoch's step, made at `now`, for the cells that go on."""
        self.epoch += 1
        self._append(step.loss, step.parameters, step.gradient, now)
        on = self.goes_on
        self._best[on] = np.fmin(self._best[on], step.loss[on])
        self._final_loss[on] = step.loss[on]
        self._final[on] = step.parameters[on]
        then, self._then = self._then, time.perf_counter()
        self._share += (self._then - then) / (int(on.sum()) or 1)

    def _append(self, loss: Array, parameters: Array, gradient: Array, now: float) -> None:
        self._times.append(now)
        self._steps.append((loss, parameters, gradient))

    def is_due(self, now: float) -> bool:
        """Whether what is collected is to be written now."""
        return len(self._steps) >= self._room or now > self._due

    def predict_before(self) -> None:
        """Predict at the probe point, if there is one, before the first step."""
        if self._predict is not None:
            self._before = self._predict(self._initial, self.places)

    def interrupt(self, reason: str) -> None:
        """End the cells that go on: something has stopped them."""
        self.end(self.goes_on, "interrupted", reason)

    def fail(self, failure: BaseException) -> None:
        """End the cells that go on: a part has raised this."""
        self.end(self.goes_on, "failed", whole(failure), summary(failure))

    def end(
        self,
        where: NDArray[np.bool_],
        outcome: str,
        reason: str | None = None,
        brief: str | None = None,
    ) -> None:
        """End those cells of them that go on, after what is recorded of them."""
        cells = np.flatnonzero(where & self.goes_on)
        if not len(cells):
            return
        places, after = self.places[cells], None
        if self._predict is not None and outcome != "failed":
            try:
                after = self._predict(self._final[cells], places)
            except KeyboardInterrupt:
                raise
            except BaseException as failure:  # whatever a part of somebody's raises
                outcome, reason, brief = "failed", whole(failure), summary(failure)
        before = None if self._before is None else self._before[places]
        self.goes_on[cells] = False
        self._last_row[cells] = len(self._steps)
        for number, cell in enumerate(cells.tolist()):
            said = {} if before is None else {"prediction_before": float(before[number])}
            said |= {} if after is None else {"prediction_after": float(after[number])}
            loss, best = float(self._final_loss[cell]), float(self._best[cell])
            self._ends[cell] = ended(
                outcome, self.epoch, loss, best, self._share, said, reason, brief
            )

    def flush(self) -> None:
        """Write what is collected, and the ends of the cells that have ended."""
        if self._writing:  # a second Ctrl-C came just then: who knows what is written already?
            return
        self._writing = True
        started = time.time()
        rows = self._rows()
        told = []
        with self._journal.together():
            for cell, place in enumerate(self.places.tolist()):
                run, last = self._runs[place], self._last_row[cell]
                own = rows[cell] if self.goes_on[cell] else rows[cell, : max(0, last)]
                if len(own):
                    self._journal.record(run, own)
                if cell in self._ends:
                    self._journal.end(run, self._ends[cell])
                    told.append((place, run, self._ends[cell]))
        self._first += len(self._steps)
        self._times, self._steps, self._ends = [], [], {}
        self._last_row[~self.goes_on] = 0
        for one in told:
            self._tell(*one)
        self._writing = False
        now = time.time()
        self._due = now + max(CHUNK_SECONDS, (now - started) / WRITING_SHARE)

    def compact(self) -> NDArray[np.int64]:
        """Write, forget the cells that have ended, and say which go on."""
        self.flush()
        kept = np.flatnonzero(self.goes_on)
        for name in ("places", "goes_on", "_best", "_last_row", "_final", "_final_loss"):
            setattr(self, name, getattr(self, name)[kept])
        return kept

    def _rows(self) -> NDArray[np.void]:
        """What is collected as rows, (cells, steps)."""
        steps, cells = len(self._steps), len(self.places)
        rows = np.empty((cells, steps), self._kind)
        if not steps:
            return rows
        rows["step"] = np.arange(self._first, self._first + steps)
        rows["time"] = self._times
        loss, parameters, gradient = (np.stack(part, 1) for part in zip(*self._steps, strict=True))
        rows["loss"], rows["parameters"] = loss, parameters
        with np.errstate(over="ignore", invalid="ignore"):  # of cells that have diverged
            flat = norms(gradient.reshape(cells * steps, -1))
        rows["grad_norm"] = flat.reshape(cells, steps)
        return rows
