"""A sweep from its cells to the table at its end: planned, executed, verified."""

import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from runner.base.console import say
from runner.base.signals import signals
from runner.base.uri import recorded
from runner.config.cell import Cell
from runner.config.spec import SweepSpec
from runner.engine import identity
from runner.errors import ConfigError, JournalError, ProcessEnded
from runner.record.column import declared, epoch_steps
from runner.record.journal import summaries
from runner.record.place import page_path
from runner.sweeps import parent, table, verify
from runner.sweeps.done import done
from runner.sweeps.executors import Executor, Local, Pool, Result, Work
from runner.sweeps.executors.local import needs_other_process
from runner.sweeps.plan import Plan, WorkUnit, plan
from runner.sweeps.plan_lines import lines
from runner.sweeps.progress import Progress
from runner.sweeps.source import CellSource
from runner.sweeps.verify import Verified
from runner.tracking.session import Session

MakeExecutor = Callable[[Sequence[str], Progress], Executor]
"""From the signals that have come, and what is known of how long it takes."""

Ask = Callable[..., Any]
"""The value of a function for arguments, wherever PyTorch is."""

MakePlan = Callable[[Sequence[Cell]], Plan]


class EndedSweep(NamedTuple):
    """A sweep that has ended."""

    cells: Sequence[Cell]
    run: str
    """Its own, in the journal; empty where everything was done already."""
    results: list[Result]
    verified: Verified | None
    received: list[str]
    """The signal that has stopped it, if one has"""


def carry_out(
    source: CellSource,
    chosen: SweepSpec,
    tracked: Session | None,
    executor: MakeExecutor | None = None,
) -> EndedSweep:
    """Plan the sweep, execute it and show how it ended; only plan it where there is no session.

    By this machine's processes, unless there is another `executor`. Raises ConfigError before
    anything runs if a cell cannot, and JournalError.
    """
    gradients = {cell.spec.gradient for cell in source.span}
    pool = Pool(tracked.path if tracked else Path, torch="autograd" in gradients)
    ask: Ask = pool.ask if needs_other_process(gradients) else _here

    def local(received: Sequence[str], progress: Progress) -> Executor:
        assert tracked is not None
        workers, left = chosen.workers, progress.seconds_left
        return Local(lambda: tracked.journal, pool, received, workers, left)

    try:
        stack, workers, pruned = chosen.stack, chosen.workers or 1, chosen.prune is not None
        earlier = done(*_place(source.span), pruned=pruned) if chosen.resume else {}
        planner = partial(plan, stack=stack, workers=workers, done=earlier, prune=pruned)
        make: MakePlan = partial(ask, planner)
        if source.is_search:  # so that what cannot run is found now, and not after hours
            make(source.span)
            say("\n".join(source.lines))
        first = next(source.rounds)
        planned = planned_apart(make, first) if source.is_search else make(first)
        say("\n".join(lines(planned)))
        if tracked is None:
            source.rounds.close()
            return EndedSweep(planned.cells, "", [], None, [])
        with signals(signal.SIGINT, signal.SIGTERM) as received:
            sweep = _Sweep(source, planned, make, chosen, tracked, received, ask, pool.close)
            run, verified = sweep.execute(executor or local)
    except ProcessEnded as error:
        raise ConfigError(f"a part ended the process in which it was tried: {error}") from error
    finally:
        pool.close()
    cells, results = sweep.planned.cells, sweep.results
    say(table.printed(cells, results))
    if found := sweep.found.get("found"):
        say(f"found       {found}")
    if importance := json.loads(sweep.found.get("importance", "{}")):
        shares = ", ".join(f"{key} {100 * share:.0f} %" for key, share in importance.items())
        say(f"importance  {shares}")
    if run and tracked.store and tracked.settings.page:
        say(f"report      {page_path(run)}, in a moment")
    if verified:
        say("\n".join(verified.lines))
    if received:
        say("stopped     go on with: sweep.resume=true")
    return EndedSweep(cells, run, results, verified, received)


