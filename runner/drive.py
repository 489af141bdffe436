"""The driver of one run: take its steps, record and show them, stop."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from runner import stop
from runner.config import Values
from runner.console import Console, epoch_line, prediction_line
from runner.experiment import Experiment
from runner.failure import summary, whole
from runner.journal import End, Journal, JournalError, Start
from runner.loop.step import Step, is_finite
from runner.model import parameter_names
from runner.signals import stopped_by
from runner.trajectory import Recorder


class Run(NamedTuple):
    """A run that has ended."""

    id: str
    """In the journal."""
    end: End
    last: Step
    failure: BaseException | None


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


def _predict(
    experiment: Experiment, when: str, parameters: Any, values: Values, console: Console
) -> dict[str, float]:
    """Say and return the prediction at the dataset's probe point, if it has one."""
    if experiment.predict is None:
        return {}
    with np.errstate(over="ignore", invalid="ignore"):
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
