"""The command that goes on with a run: `python -m runner.resume [RUN [KEY=VALUE ...]]`."""

import argparse
import shlex
import signal
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from runner.base.console import say
from runner.base.overrides import parse
from runner.base.signals import signals
from runner.base.uri import with_credentials
from runner.cli.alone import raise_failure, tell_end
from runner.cli.entry import enter
from runner.cli.find import find_one
from runner.cli.run_lines import Console
from runner.config import short_list
from runner.config.build import only
from runner.config.cell import Cell
from runner.config.schema import Values
from runner.config.spec import Checked, Spec
from runner.engine import identity, stop
from runner.engine.check import checked
from runner.engine.going_on import Before, Horizon, check_foreign, go_on, read, unit
from runner.engine.recording import FinishedRun
from runner.engine.scheduled import HORIZONS
from runner.errors import ConfigError, NotFound
from runner.record import journal
from runner.record.journal import Journal
from runner.record.run import RecordedRun
from runner.sweeps import parent, table
from runner.sweeps.executors.result import Result, result
from runner.tracking.session import Session, Settings, invocation, session

LONGER = ("epochs", "max_steps", "tolerance")
REACHES = {f"schedule.{name}" for name in HORIZONS}
"""What a run that goes on may have otherwise than before."""

KEPT = ("tracking", "report", "checkpoint", "print_every")
"""Nodes that say how a run is kept and shown, not what it computes or records."""


