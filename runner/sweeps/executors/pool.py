"""A bounded pool of local processes that execute units of work.

Each process has a journal of its own and one unit at a time, so one that is killed loses that unit
alone; it is tried once more. The processes are forked from a server that has imported what takes
long. They end by themselves when the process that leads them is gone.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle

from runner.engine.measure import own_measures
from runner.errors import JournalError, ProcessEnded
from runner.record.journal import ends
from runner.sweeps.executors.contract import Tell
from runner.sweeps.executors.member import DONE, Answer, Asked, serve
from runner.sweeps.executors.result import Result, result
from runner.sweeps.executors.work import Work
from runner.sweeps.forking import HEAVY, context, without_interrupts, without_main

POLL_SECONDS = 0.2  # between two looks at whether a signal has come
START_SECONDS = 10.0  # for a process that cannot be started at once


class _Worker(NamedTuple):
    process: Any
    line: Any
    """The connection to it."""
    path: Path
    """Of its journal."""


class Pool:
    """A number of processes at most, started on demand; see `executors.contract.Executor`."""

    def __init__(self, path: Callable[[str], Path], *, torch: bool) -> None:
        """`path` gives a journal's path from a suffix; `torch` is to be imported beforehand."""
        self._context = context()
        if self._context.get_start_method() == "forkserver":
            self._context.set_forkserver_preload(HEAVY if torch else HEAVY[:1])
        self._path = path
        self._count = 0
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, tuple[Work, set[int]]] = {}  # and which cells it has not told
        self._tried: set[Sequence[int]] = set()

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The value of the function, computed by a process of the pool.

        Raises what it raises; ProcessEnded if the process ends instead.
        """
        worker = self._idle.pop() if self._idle else self._start()
        try:
            worker.line.send(Asked(function, arguments))
            answer: Answer = worker.line.recv()
        except (EOFError, OSError):
            worker.process.join()
            raise ProcessEnded(_how(worker.process.exitcode)) from None
        except BaseException:  # Ctrl-C: nobody waits for it
            worker.process.kill()
            raise
        self._idle.append(worker)
        if answer.raised is not None:
            raise answer.raised
        return answer.value

    def run(
        self,
        works: Iterable[Work],
        over: Callable[[], str],
        tell: Tell,
        unit_is_done: Callable[[], None],
        most: Callable[[], int],
    ) -> None:
        """Carry out the units in `most` processes at most, asked whenever one might be started."""
        waiting, stopped = deque(works), False
        try:
            while self._busy or (waiting and not over()):
                if over() and not stopped:
                    stopped = True
                    for worker in self._busy:
                        _send(worker, over())
                while waiting and len(self._busy) < most() and not over():
                    self._hand_out(waiting.popleft(), waiting, tell)
                lines = {worker.line: worker for worker in self._busy}
                for line in connection.wait(list(lines), POLL_SECONDS):
                    self._listen(lines[line], waiting, tell, unit_is_done)
        finally:
            self.close()

    def _hand_out(self, work: Work, waiting: deque[Work], tell: Tell) -> None:
        try:
            worker = self._idle.pop() if self._idle else self._start()
        except (EOFError, OSError) as error:
            self._lost(work, f"no process could be started: {error}", waiting, tell)
            return
        self._busy[worker] = work, set(work.numbers)
        _send(worker, work)

    def _start(self) -> _Worker:
        self._count += 1
        ours, theirs = self._context.Pipe()
        measures = cloudpickle.dumps(own_measures())  # of a script or a notebook
        path = self._path(str(self._count))
        told = theirs, path, dict(os.environ), measures
        deadline = time.monotonic() + START_SECONDS
        while True:
            process = self._context.Process(target=serve, args=told)
            try:
                with without_interrupts(), without_main():
                    process.start()
                break
            except (EOFError, OSError):  # what forks was killed; once it is gone, another comes
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
        theirs.close()  # so that its end is noticed
        return _Worker(process, ours, path)

    def _listen(
        self,
        worker: _Worker,
        waiting: deque[Work],
        tell: Tell,
        unit_is_done: Callable[[], None],
    ) -> None:
        work, left = self._busy[worker]
        try:
            message = worker.line.recv()
        except (EOFError, OSError):
            del self._busy[worker]
            worker.process.join()
            for found in _recorded(worker, work, left):  # and not told any more
                left.discard(found.cell)
                tell(found)
            if not left:
                unit_is_done()
                return
            why = f"its process ended twice, by {_how(worker.process.exitcode)}"
            self._lost(work.only(left), why, waiting, tell)
            return
        if isinstance(message, JournalError):
            raise message
        if message == DONE:
            del self._busy[worker]
            self._idle.append(worker)
            unit_is_done()
        else:
            left.discard(message.cell)
            tell(message)

    def _lost(self, work: Work, why: str, waiting: deque[Work], tell: Tell) -> None:
        """Retry once, then fail the cells that are left."""
        key = tuple(work.numbers)
        if key not in self._tried:
            self._tried.add(key)
            waiting.append(work)
            return
        for number in work.numbers:
            tell(Result(number, "failed", reason=why))

    def close(self) -> None:
        """End its processes; more are started if it is asked for more."""
        for worker in self._idle:  # they end when nobody is left who could send more
            worker.line.close()
        for worker in self._busy:
            worker.process.kill()
        for worker in [*self._idle, *self._busy]:
            worker.process.join()
        self._idle, self._busy = [], {}


def _how(code: int) -> str:
    """How a process has ended."""
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _recorded(worker: _Worker, work: Work, cells: Collection[int]) -> list[Result]:
    """What the journal of a process that is gone has of these cells of its last unit.

    Raises JournalUnavailable.
    """
    return [
        result(int(start.tags["cell"]), run, end)
        for run, start, end in ends(worker.path)
        if start.parent == work.parent and int(start.tags["cell"]) in cells
    ]


def _send(worker: _Worker, message: Any) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it is gone, which `_listen` will meet
        worker.line.send(message)
