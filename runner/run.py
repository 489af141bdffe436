"""One run: compose the experiment, take its steps, record and show them, stop."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from runner import identity, stop
from runner.cell import Cell
from runner.config import Values, check
from runner.console import Console, closing_block, epoch_line, painted, prediction_line, say
from runner.data import Draws
from runner.experiment import Experiment, compose
from runner.failure import summary, whole
from runner.journal import End, Journal, JournalError, Start
from runner.loop.step import Step, is_finite
from runner.model import parameter_names
from runner.tracking.session import Settings, session
from runner.trajectory import Recorder


class Run(NamedTuple):
    """A run that has ended."""

    id: str
    """In the journal."""
    end: End
    last: Step
    failure: BaseException | None


def run(cell: Cell) -> float:
    """Execute one config and show it; return its final loss, infinite if it diverged.

    A dry run says what would run, records nothing and has no final loss: NaN.

    Raises ConfigError before anything starts if the config cannot run, and SystemExit, with all
    that was recorded kept, if a signal stopped it; JournalError if it cannot be recorded.
    """
    check(cell.values, cell.choices)
    if cell.values["sweep"]["dry_run"]:
        say(f"1 cell: {identity.name(cell)}, loop {compose(cell.values).loop}; nothing is run")
        return math.nan
    tracked = session(Settings(**cell.values["tracking"], **cell.values["report"]))
    data = Draws().dataset(cell.values["dataset"], cell.values["dtype"])
    experiment = compose(cell.values, data)
    tags = {identity.DATA: data.digest}
    start = identity.start(cell, experiment.loop, experiment.tensors, tracked.store, tags)
    console = Console(cell.values["epochs"])
    with signals(signal.SIGINT, signal.SIGTERM) as received:
        done = execute(cell.values, experiment, start, tracked.journal, console, received)
    console.say(_closing_block(experiment, done, start.name))
    if isinstance(done.failure, Exception):
        raise done.failure
    if done.failure is not None:  # sys.exit(0), say: nobody else has to take it for an end
        raise RuntimeError(f"a part raised {summary(done.failure)}") from done.failure
    if done.end.outcome == "interrupted":
        raise SystemExit(128 + signal.Signals[(received or ["SIGINT"])[0]])
    return math.inf if done.end.outcome == "diverged" else done.last.loss


def execute(
    values: Values,
    experiment: Experiment,
    start: Start,
    journal: Journal,
    console: Console,
    received: Sequence[str],
) -> Run:
    """Take the experiment's steps and record them, until it stops or is stopped.

    Once `received` is not empty, its first word says by what: SIGINT, say.
    What a part raises, be it SystemExit, ends the run as failed, and is returned. Raises
    JournalError.
    """
    run_id = journal.begin(start)
    recorder = Recorder(experiment.initial, partial(journal.record, run_id))
    predictions: dict[str, float] = {}
    outcome, failure = "failed", None  # type: str, BaseException | None
    started = time.perf_counter()
    try:
        predictions |= _predict(experiment, "before", experiment.initial, values, console)
        started = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            outcome = train(experiment, values, recorder, console, received)
    except KeyboardInterrupt:  # the second Ctrl-C, in the middle of a step
        outcome = "interrupted"
    except BaseException as error:  # whatever a part of somebody's raises
        failure = error
    seconds = time.perf_counter() - started
    console.close()
    try:
        recorder.flush()
    except JournalError as error:  # the disk is full, say, but the short end may still fit
        outcome, failure = "failed", failure or error
    if failure is None:
        try:
            final = recorder.last.parameters
            predictions |= _predict(experiment, "after", final, values, console)
        except KeyboardInterrupt:
            outcome = "interrupted"
        except BaseException as error:
            outcome, failure = "failed", error
    reason = brief = None
    if failure is not None:
        reason, brief = whole(failure), summary(failure)
    elif outcome == "interrupted":
        reason = stopped_by(received)
    loss, best = recorder.last.loss, float(recorder.best_loss)
    end = ended(outcome, recorder.epochs, loss, best, seconds, predictions, reason, brief)
    journal.end(run_id, end)
    return Run(run_id, end, recorder.last, failure)


def train(
    experiment: Experiment,
    values: Values,
    recorder: Recorder,
    console: Console,
    received: Sequence[str],
) -> str:
    """Take steps until one of the reasons to stop; the outcome."""
    limits = stop.limits(values["epochs"], values["tolerance"])
    print_every = values["print_every"]
    names = parameter_names(experiment.tensors)
    shown = 0.0
    for epoch, step in enumerate(experiment.steps, 1):
        outcome = stop.stopped(not is_finite(step), step.loss, epoch, limits)
        if outcome == "diverged":  # what is no number is not recorded
            return outcome
        now = time.time()
        recorder.add(step, now)
        if print_every and (epoch - 1) % print_every == 0:
            console.say(epoch_line(epoch, names, step.parameters, step.loss))
        if outcome:
            return outcome
        if received:
            return "interrupted"
        if now - shown > 0.1:
            console.progress(epoch)
            shown = now
    raise AssertionError("a loop never ends by itself")


@contextmanager
def signals(*numbers: int) -> Iterator[list[str]]:
    """Note the first of these signals, to be looked at between two steps; let a second act."""
    received: list[str] = []
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield received
        return

    def note(number: int, frame: FrameType | None) -> None:
        # Not the former handler yet: Python drops a signal, and prints a traceback, that came
        # together with this one and by now has a handler of the system's.
        for other in numbers:
            signal.signal(other, act)
        received.append(signal.Signals(number).name)

    def act(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        signal.raise_signal(number)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_by(received: Sequence[str]) -> str:
    """Why a run was interrupted; a second Ctrl-C is not received, and acts at once."""
    return f"stopped by {(received or ['SIGINT'])[0]}"


def _predict(
    experiment: Experiment, when: str, parameters: Any, values: Values, console: Console
) -> dict[str, float]:
    """Say and return the prediction at the dataset's probe point, if it has one."""
    if experiment.predict is None:
        return {}
    value = experiment.predict(parameters)
    console.say(prediction_line(when, values["dataset"]["probe"], value))
    return {f"prediction_{when}": value}


def ended(
    outcome: str,
    epochs: int,
    final_loss: float,
    best_loss: float,
    seconds: float,
    predictions: Mapping[str, float],
    reason: str | None = None,
    summary: str | None = None,
) -> End:
    """The end of a run that recorded so many epochs."""
    metrics = {"epochs_run": float(epochs), "seconds": seconds, **predictions}
    if epochs:
        metrics |= {"final_loss": final_loss, "best_loss": best_loss}
    tags = {"outcome": outcome}
    if outcome == "diverged":
        tags["diverged_at"] = str(epochs + 1)
    return End(outcome, metrics, tags, reason, summary=summary)


def _closing_block(experiment: Experiment, done: Run, name: str) -> str:
    end = done.end
    at = f" (at epoch {end.tags['diverged_at']})" if "diverged_at" in end.tags else ""
    return closing_block(
        {
            "loop": experiment.loop
            + ("" if experiment.device == "cpu" else f" on {experiment.device}"),
            "outcome": f"{painted(end.outcome, end.outcome)}: {stop.OUTCOMES[end.outcome]}{at}",
            "epochs": f"{end.metrics['epochs_run']:.0f}",
            "final loss": f"{done.last.loss:.8g}",
            "seconds": f"{end.metrics['seconds']:.3f}",
            "run": name,
        }
    )
