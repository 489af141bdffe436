"""The one driver: takes the steps of a run, or of all cells of a stack, records them, stops."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from runner.base.arrays import State
from runner.base.signals import stopped_by
from runner.engine import checkpoint, stop
from runner.engine.checkpoint import Checkpoints
from runner.engine.contract import Stateful
from runner.engine.epoch import SO_FAR
from runner.engine.experiment import Experiment
from runner.engine.program.step import is_finite
from runner.engine.pruning import Pruning
from runner.engine.rates import EVALUATIONS, LR
from runner.engine.recording import Known, Look, Recording, Tell
from runner.record.journal import Sink, Start


class Resumed(NamedTuple):
    """What goes on."""

    runs: Sequence[str]
    """In the journal that is written."""
    state: State | None
    """Of a checkpoint; None where it begins anew."""
    known: Known
    """What is in the journal already."""
    tags: Mapping[str, str]
    """For the end: from where, and with what changed"""


def execute(
    experiment: Experiment,
    starts: Sequence[Start],
    limits: stop.Limits,
    journal: Sink,
    received: Sequence[str],
    tell: Tell,
    look: Look | None = None,
    *,
    every: int | None = None,
    resumed: Resumed | None = None,
    pruning: Pruning | None = None,
) -> None:
    """Take steps and record them until every cell has stopped, or all are stopped.

    `starts` and `limits` are those of the cells, or of the one run. Once `received` is not empty,
    its first word says by what they are stopped: SIGINT, say. What a part raises, be it SystemExit,
    ends the cells that go on as failed; so does what cannot be recorded, if that at least can.
    The whole state is kept after `every` so many steps, from which what is `resumed` goes on. Of a
    stack, `pruning` may give cells up.

    Raises JournalError, and Unreadable, before a run begins, for a state that cannot be
    read back.
    """
    limits = limits.above(experiment.least)
    if every:
        tried: list[Stateful] = [experiment.program, experiment.batches, experiment.rates]
        states = {str(number): part.state() for number, part in enumerate(tried)}
        checkpoint.unpacked(checkpoint.packed(states))
    if resumed:
        runs = resumed.runs
    else:
        with journal.together() if len(starts) > 1 else nullcontext():
            runs = [journal.begin(start) for start in starts]
    cells = Recording(experiment, runs, limits, journal, tell, look)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            checkpoints = Checkpoints(runs[0], every)
            train(experiment, limits, cells, received, look, checkpoints, resumed, pruning)
        cells.end(cells.open, "interrupted", stopped_by(received))
    except KeyboardInterrupt:  # the second Ctrl-C, in the middle of a step
        cells.end(cells.open, "interrupted", stopped_by(received))
    except BaseException as error:  # whatever a part of somebody's raises
        cells.end(cells.open, "failed", failure=error)
    cells.finish()


def train(
    experiment: Experiment,
    limits: stop.Limits,
    cells: Recording,
    received: Sequence[str],
    look: Look | None,
    checkpoints: Checkpoints,
    resumed: Resumed | None,
    pruning: Pruning | None,
) -> None:
    """Take steps until each cell has a reason to stop, or all are stopped."""
    program, batches, epochs = experiment.program, experiment.batches, experiment.epochs()
    rates, patience, began = experiment.rates, cells.patience, 0
    parts: dict[str, Stateful] = {"program": program, "batches": batches}
    parts |= {"epochs": epochs, "rates": rates}
    parts |= {"pruning": pruning} if pruning else {}
    if measuring := experiment.measuring:
        parts["measuring"] = measuring
    if resumed and resumed.state:
        for name, part in parts.items():
            part.restore(resumed.state[name])
        cells.restore(resumed.state["cells"])
        began, limits = resumed.state["steps"], limits.of(cells.indices)
    else:
        cells.predict_before()
    if resumed:
        cells.goes_on(resumed.known, resumed.tags)
    for steps, batch in enumerate(batches, began + 1):
        lr = rates.lr
        step = program.advance(batch, *rates.given)
        finite = is_finite(step)
        seen = epochs.after(step, batch[1])
        waited = patience.after(seen, step) if patience else 0
        lost = not finite if isinstance(finite, bool) else ~finite
        behind = pruning.after(seen, cells.open & ~lost) if pruning else False
        ended = stop.ended(stop.Now(lost, seen.loss, seen.epochs, steps, waited, behind), limits)
        now = time.time()
        if ended and ended[0][0] == "diverged":  # what is no number is not recorded
            cells.end(ended[0][1], "diverged")
            if not cells.left:
                return
        if SO_FAR in seen.told and any(outcome == "exhausted" for outcome, _ in ended):
            seen.told[SO_FAR].update(epochs.validated())
        taken = measuring.after(steps, step, batch, lr) if measuring else {}
        cells.add(step, now, {**seen.told, LR: lr, EVALUATIONS: step.evaluations, **taken})
        rates.after(seen)
        if look is not None:
            look.step(seen, step, now)
        if checkpoints.is_due(steps, is_last=bool(received) or cells.all_end(ended)):
            state = {name: part.state() for name, part in parts.items()}
            checkpoints.save(steps, {**state, "cells": cells.state(), "steps": steps})
        for outcome, where in ended:
            cells.end(where, outcome)
        if received or not cells.left:
            return
        if kept := cells.hand_on(now):
            for part in parts.values():
                part.keep(kept[0])
            limits = limits.of(kept[0])
    raise AssertionError("a stream of batches never ends")
