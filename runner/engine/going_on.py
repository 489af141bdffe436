"""Runs that go on: what their journals have of them, and from which checkpoint they can."""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from runner.base.arrays import State
from runner.base.console import complain
from runner.base.overrides import parse
from runner.base.uri import is_of_here, recorded, without_credentials
from runner.config import short_list
from runner.config.spec import Checked
from runner.dataset.samples import Dataset
from runner.engine import checkpoint, fingerprint, identity, stop
from runner.engine.draws import Draws
from runner.engine.drive import Resumed, execute
from runner.engine.experiment import Experiment, compose
from runner.engine.pruning import pruning
from runner.engine.recording import Known, Look, Tell
from runner.engine.scheduled import changed, check_reach, node_of, reach_of
from runner.engine.setup import setup
from runner.engine.stack import prepare, stack
from runner.errors import ConfigError, JournalError, Unreadable
from runner.record import plain
from runner.record.journal import End, File, Journal, Reader, Start
from runner.record.tally import CUT_OFF

CHANGES = "resumed.json"
"""The file of a run that went on: each time from which step, and with what changed."""

PLAIN_CHANGE = re.compile(r"(?:epochs|max_steps|tolerance|schedule\.\w+)=[-+.\w]+", re.ASCII)
"""A change that holds nothing to resolve."""


class Before(NamedTuple):
    """What the journal has of a run that has ended, or was cut off."""

    run: str
    start: Start
    known: dict[tuple[str, tuple[str, ...]], int]
    steps: int
    changes: list[dict[str, Any]]
    end: End | None

    @property
    def is_stacked(self) -> bool:
        return self.start.tags.get("stacked") == "true"


def read(path: Path, wanted: Callable[[str, Start], bool]) -> list[Before]:
    """The runs of the journal that are wanted, by id and start, in their order."""
    found: dict[str, Before] = {}
    try:
        for record in Reader(path).rest():
            content = record.content
            if isinstance(content, Start):
                if wanted(record.run, content):
                    found[record.run] = Before(record.run, content, {}, 0, [], None)
            elif (own := found.get(record.run)) is None:
                continue
            elif isinstance(content, End):
                found[record.run] = own._replace(end=content)
            elif isinstance(content, File):
                if content.name == CHANGES:
                    found[record.run] = own._replace(changes=json.loads(content.content))
            elif len(content):
                key, last = (record.run, content.dtype.names or ()), int(content["step"].max())
                own.known[key] = max(last, own.known.get(key, -1))
                found[record.run] = own._replace(steps=max(own.steps, last), end=None)
    except JournalError as error:
        complain(f"{error}; what came after it is done again")
    return list(found.values())


def check_foreign(name: str, runs: Sequence[Before], changes: Sequence[str]) -> None:
    """Raise ConfigError for foreign runs that would build or reach what is not allowed."""
    keys = [parse(text).written_key for text in changes]
    for before in runs:
        short_list.check(plain.of_json(before.start.config))
        texts = [text for one in before.changes for text in one["changes"]]
        if odd := [text for text in texts if not PLAIN_CHANGE.fullmatch(text)]:
            raise ConfigError(name, f"was changed by {odd[0][:80]!r}: --trust")
        if not is_of_here(recorded(before.start.store)) and "tracking.uri" not in keys:
            raise ConfigError(
                name,
                f"its journal was not written here, and is meant for "
                f"{without_credentials(before.start.store)}: tracking.uri=..., or --trust",
            )


class ResumedUnit(NamedTuple):
    """A run, or the cells of a stack, that go on together."""

    runs: Sequence[Before]
    first: Sequence[Checked]
    """What each began with."""
    limits: Sequence[Checked]
    """The same with the limits that it has now."""
    state: State | None
    """That of its checkpoint."""
    data: Sequence[Dataset]
    experiment: Experiment

    @property
    def step(self) -> int:
        """After which it goes on."""
        return int(self.state["steps"]) if self.state else 0


Horizon = tuple[int, Checked]
"""After so many steps, and the config from then on"""


