"""A bounded pool of local processes that execute units of work.

Each process has a journal of its own and one unit at a time, so one that is killed loses that unit
alone; it is tried once more. The processes are forked from a server that has imported what takes
long. They end by themselves when the process that leads them is gone.
"""

import multiprocessing
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from runner.cells.result import Result, result
from runner.cells.work import Work, do
from runner.journal import Journal, JournalError, ends

DONE = "done"
POLL_SECONDS = 0.2  # between two looks at whether a signal has come
START_SECONDS = 10.0  # for a process that cannot be started at once

Tell = Callable[[Result], None]


class _Worker(NamedTuple):
    process: Any
    line: Any
    """The connection to it."""
    path: Path
    """Of its journal."""


class Pool:
    """So many processes at most, started as there is work for them."""

    def __init__(self, workers: int, path: Callable[[str], Path], *, torch: bool) -> None:
        """`path` gives a journal's path from a suffix; `torch` is to be imported beforehand."""
        method = "spawn" if sys.platform == "win32" else "forkserver"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            heavy = ["runner.program.stacked_pytorch"] if torch else []
            self._context.set_forkserver_preload(["runner.cells.work", *heavy])
        self._most = workers
        self._path = path
        self._count = 0
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, tuple[Work, set[int]]] = {}  # and which cells it has not told
        self._tried: set[Sequence[int]] = set()

    def run(
        self,
        works: Iterable[Work],
        over: Callable[[], str],
        tell: Tell,
        unit_is_done: Callable[[], None],
    ) -> None:
        """Execute the units, until `over` says by what they are stopped.

        Raises JournalError where a process cannot record.
        """
        waiting, stopped = deque(works), False
        try:
            while self._busy or (waiting and not over()):
                if over() and not stopped:
                    stopped = True
                    for worker in self._busy:
                        _send(worker, over())
                while waiting and len(self._busy) < self._most and not over():
                    self._hand_out(waiting.popleft(), waiting, tell)
                lines = {worker.line: worker for worker in self._busy}
                for line in connection.wait(list(lines), POLL_SECONDS):
                    self._listen(lines[line], waiting, tell, unit_is_done)
        finally:
            self._close()

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
        path = self._path(str(self._count))
        deadline = time.monotonic() + START_SECONDS
        while True:
            process = self._context.Process(target=_serve, args=(theirs, path))
            try:
                with _without_interrupts(), _without_main():
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
            code = worker.process.exitcode
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            self._lost(work.only(left), f"its process ended twice, by {how}", waiting, tell)
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
        """Try what has not been done once more, and then no more."""
        key = tuple(work.numbers)
        if key not in self._tried:
            self._tried.add(key)
            waiting.append(work)
            return
        for number in work.numbers:
            tell(Result(number, "failed", reason=why))

    def _close(self) -> None:
        for worker in self._idle:  # they end when nobody is left who could send more
            worker.line.close()
        for worker in self._busy:
            worker.process.kill()
        for worker in [*self._idle, *self._busy]:
            worker.process.join()


def _recorded(worker: _Worker, work: Work, cells: Collection[int]) -> list[Result]:
    """What the journal of a process that is gone has of these cells of its last unit.

    Raises JournalUnavailable.
    """
    return [
        result(int(start.tags["cell"]), run, end)
        for run, start, end in ends(worker.path)
        if start.parent == work.parent and int(start.tags["cell"]) in cells
    ]


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let what is started now never hear of a Ctrl-C, which is for the one that leads."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would let them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Let what is started now not import the script that runs here: it needs nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _send(worker: _Worker, message: Any) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it is gone, which `_listen` will meet
        worker.line.send(message)


def _serve(line: Any, path: Path) -> None:
    """What a process of the pool does: units, one after another, until nobody sends any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that leads
    works: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
    received: list[str] = []

    def listen() -> None:
        try:
            while True:
                message = line.recv()
                if isinstance(message, str):
                    received.append(message)
                else:
                    works.put(message)
        except (EOFError, OSError):
            received.append("the end of the process that led")
            works.put(None)

    threading.Thread(target=listen, daemon=True).start()
    journal = None
    try:
        while (work := works.get()) is not None:
            journal = journal or Journal(path)
            do(work, journal, received, line.send)
            line.send(DONE)
    except JournalError as error:
        line.send(JournalError(str(error)))
    except (BrokenPipeError, ConnectionResetError):  # nobody listens
        pass
    finally:
        if journal is not None:
            journal.close()
