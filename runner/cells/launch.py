"""A sweep from Hydra's overrides to the table at its end."""

import math
import signal
import time
from collections.abc import Sequence
from typing import NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from runner import identity
from runner.cell import Cell
from runner.cells import parent, table, verify
from runner.cells.compose import compose
from runner.cells.done import done
from runner.cells.execute import execute
from runner.cells.plan import Plan, Unit, plan
from runner.cells.progress import Progress
from runner.cells.result import Result
from runner.cells.same import refuse_the_same
from runner.cells.verify import Verified
from runner.cells.work import Work
from runner.config import ConfigError, Values
from runner.console import say
from runner.journal import JournalError
from runner.recorded.place import page_path
from runner.settings import faults as settings_faults
from runner.signals import signals
from runner.tracking.session import Session, Settings, session
from runner.uri import recorded

SWEPT_ALONE = ("tracking", "sweep", "report")
"""Nodes that are the whole sweep's: each of its cells has the same."""


class Ended(NamedTuple):
    """A sweep that has ended."""

    cells: Sequence[Cell]
    run: str
    """Its own, in the journal; empty where everything was done already."""
    results: list[Result]
    verified: Verified | None
    received: list[str]
    """The signal that has stopped it, if one has"""


def launch(
    loader: ConfigLoader, master: DictConfig, overrides: Sequence[Sequence[str]]
) -> list[JobReturn]:
    """Execute the sweep; its cells' results in their order, none for a dry run.

    Raises ConfigError before anything runs if a cell cannot, and SystemExit, with all that was
    recorded kept, if a signal stopped it.
    """
    cells = compose(loader, master, overrides)
    chosen = settings(cells)
    tracking = Settings(**cells[0].values["tracking"], **cells[0].values["report"])
    tracked = None if chosen["dry_run"] else session(tracking, len(cells))
    try:
        ended = carry_out(cells, chosen, tracked)
    except JournalError as error:  # a full disk, say: a message, not a traceback
        raise CompactHydraException(str(error)) from error
    if ended.received:
        raise SystemExit(128 + signal.Signals[ended.received[0]])
    if ended.verified and ended.verified.different:
        raise SystemExit(1)
    return _returned(cells, overrides, ended.results) if tracked else []


def carry_out(cells: Sequence[Cell], chosen: Values, tracked: Session | None) -> Ended:
    """Plan the sweep, execute it and show how it ended; only plan it where there is no session.

    Raises ConfigError before anything runs if a cell cannot, and JournalError.
    """
    planned = plan(
        cells,
        stack=chosen["stack"],
        done=done(*_place(cells)) if chosen["resume"] else {},
        workers=chosen["workers"] or 1,
    )
    say("\n".join(planned.lines()))
    if tracked is None:
        return Ended(cells, "", [], None, [])
    with signals(signal.SIGINT, signal.SIGTERM) as received:
        run, results, verified = _carry_out(planned, chosen, tracked, received)
    say(table.printed(cells, results))
    if run and tracked.store and tracked.settings.page:
        say(f"report      {page_path(run)}, in a moment")
    if verified:
        say("\n".join(verified.lines))
    if received:
        say("stopped     go on with: sweep.resume=true")
    return Ended(cells, run, results, verified, received)


def _place(cells: Sequence[Cell]) -> tuple[str, str]:
    """The store and the experiment that the runs go to."""
    node = cells[0].values["tracking"]
    return recorded(node["uri"]) if node["uri"] else "", node["experiment"]


def settings(cells: Sequence[Cell]) -> Values:
    """The sweep's own settings. Raises ConfigError where they are not one for all cells."""
    faults = [
        f"{node}: is one for the whole sweep, and cannot be swept"
        for node in SWEPT_ALONE
        if any(cell.values[node] != cells[0].values[node] for cell in cells)
    ]
    chosen: Values = cells[0].values["sweep"]
    faults += settings_faults(chosen)
    if faults:
        raise ConfigError("\n".join(faults))
    refuse_the_same(cells)
    return chosen


def _carry_out(
    planned: Plan, settings: Values, tracked: Session, received: list[str]
) -> tuple[str, list[Result], Verified | None]:
    """Execute what is to be done, as children of a run of the sweep's own."""
    cells, earlier = planned.cells, list(planned.done)
    if not planned.units:
        none = _verified(planned, [], settings["verify"], tracked)
        return "", earlier, none
    began = time.perf_counter()
    run = parent.begin(tracked.journal, planned, tracked.store)
    progress = Progress(sum(len(unit.numbers) for unit in planned.units))
    failure: str | None = "it ended early"
    verified: Verified | None = None
    try:
        works = [work(planned, unit, run, tracked.store) for unit in planned.units]
        execute(
            works,
            tracked,
            settings["workers"],
            received,
            progress,
            stop_at_failure=settings["on_error"] == "stop",
        )
        if not received:
            verified = _verified(planned, progress.results, settings["verify"], tracked)
        failure = None
    except KeyboardInterrupt:  # the second Ctrl-C
        failure = None
    except JournalError as error:
        failure = str(error)
        raise
    finally:
        progress.close()
        parent.end(
            tracked.journal,
            run,
            cells,
            sorted(earlier + progress.results),
            interrupted=bool(received),
            failure=failure,
            seconds=time.perf_counter() - began,
            verified=verified,
        )
    return run, sorted(earlier + progress.results), verified


def work(planned: Plan, unit: Unit, run: str, store: str) -> Work:
    """What a process needs to know to execute the unit, for the sweep whose own run is `run`."""
    cells = [planned.cells[number] for number in unit.numbers]
    data = [planned.data[number] for number in unit.numbers]
    fingerprints = [planned.fingerprints[number] for number in unit.numbers]
    return Work(unit.numbers, cells, data, fingerprints, unit.parts, run, store)


def _verified(
    planned: Plan, results: Sequence[Result], count: int, tracked: Session
) -> Verified | None:
    """What running some cells of stacks alone has shown; None where that was not asked for."""
    some = verify.chosen(planned, results, count)
    if not some:
        return Verified(["verified    nothing: no cell ran in a stack"], []) if count else None
    differences = verify.compare(planned, some, tracked.paths())
    bad = [identity.name(planned.cells[d.cell]) for d in differences if d.fault]
    return Verified(verify.told(planned.cells, differences), bad)


def _returned(
    cells: Sequence[Cell], overrides: Sequence[Sequence[str]], results: Sequence[Result]
) -> list[JobReturn]:
    """What Hydra's sweepers see: the final loss, infinite if it diverged."""
    by_cell = {r.cell: r for r in results}
    returned = []
    for number in range(len(cells)):
        r = by_cell.get(number)
        job = JobReturn(overrides=list(overrides[number]), task_name="runner")
        if r is None or r.outcome == "failed":
            job.status = JobStatus.FAILED
            why = r.reason if r else "not run: another cell failed before"
            job.return_value = CompactHydraException(why)
        else:
            job.status = JobStatus.COMPLETED
            job.return_value = math.inf if r.outcome == "diverged" else r.final_loss
        returned.append(job)
    return returned
