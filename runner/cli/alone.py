"""A run by itself, as the command carries it out: composed, recorded, shown."""

import math
import signal

from runner.base.console import closing_block, complain, painted, say
from runner.base.failure import summary
from runner.base.signals import signals
from runner.cli.run_lines import Console
from runner.config.cell import Cell
from runner.config.spec import Checked, Spec
from runner.dataset.samples import Dataset
from runner.engine import identity, stop
from runner.engine.check import checked
from runner.engine.draws import Draws
from runner.engine.drive import execute
from runner.engine.experiment import Experiment, compose
from runner.engine.fingerprint import TAG, fingerprint
from runner.engine.recording import FinishedRun
from runner.engine.unused import refuse_unused
from runner.errors import ConfigError, JournalError, Unreadable
from runner.record.journal import Sink
from runner.record.spacing import Spacing
from runner.tracking.session import Session, Settings, session

TOLD = {
    "accuracy": "final_accuracy",
    "validation loss": "final_val_loss",
    "validation accuracy": "final_val_accuracy",
}


def run(cell: Cell) -> float:
    """Execute one config and show it; return its final loss, infinite if it diverged.

    A dry run says what would run, records nothing and has no final loss: NaN.

    Raises ConfigError before anything starts if the config cannot run, and SystemExit, with all
    that was recorded kept, if a signal stopped it; JournalError if it cannot be recorded.
    """
    spec = checked(cell)
    refuse_unused([cell])
    if spec.sweep.dry_run:
        say(f"1 cell: {identity.name(cell)}, loop {compose(spec).loop}; nothing is run")
        return math.nan
    tracked = session(Settings.of(spec))
    done, received = carry_out(cell, spec, tracked)
    raise_failure(done)
    if done.end.outcome == "interrupted":
        raise SystemExit(128 + signal.Signals[(received or ["SIGINT"])[0]])
    return math.inf if done.end.outcome == "diverged" else done.final_loss


def carry_out(cell: Cell, spec: Checked, tracked: Session) -> tuple[FinishedRun, list[str]]:
    """Compose the run, execute, record and show it; and the signal that has stopped it, if any."""
    data = Draws().dataset(spec)
    experiment = compose(spec, data)
    tags = {TAG: fingerprint(cell.values, data.digest)}  # a sweep that resumes does it not again
    start = identity.start(cell, experiment, data, tracked.store, tags)
    limits = stop.limits_of(spec)
    look, ended = Console(spec, experiment.tensors), list[FinishedRun]()
    with signals(signal.SIGINT, signal.SIGTERM) as received:
        journal = tracked.journal
        every = spec.checkpoint.every
        told = (received, lambda _, run: ended.append(run), look)
        try:
            execute(experiment, [start], limits, journal, *told, every=every)
        except Unreadable as error:
            raise ConfigError(
                "checkpoint.every", f"expected null, for this run: {error}"
            ) from error
        look.close()
        [done] = ended
        tell_end(experiment, data, done, start.name, journal, spec)
    return done, received


def tell_end(
    experiment: Experiment, data: Dataset, done: FinishedRun, name: str, journal: Sink, spec: Spec
) -> None:
    """Say how it ended, and record the fitted model where that is asked for."""
    say(_closing_block(experiment, done, name))
    if spec.tracking.log_model and done.failure is None:
        _log_model(experiment, data, done, journal)


def _log_model(experiment: Experiment, data: Dataset, done: FinishedRun, journal: Sink) -> None:
    """Record the fitted model, where it was best if that is kept, as one of MLflow's."""
    from runner.engine import fitted
    from runner.tracking import model

    metadata = {"features": list(data.names), "classes": list(data.classes)}
    try:
        made = fitted.fitted(experiment, data, done.parameters)
        for file in model.files(made, fitted.example(data), metadata):
            journal.attach(done.id, file)
    except JournalError:
        raise
    except Exception as error:  # whatever PyTorch's export says of a module of somebody's
        complain(f"{'model':<12}not logged: {summary(error)}")


def raise_failure(done: FinishedRun) -> None:
    """Raise what has ended the run, if anything has."""
    if isinstance(done.failure, Exception):
        raise done.failure
    if done.failure is not None:  # sys.exit(0), say: nobody else has to take it for an end
        raise RuntimeError(f"a part raised {summary(done.failure)}") from done.failure


def _closing_block(experiment: Experiment, done: FinishedRun, name: str) -> str:
    end = done.end
    what = "epoch" if len(experiment.batches.sizes) == 1 else "step"
    at = f" (at {what} {end.tags['diverged_at']})" if "diverged_at" in end.tags else ""
    few = {"recorded": _recorded(experiment.spacing)} if experiment.spacing else {}
    return closing_block(
        {
            "loop": experiment.loop
            + ("" if experiment.device == "cpu" else f" on {experiment.device}"),
            "outcome": f"{painted(end.outcome, end.outcome)}: {stop.OUTCOMES[end.outcome]}{at}",
            "epochs": f"{end.metrics['epochs_run']:.0f}",
            "final loss": f"{done.final_loss:.8g}",
            **{name: f"{end.metrics[key]:.6g}" for name, key in TOLD.items() if key in end.metrics},
            "seconds": f"{end.metrics['seconds']:.3f}",
            **({"measures": f"{end.tags['measured']} of them"} if "measured" in end.tags else {}),
            **few,
            "run": name,
        }
    )


def _recorded(spacing: Spacing) -> str:
    told = f"the start, the best, the last and up to {spacing.count} more: record.most_bytes"
    return f"norms at every step, all parameters at {told}"
