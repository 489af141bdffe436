"""A sweep from its cells to the table at its end: planned, executed, verified."""

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from runner import identity
from runner.cell import Cell
from runner.cells import parent, table, verify
from runner.cells.done import done
from runner.cells.plan import Plan, Unit, plan
from runner.cells.progress import Progress
from runner.cells.verify import Verified
from runner.column import declared, epoch_steps
from runner.config import ConfigError, Values
from runner.console import say
from runner.executor import Executor, Local, Pool, Result, Work
from runner.executor.local import needs_other_process
from runner.executor.pool import ProcessEnded
from runner.journal import JournalError, summaries
from runner.recorded.place import page_path
from runner.signals import signals
from runner.tracking.session import Session
from runner.uri import recorded

MakeExecutor = Callable[[Sequence[str], Progress], Executor]
"""From the signals that have come, and what is known of how long it takes."""

Ask = Callable[..., Any]
"""The value of a function for arguments, wherever PyTorch is."""


class Ended(NamedTuple):
    """A sweep that has ended."""

    cells: Sequence[Cell]
    run: str
    """Its own, in the journal; empty where everything was done already."""
    results: list[Result]
    verified: Verified | None
    received: list[str]
    """The signal that has stopped it, if one has"""


def carry_out(
    cells: Sequence[Cell],
    chosen: Values,
    tracked: Session | None,
    executor: MakeExecutor | None = None,
) -> Ended:
    """Plan the sweep, execute it and show how it ended; only plan it where there is no session.

    By this machine's processes, unless there is another `executor`. Raises ConfigError before
    anything runs if a cell cannot, and JournalError.
    """
    gradients = {cell.values["gradient"] for cell in cells}
    pool = Pool(tracked.path if tracked else Path, torch="autograd" in gradients)
    ask: Ask = pool.ask if needs_other_process(gradients) else _here

    def local(received: Sequence[str], progress: Progress) -> Executor:
        assert tracked is not None
        workers, left = chosen["workers"], progress.seconds_left
        return Local(lambda: tracked.journal, pool, received, workers, left)

    try:
        how = {"stack": chosen["stack"], "workers": chosen["workers"] or 1}
        earlier = done(*_place(cells)) if chosen["resume"] else {}
        planned: Plan = ask(partial(plan, **how, done=earlier), cells)
        say("\n".join(planned.lines()))
        if tracked is None:
            return Ended(cells, "", [], None, [])
        with signals(signal.SIGINT, signal.SIGTERM) as received:
            sweep = _Sweep(planned, chosen, tracked, received, ask, pool.close)
            run, results, verified = sweep.execute(executor or local)
    except ProcessEnded as error:
        raise ConfigError(f"a part ended the process in which it was tried: {error}") from error
    finally:
        pool.close()
    say(table.printed(cells, results))
    if run and tracked.store and tracked.settings.page:
        say(f"report      {page_path(run)}, in a moment")
    if verified:
        say("\n".join(verified.lines))
    if received:
        say("stopped     go on with: sweep.resume=true")
    return Ended(cells, run, results, verified, received)


def _here(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _place(cells: Sequence[Cell]) -> tuple[str, str]:
    """The store and the experiment that the runs go to."""
    node = cells[0].values["tracking"]
    return recorded(node["uri"]) if node["uri"] else "", node["experiment"]


class _Sweep(NamedTuple):
    """A sweep that is planned."""

    planned: Plan
    chosen: Values
    tracked: Session
    received: list[str]
    ask: Ask
    close: Callable[[], None]
    """Ends this machine's processes."""

    def execute(self, executor: MakeExecutor) -> tuple[str, list[Result], Verified | None]:
        """Execute what is to be done, as children of a run of the sweep's own."""
        planned, earlier = self.planned, list(self.planned.done)
        if not planned.units:  # and so no journal
            return "", earlier, self._verified([])
        began, journal = time.perf_counter(), self.tracked.journal
        run = parent.begin(journal, planned, self.tracked.store)
        progress = Progress(sum(len(unit.numbers) for unit in planned.units))
        failure: str | None = "it ended early"
        verified: Verified | None = None
        try:
            self._execute(executor, run, progress)
            if not self.received:
                verified = self._verified(progress.results)
            failure = None
        except KeyboardInterrupt:  # the second Ctrl-C
            failure = None
        except JournalError as error:
            failure = str(error)
            raise
        finally:
            progress.close()
            with suppress(JournalError):
                progress.results.extend(self._cut_off(run, progress.results))
            parent.end(
                journal,
                run,
                planned.cells,
                sorted(earlier + progress.results),
                interrupted=bool(self.received),
                failure=failure,
                seconds=time.perf_counter() - began,
                verified=verified,
            )
        return run, sorted(earlier + progress.results), verified

    def _cut_off(self, run: str, results: Sequence[Result]) -> list[Result]:
        """Cells that have begun, and whose process was ended before it recorded their end."""
        if len(results) == sum(len(unit.numbers) for unit in self.planned.units):
            return []
        self.close()
        told, cut = {r.cell for r in results}, []
        for path in self.tracked.paths():
            for known, found in summaries(path).items():
                cell = int(found.start.tags.get("cell", -1))
                if found.start.parent == run and found.end is None and cell not in told:
                    reason = "its process was ended"
                    epochs = found.steps // epoch_steps(declared(found.start))
                    cut.append(Result(cell, "interrupted", known, epochs, reason=reason))
        return cut

    def _execute(self, executor: MakeExecutor, run: str, progress: Progress) -> None:
        """Carry out the units until all are done, it is stopped, or one fails and that is asked."""
        stops = self.chosen["on_error"] == "stop"

        def over() -> str:
            """What has ended it, if anything has."""
            if self.received:
                return self.received[0]
            failed = stops and any(r.outcome == "failed" for r in progress.results)
            return "the failure of another cell" if failed else ""

        works = [work(self.planned, unit, run, self.tracked.store) for unit in self.planned.units]
        made = executor(self.received, progress)
        made.run(works, over, progress.tell, progress.unit_is_done)

    def _verified(self, results: Sequence[Result]) -> Verified | None:
        """What running some cells of stacks alone has shown; None where that was not asked for."""
        planned, count = self.planned, self.chosen["verify"]
        some = verify.chosen(planned, results, count)
        if not some:
            return Verified(["verified    nothing: no cell ran in a stack"], []) if count else None
        differences = self.ask(verify.compare, planned, some, self.tracked.paths())
        bad = [identity.name(planned.cells[d.cell]) for d in differences if d.fault]
        return Verified(verify.told(planned.cells, differences), bad)


def work(planned: Plan, unit: Unit, run: str, store: str) -> Work:
    """What a process needs to know to execute the unit, for the sweep whose own run is `run`."""
    cells = [planned.cells[number] for number in unit.numbers]
    data = [planned.data[number] for number in unit.numbers]
    fingerprints = [planned.fingerprints[number] for number in unit.numbers]
    return Work(unit.numbers, cells, data, fingerprints, unit.parts, run, store)