def unit(
    runs: Sequence[Before],
    first: Sequence[Checked],
    limits: Sequence[Checked],
    horizons: Sequence[Horizon] = (),
) -> ResumedUnit:
    """Runs that were one unit of work, built anew; a lone one may have other `horizons`.

    Raises ConfigError.
    """
    draws = Draws()
    data = [draws.dataset(spec) for spec in first]
    for before, own in zip(runs, data, strict=True):
        if own.digest != before.start.tags.get(identity.DATA):
            raise ConfigError(f"{before.start.name}: its dataset is not the one it began with")
    if runs[0].is_stacked:
        made = stack([prepare(*both) for both in zip(first, data, strict=True)])
    else:
        made = compose(first[0], data[0])
    state = _state(runs)
    if not runs[0].is_stacked:
        taken = int(state["steps"]) if state else 0
        made = _with_horizons(made, first[0], limits[0], data[0], horizons, taken)
    return ResumedUnit(runs, first, limits, state, data, made)


def _with_horizons(
    made: Experiment,
    first: Checked,
    limits: Checked,
    data: Dataset,
    horizons: Sequence[Horizon],
    taken: int,
) -> Experiment:
    """The experiment whose schedule has other horizons, each from some step on."""
    for at, then in horizons:
        rates = changed(made.rates, setup(then, data), made.optimizer, at, taken)
        made = made._replace(rates=rates)
    node, every = node_of(setup(horizons[-1][1] if horizons else first, data))
    check_reach(node, reach_of(setup(limits, data), every))
    return made


def _state(runs: Sequence[Before]) -> State | None:
    """That of the newest checkpoint that can be read, and that the journal reaches."""
    for path in checkpoint.paths(runs[0].run):
        try:
            state = checkpoint.load(path)
        except Unreadable as error:
            complain(f"checkpoint  {error}; the one before is taken")
            continue
        # What came before it is in the journal, of every run that went on then.
        if all(runs[cell].steps >= state["steps"] for cell in state["cells"]["indices"]):
            return state
    return None


def _tags(of: ResumedUnit, changes: Sequence[str]) -> dict[str, str]:
    """Return the tags that say how often it was resumed, and with which changes.

    A run that has been taken further is no longer the one that its fingerprint tells.
    """
    times = [(one["step"], one["changes"]) for one in of.runs[0].changes]
    times.append((of.step, changes))
    told = [" ".join([f"after step {step}", *texts]) for step, texts in times]
    is_changed = any(texts for _, texts in times)
    return {"went_on": "; ".join(told), **({fingerprint.TAG: ""} if is_changed else {})}


def go_on(
    of: ResumedUnit,
    journal: Journal,
    changes: Sequence[str],
    received: Sequence[str],
    tell: Tell,
    look: Look | None,
) -> None:
    """Execute what is left of the unit, in the journal that it was in. Raises JournalError."""
    for before in of.runs:
        if before.end is None:  # so that whoever publishes it sees that it goes on
            journal.end(before.run, End("interrupted", {}, {"outcome": "interrupted"}, CUT_OFF))
        steps = {"step": of.step, "recorded": before.steps}
        now = {"time": time.time(), **steps, "changes": list(changes)}
        content = json.dumps([*before.changes, now]).encode()
        journal.attach(before.run, File(CHANGES, content))
    own = [stop.limits_of(spec) for spec in of.limits]
    known: Known = {key: step for before in of.runs for key, step in before.known.items()}
    together, own_pruning = own[0], None
    if (first := of.runs[0]).is_stacked:
        together, own_steps = stop.together(own), len(of.experiment.batches.sizes)
        own_pruning = pruning(
            [spec.values for spec in of.first],
            first.start.how.get("pruned_by"),
            together,
            own_steps,
        )
    execute(
        of.experiment,
        [before.start for before in of.runs],
        together,
        journal,
        received,
        tell,
        look,
        every=of.first[0].checkpoint.every,
        resumed=Resumed([before.run for before in of.runs], of.state, known, _tags(of, changes)),
        pruning=own_pruning,
    )
