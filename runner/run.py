"""One run: compose the experiment, take its steps, record and show them, stop."""

import math
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from runner import identity
from runner.cell import Cell
from runner.config import Values, check
from runner.console import Console, closing_block, epoch_line, painted, prediction_line, say
from runner.experiment import Experiment, compose
from runner.journal import End, Journal, JournalError, Start
from runner.loop.step import Step, is_finite
from runner.model import parameter_names
from runner.tracking.session import Settings, session
from runner.trajectory import Recorder

OUTCOMES = {
    "converged": "the loss fell below tolerance",
    "exhausted": "all epochs used",
    "diverged": "the loss or a parameter was no longer finite",
    "interrupted": "stopped by a signal",
    "failed": "an exception ended it",
}


class Run(NamedTuple):
    """A run that has ended."""

    id: str
    """In the journal."""
    end: End
    last: Step
    failure: Exception | None


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
    experiment = compose(cell.values)
    start = identity.start(cell, experiment.loop, experiment.tensors, tracked.store)
    console = Console(cell.values["epochs"])
    with signals(signal.SIGINT, signal.SIGTERM) as received:
        done = execute(cell.values, experiment, start, tracked.journal, console, received)
    console.say(_closing_block(experiment, done, start.name))
    if done.failure is not None:
        raise done.failure
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
    What a part raises ends the run as failed, and is returned. Raises JournalError.
    """
    run_id = journal.begin(start)
    recorder = Recorder(experiment.initial, partial(journal.record, run_id))
    predictions: dict[str, float] = {}
    outcome, failure = "failed", None
    started = time.perf_counter()
    try:
        predictions |= _predict(experiment, "before", experiment.initial, values, console)
        started = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            outcome = train(experiment, values, recorder, console, received)
    except KeyboardInterrupt:  # the second Ctrl-C, in the middle of a step
        outcome = "interrupted"
    except Exception as error:  # a model of somebody's
        failure = error
    seconds = time.perf_counter() - started
    console.close()
    try:
        recorder.flush()
    except JournalError as error:  # the disk is full, say, but the short end may still fit
        outcome, failure = "failed", failure or error
    if failure is None:
        final = recorder.last.parameters
        predictions |= _predict(experiment, "after", final, values, console)
    if failure is not None:
        reason = "".join(traceback.format_exception(failure))
    elif outcome == "interrupted":
        reason = stopped_by(received)
    else:
        reason = None
    loss, best = recorder.last.loss, float(recorder.best_loss)
    end = ended(outcome, recorder.epochs, loss, best, seconds, predictions, reason)
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
    epochs, tolerance = values["epochs"], values["tolerance"]
    print_every = values["print_every"]
    names = parameter_names(experiment.tensors)
    shown = 0.0
    for epoch, step in enumerate(islice(experiment.steps, epochs), 1):
        if not is_finite(step):
            return "diverged"
        now = time.time()
        recorder.add(step, now)
        if print_every and (epoch - 1) % print_every == 0:
            console.say(epoch_line(epoch, names, step.parameters, step.loss))
        if step.loss < tolerance:
            return "converged"
        if received:
            return "interrupted"
        if now - shown > 0.1:
            console.progress(epoch)
            shown = now
    return "exhausted"


@contextmanager
def signals(*numbers: int) -> Iterator[list[str]]:
    """Note the first of these signals, to be looked at between two steps; let a second act."""
    received: list[str] = []
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield received
        return

    def note(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        restore()


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
) -> End:
    """The end of a run that recorded so many epochs."""
    metrics = {"epochs_run": float(epochs), "seconds": seconds, **predictions}
    if epochs:
        metrics |= {"final_loss": final_loss, "best_loss": best_loss}
    tags = {"outcome": outcome}
    if outcome == "diverged":
        tags["diverged_at"] = str(epochs + 1)
    return End(outcome, metrics, tags, reason)


def _closing_block(experiment: Experiment, done: Run, name: str) -> str:
    end = done.end
    at = f" (at epoch {end.tags['diverged_at']})" if "diverged_at" in end.tags else ""
    return closing_block(
        {
            "loop": experiment.loop
            + ("" if experiment.device == "cpu" else f" on {experiment.device}"),
            "outcome": f"{painted(end.outcome, end.outcome)}: {OUTCOMES[end.outcome]}{at}",
            "epochs": f"{end.metrics['epochs_run']:.0f}",
            "final loss": f"{done.last.loss:.8g}",
            "seconds": f"{end.metrics['seconds']:.3f}",
            "run": name,
        }
    )