def main() -> int:
    """Go on with a run; the exit status is that of the run, and 0 where it has ended already."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.resume",
        description="Go on with a run that was killed or interrupted, as the same run, from its "
        "last checkpoint (checkpoint.every) or from the start; or further than it was asked to.",
    )
    parser.add_argument(
        "run", nargs="?", default="latest", help="its id, its name, or latest, the default"
    )
    parser.add_argument(
        "changes", nargs="*", help="epochs=500, max_steps=..., tolerance=...: after a RUN alone"
    )
    parser.add_argument("--config-dir", help="that of parts of your own, as before")
    parser.add_argument(
        "--trust", action="store_true", help="build whatever a journal copied from elsewhere names"
    )
    typed = parser.parse_args()
    try:
        found = find_one(typed.run, None, trust=typed.trust)
    except NotFound as error:
        if "=" not in typed.run:
            raise
        # A name may look like a change, so what was meant is not guessed.
        words = shlex.join(["latest", typed.run, *typed.changes])
        raise NotFound(
            f"{error}\nTo change the latest run: python -m runner.resume {words}"
        ) from None
    with invocation():
        return resume(found, typed.changes, typed.config_dir)


def resume(found: RecordedRun, changes: Sequence[str], config_dir: str | None) -> int:
    """Go on with it as the changes say; the exit status. Raises ConfigError, JournalError."""
    if found.journal is None:
        raise ConfigError(f"{found.name}: is in MLflow alone; a run goes on from its journal")
    if found.parent:
        raise ConfigError(f"{found.name}: is of a sweep: python -m runner.resume {found.parent}")
    if found.outcome == "running":
        raise ConfigError(f"{found.name}: is still running")
    go_on_with = _sweep if found.is_sweep else _run
    if found.trusted:
        return go_on_with(found, changes, config_dir)
    try:
        with only(short_list.NAMES):
            return go_on_with(found, changes, config_dir)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # it may hold anything
        raise ConfigError(
            f"{found.name}: its journal was not written here, and cannot be resumed: "
            f"{type(error).__name__}: {error}"
        ) from error


def _run(found: RecordedRun, changes: Sequence[str], config_dir: str | None) -> int:
    """Resume a single run; return the exit status."""
    assert found.journal is not None
    [before] = read(found.journal, lambda run, _: run == found.id)
    if not found.trusted:
        check_foreign(found.name, [before], changes)
    typed = [text for one in before.changes for text in one["changes"]] + list(changes)
    first, limits = specs(before, typed, composed(typed, config_dir))
    if why := has_ended(found, changes, before, limits):
        say(why)
        return 0
    own = unit([before], [first], [limits], horizons(before, changes, config_dir))
    at = f"its checkpoint after step {own.step}" if own.state else "its start: no checkpoint"
    say(f"{'goes on':<12}{found.name}, from {at}; {before.steps} steps are recorded")
    tracked = _session(found.journal, first)
    look, ended = Console(limits, own.experiment.tensors), list[FinishedRun]()
    with signals(signal.SIGINT, signal.SIGTERM) as received:
        go_on(own, tracked.journal, changes, received, lambda _, run: ended.append(run), look)
        look.close()
        [done] = ended
        told = found.name, tracked.journal, first
        tell_end(own.experiment, own.data[0], done, *told)
    raise_failure(done)
    return _status(received if done.end.outcome == "interrupted" else [])


def _session(path: Path, first: Spec) -> Session:
    """That of a journal which goes on."""
    return session(Settings.of(first), journal=path.stem)


def _status(received: Sequence[str]) -> int:
    return 128 + signal.Signals[received[0]] if received else 0


def composed(typed: Sequence[str], config_dir: str | None) -> Values:
    """The config of a new run that says no more than that. Raises ConfigError."""
    from runner.sweeps.composing import one_cell

    refuse_another(typed)
    plain = [text for text in typed if not text.startswith("schedule.")]
    return one_cell(plain, config_dir).values


def refuse_another(typed: Sequence[str]) -> None:
    """Raise ConfigError for a change that would make another run of it."""
    for key in (parse(text).written_key for text in typed):
        if key not in (*LONGER, *REACHES) and key.split(".")[0] not in KEPT:
            known = ", ".join([*LONGER, *sorted(REACHES)])
            raise ConfigError(key, f"would be another run; one that goes on may change {known}")


def specs(before: Before, typed: Sequence[str], asked: Values) -> tuple[Checked, Checked]:
    """Return what the run began with, and the same with the limits that it has now.

    `asked` is what was typed, `composed`.
    """
    start, keys = before.start, [parse(text).written_key for text in typed]
    first: Values = {**asked, **deepcopy(dict(start.config))}
    first |= {key: deepcopy(start.how[key]) for key in identity.HOW if key in start.how}
    first |= {key: asked[key] for key in {key.split(".")[0] for key in keys} & {*KEPT}}
    uri = asked["tracking"]["uri"] if "tracking.uri" in keys else with_credentials(start.store)
    own = {"uri": uri or None, "experiment": start.experiment, "points": start.points}
    own |= {key: asked["tracking"][key] for key in own if f"tracking.{key}" in keys}
    wanted = asked["tracking"]["log_model"] or start.how.get("log_model", False)
    first["tracking"] = {**asked["tracking"], **own, "log_model": wanted}
    limits = {**first, **{key: asked[key] for key in LONGER if key in keys}}
    return _checked(before, first), _checked(before, limits)


def _checked(before: Before, values: Values) -> Checked:
    """Return the spec of a run that goes on; nothing of it was typed now."""
    return checked(Cell(values, {}, [], before.start.name))


def horizons(before: Before, changes: Sequence[str], config_dir: str | None) -> list[Horizon]:
    """Where the schedule got, or gets, another horizon. Raises ConfigError."""
    typed: list[str] = []
    found: list[Horizon] = []
    steps = [(one.get("recorded", one["step"]), one["changes"]) for one in before.changes]
    for at, texts in [*steps, (before.steps, changes)]:
        typed += texts
        if longer := [one for one in map(parse, texts) if one.written_key in REACHES]:
            then = specs(before, typed, composed(typed, config_dir))[1]
            node = found[-1][1].schedule if found else then.schedule
            new = {one.key.partition(".")[2]: _whole(one.key, one.value) for one in longer}
            found.append((at, Checked(replace(then, schedule={**node, **new}))))
    return found


def _whole(key: str, text: str) -> int | None:
    if text == "null":
        return None
    try:
        return int(text)
    except ValueError:
        raise ConfigError(key, expected="a whole number, or null", got=text) from None


def has_ended(
    found: RecordedRun, changes: Sequence[str], before: Before, limits: Spec
) -> str | None:
    """Why there is nothing to go on with, if there is not. Raises ConfigError."""
    if found.outcome in ("interrupted", "failed"):  # what failed may have been mended
        return None
    keys = {parse(text).written_key for text in changes}
    epochs = int(found.figures.get("epochs_run", 0))
    said = f"{found.name}: has ended, {found.outcome} after {epochs} epochs"
    if found.outcome == "exhausted":
        most = limits.max_steps
        further = limits.epochs > epochs and (most is None or before.steps < most)
        if keys & {"epochs", "max_steps"} and not further:
            raise ConfigError(said, "expected more epochs or steps than that")
        return None if further else f"{said}; epochs=... takes it further"
    if found.outcome == "converged":
        return None if "tolerance" in keys else f"{said}; tolerance=... takes it further"
    why = f"{said}: {stop.OUTCOMES.get(found.outcome, found.outcome)}"
    if changes:
        raise ConfigError(f"{why}; it would end so again")
    return why


def _sweep(found: RecordedRun, changes: Sequence[str], config_dir: str | None) -> int:
    """Go on with the cells of a sweep that have begun and not ended; those to come are told."""
    assert found.journal is not None
    if changes:
        raise ConfigError(f"{changes[0]}: the cells of a sweep go on as they were asked to")
    paths = journal.paths(found.journal.stem)
    runs = [(p, b) for p in paths for b in read(p, lambda _, start: start.parent == found.id)]
    is_from_here = [journal.is_from_here(path) for path in (found.journal, *paths)]
    if not found.trusted or (is_from_here[0] and not all(is_from_here)):
        check_foreign(found.name, [before for _, before in runs], changes)
    units: dict[tuple[Path, int], list[Before]] = {}
    for path, before in runs:
        number = int(before.start.tags["cell"])
        units.setdefault((path, before.start.how.get("unit", number)), []).append(before)
    for unit_runs in units.values():
        unit_runs.sort(key=lambda before: int(before.start.tags["cell"]))
    left = {key: own for key, own in units.items() if any(_is_open(before) for before in own)}
    begun, count = len(runs), int(found.tags["cells"])
    if begun < count:
        command = found.tags.get("command", "its command")
        say(f"{'not begun':<12}{count - begun} cells: {command} sweep.resume=true")
    if not left:
        say(f"{found.name}: of the cells that have begun, all have ended")
        return 0
    if any("cell" not in before.start.how for own in left.values() for before in own):
        raise ConfigError(
            f"{found.name}: keeps no checkpoints (checkpoint.every): its command with "
            "sweep.resume=true does anew what has not ended"
        )
    asked = composed([], config_dir)  # once, for it takes a while
    first = {b.run: specs(b, [], asked)[0] for own in units.values() for b in own}
    tracked = _session(found.journal, next(iter(first.values())))
    results = {int(b.start.tags["cell"]): _result(b) for _, b in runs if not _is_open(b)}
    with signals(signal.SIGINT, signal.SIGTERM) as received:
        for (path, _), own in left.items():
            if received:
                break
            numbers = [int(before.start.tags["cell"]) for before in own]
            began = [first[before.run] for before in own]
            made = unit(own, began, began)
            say(f"{'goes on':<12}{len(own)} cell(s), after step {made.step}")
            is_main = path.stem == found.journal.stem
            place = journal.folder() / path.name
            sink = tracked.journal if is_main else Journal(place, goes_on=True)

            def tell(index: int, run: FinishedRun, numbers: list[int] = numbers) -> None:
                results[numbers[index]] = result(numbers[index], run.id, run.end)

            go_on(made, sink, [], received, tell, None)
            if not is_main:
                sink.close()
    cells = [_cell(b, first[b.run].values) for _, b in sorted(runs, key=_number)]
    ordered = [results[number] for number in sorted(results)]
    say(table.printed(cells, ordered))
    if begun == count:
        seconds = sum(one.seconds for one in ordered if one.seconds == one.seconds)
        stopped = bool(received)
        parent.end(tracked.journal, found.id, cells, ordered, interrupted=stopped, seconds=seconds)
    return _status(received) or int(any(one.outcome == "failed" for one in ordered))


def _number(of: tuple[Path, Before]) -> int:
    return int(of[1].start.tags["cell"])


def _is_open(before: Before) -> bool:
    return before.end is None or before.end.outcome in ("interrupted", "failed")


def _result(before: Before) -> Result:
    assert before.end is not None
    return result(int(before.start.tags["cell"]), before.run, before.end, was_done=True)


def _cell(before: Before, own: Values) -> Cell:
    of = before.start.how["cell"]
    return Cell(own, of["choices"], of["overrides"], before.start.name)


if __name__ == "__main__":
    enter(main)