def _here(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _place(cells: Sequence[Cell]) -> tuple[str, str]:
    """The store and the experiment that the runs go to."""
    tracking = cells[0].spec.tracking
    return recorded(tracking.uri) if tracking.uri else "", tracking.experiment


def planned_apart(make: MakePlan, cells: Sequence[Cell], first: int = 0) -> Plan:
    """The plan of a round of a search: a cell that cannot run has failed, and the others go on."""
    bad = {}
    numbers = range(len(cells))
    try:
        return make(cells).among(cells, numbers, first)
    except ConfigError:
        for number in numbers:
            try:
                make([cells[number]])
            except ConfigError as error:
                bad[number] = str(error).splitlines()[-1].strip()
    good = [number for number in numbers if number not in bad]
    planned = make([cells[number] for number in good]).among(cells, good, first)
    failed = [Result(number + first, "failed", reason=why) for number, why in bad.items()]
    return planned._replace(done=[*planned.done, *failed])


class _Sweep:
    """A sweep of which the first round is planned."""

    def __init__(
        self,
        source: CellSource,
        planned: Plan,
        make: MakePlan,
        chosen: SweepSpec,
        tracked: Session,
        received: list[str],
        ask: Ask,
        close: Callable[[], None],
    ) -> None:
        """`close` ends this machine's processes."""
        self._source, self._make, self._chosen, self._tracked = source, make, chosen, tracked
        self._received, self._ask, self._close = received, ask, close
        self._progress = Progress(source.most - len(planned.done))
        self._stops = chosen.on_error == "stop"
        self.planned = planned
        """All rounds so far"""
        self.found: Mapping[str, str] = {}
        """What a search has found, as tags"""

    @property
    def results(self) -> list[Result]:
        """Of all cells that have ended, here or before."""
        return sorted([*self.planned.done, *self._progress.results])

    def execute(self, executor: MakeExecutor) -> tuple[str, Verified | None]:
        """Execute what is to be done, as children of a run of the sweep's own."""
        run, first, units = "", 0, self.planned.units
        began = time.perf_counter()
        failure: str | None = "it ended early"
        verified: Verified | None = None
        try:
            while True:
                if units and not run:  # where all is done already, it needs none
                    run = parent.begin(
                        self._tracked.journal, self._source, self.planned, self._tracked.store
                    )
                self._execute(executor, run, units)
                cells = () if self._over() else self._next(first)
                if not cells:
                    break
                first = len(self.planned.cells)
                added = planned_apart(self._make, cells, first)
                self.planned, units = self.planned.followed_by(added), added.units
            if not self._received:
                verified = self._verified()
            failure = None
        except KeyboardInterrupt:  # the second Ctrl-C
            failure = None
        except (ConfigError, JournalError) as error:
            failure = str(error)
            raise
        finally:
            self._progress.close()
            with suppress(JournalError):
                self._progress.results.extend(self._cut_off(run))
            self.found = self._source.found()
            if run:
                parent.end(
                    self._tracked.journal,
                    run,
                    self.planned.cells,
                    self.results,
                    interrupted=bool(self._received),
                    failure=failure,
                    seconds=time.perf_counter() - began,
                    verified=verified,
                    found=self.found,
                )
        return run, verified

    def _next(self, first: int) -> Sequence[Cell]:
        """The cells of the round after that with the cells from this on; none after the last."""
        try:
            return self._source.rounds.send([r for r in self.results if r.cell >= first])
        except StopIteration:
            return ()

    def _over(self) -> str:
        """What has ended it, if anything has."""
        if self._received:
            return self._received[0]
        failed = self._stops and any(r.outcome == "failed" for r in self._progress.results)
        return "the failure of another cell" if failed else ""

    def _execute(self, executor: MakeExecutor, run: str, units: Sequence[WorkUnit]) -> None:
        """Carry out the units until all are done, it is stopped, or one fails and that is asked."""
        if not units:
            return
        works = [work(self.planned, unit, run, self._tracked.store) for unit in units]
        made = executor(self._received, self._progress)
        made.run(works, self._over, self._progress.tell, self._progress.unit_is_done)

    def _cut_off(self, run: str) -> list[Result]:
        """Cells that have begun, and whose process was ended before it recorded their end."""
        results = self._progress.results
        if len(results) == sum(len(unit.numbers) for unit in self.planned.units):
            return []
        self._close()
        told, cut = {r.cell for r in results}, []
        for path in self._tracked.paths():
            for known, found in summaries(path).items():
                cell = int(found.start.tags.get("cell", -1))
                if found.start.parent == run and found.end is None and cell not in told:
                    reason = "its process was ended"
                    epochs = found.steps // epoch_steps(declared(found.start))
                    cut.append(Result(cell, "interrupted", known, epochs, reason=reason))
        return cut

    def _verified(self) -> Verified | None:
        """What running some cells of stacks alone has shown; None where that was not asked for."""
        planned, count = self.planned, self._chosen.verify
        some = verify.chosen(planned, self._progress.results, count)
        if not some:
            return Verified(["verified    nothing: no cell ran in a stack"], []) if count else None
        differences = self._ask(verify.compare, planned, some, self._tracked.paths())
        bad = [identity.name(planned.cells[d.cell]) for d in differences if d.fault]
        return Verified(verify.told(planned.cells, differences), bad)


def work(planned: Plan, unit: WorkUnit, run: str, store: str) -> Work:
    """What a process needs to know to execute the unit, for the sweep whose own run is `run`."""
    cells = [planned.cells[number] for number in unit.numbers]
    data = [planned.data[number] for number in unit.numbers]
    fingerprints = [planned.fingerprints[number] for number in unit.numbers]
    return Work(unit.numbers, cells, data, fingerprints, unit.parts, run, store)
