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
from typing import Any

import numpy as np

from runner import identity
from runner.config import Values, check
from runner.console import Console, closing_block, epoch_line, prediction_line
from runner.experiment import Experiment, compose
from runner.journal import End, Start
from runner.loop.step import is_finite
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


def run(values: Values, choices: Mapping[str, Any], overrides: Sequence[str]) -> float:
    """Execute one config; return its final loss, infinite if it diverged.

    `choices` maps each config group to the option chosen, `overrides` is what the command line
    changed. Raises ConfigError before anything starts if the config cannot run, and SystemExit,
    with all that was recorded kept, if a signal stopped it; JournalError if it cannot be recorded.
    """
    check(values)
    tracked = session(Settings(**values["tracking"]))
    experiment = compose(values)
    start = Start(
        name=identity.name(values, choices, overrides),
        store=tracked.store,
        experiment=values["tracking"]["experiment"],
        params=identity.params(values, choices),
        tags={"loop": experiment.loop, **identity.tags(overrides)},
        config=identity.defining(values),
        tensors=experiment.tensors,
    )
    journal = tracked.journal
    run_id = journal.begin(start)
    console = Console(values["epochs"])
    recorder = Recorder(experiment.initial, partial(journal.record, run_id))
    predictions = _predict(experiment, "before", experiment.initial, values, console)
    outcome, failure, received = "failed", None, list[int]()
    started = time.perf_counter()
    try:
        with _signals(received), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            outcome = _train(experiment, values, recorder, console, received)
    except KeyboardInterrupt:  # the second Ctrl-C, in the middle of a step
        outcome = "interrupted"
    except Exception as error:  # a model of somebody's: recorded below, then raised
        failure = error
    seconds = time.perf_counter() - started
    console.close()
    recorder.flush()
    if failure is None:
        final = recorder.last.parameters
        predictions |= _predict(experiment, "after", final, values, console)
    end = _end(outcome, failure, recorder, seconds, predictions)
    journal.end(run_id, end)
    console.say(_closing_block(experiment, end, recorder, start.name))
    if failure is not None:
        raise failure
    if outcome == "interrupted":
        raise SystemExit(128 + (received or [signal.SIGINT])[0])
    return math.inf if outcome == "diverged" else recorder.last.loss


def _train(
    experiment: Experiment,
    values: Values,
    recorder: Recorder,
    console: Console,
    received: list[int],
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
def _signals(received: list[int]) -> Iterator[None]:
    """Note the first SIGINT or SIGTERM, to be looked at between two steps; let a second act."""
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()


def _predict(
    experiment: Experiment, when: str, parameters: Any, values: Values, console: Console
) -> dict[str, float]:
    """Say and return the prediction at the dataset's probe point, if it has one."""
    if experiment.predict is None:
        return {}
    value = experiment.predict(parameters)
    console.say(prediction_line(when, values["dataset"]["probe"], value))
    return {f"prediction_{when}": value}


def _end(
    outcome: str,
    failure: Exception | None,
    recorder: Recorder,
    seconds: float,
    predictions: Mapping[str, float],
) -> End:
    metrics = {"epochs_run": float(recorder.epochs), "seconds": seconds, **predictions}
    if recorder.epochs:
        metrics |= {"final_loss": recorder.last.loss, "best_loss": float(recorder.best_loss)}
    tags = {"outcome": outcome}
    if outcome == "diverged":
        tags["diverged_at"] = str(recorder.epochs + 1)
    reason = None if failure is None else "".join(traceback.format_exception(failure))
    return End(outcome, metrics, tags, reason)


def _closing_block(experiment: Experiment, end: End, recorder: Recorder, name: str) -> str:
    at = f" (at epoch {end.tags['diverged_at']})" if "diverged_at" in end.tags else ""
    return closing_block(
        {
            "loop": experiment.loop
            + ("" if experiment.device == "cpu" else f" on {experiment.device}"),
            "outcome": f"{end.outcome}: {OUTCOMES[end.outcome]}{at}",
            "epochs": str(recorder.epochs),
            "final loss": f"{recorder.last.loss:.8g}",
            "seconds": f"{end.metrics['seconds']:.3f}",
            "run": name,
        }
    )
