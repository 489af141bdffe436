"""Units of work on other machines: what they record is sent home, and told apart by attempt.

An attempt is a unit carried out once. Where its process or its machine is lost, an engine carries
the unit out again; what came of the attempt before is kept, and marked as lost.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from runner.record.journal import End, File, Journal, Rows, Start, new_id
from runner.sweeps.executors.contract import Tell
from runner.sweeps.executors.result import Result
from runner.sweeps.executors.work import Work, do

LOST = "lost"
"""The tag of a run whose attempt was."""


class Begun(NamedTuple):
    """The first that is heard of an attempt."""

    unit: int
    """Its place among the units"""
    where: str
    """The machine"""


class SinkCall(NamedTuple):
    """What a run has recorded: the method of the sink, and its arguments."""

    run: str
    method: str
    arguments: tuple[Any, ...]


Message = Begun | SinkCall | Result


class Sent:
    """A sink that sends what is recorded home; see `runner.record.journal.Sink`."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send

    def begin(self, start: Start) -> str:
        run = new_id()
        self._send(SinkCall(run, "begin", (start,)))
        return run

    def record(self, run: str, rows: Rows) -> None:
        self._send(SinkCall(run, "record", (rows.copy(),)))

    def attach(self, run: str, file: File) -> None:
        self._send(SinkCall(run, "attach", (file,)))

    def end(self, run: str, end: End) -> None:
        self._send(SinkCall(run, "end", (end,)))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Each message by itself: they are written together where they arrive."""
        yield


def carry_out(work: Work, send: Callable[[Message], None], received: Sequence[str]) -> None:
    """Carry out the unit, and send all that comes of it."""
    do(work, Sent(send), received, send)


class Arrivals:
    """Takes what is sent home: records go into the journal, results are told."""

    def __init__(self, works: Sequence[Work], journal: Journal, tell: Tell) -> None:
        self._journal, self._tell = journal, tell
        self._left = [set(work.numbers) for work in works]
        self._attempts: dict[int, str] = {}  # the latest of each unit
        self._unit: dict[str, int] = {}
        self._open: dict[str, set[str]] = {}  # of an attempt, the runs that have not ended

    def begun(self) -> set[int]:
        """Units of which an attempt was heard."""
        return {*self._attempts}

    def left(self, unit: int) -> set[int]:
        """The cells of the unit that have not ended."""
        return self._left[unit]

    def take(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Messages in their order, each with its attempt. Raises JournalError."""
        results = []
        with self._journal.together():
            for attempt, message in messages:
                if isinstance(message, Result):
                    results.append((attempt, message))
                elif isinstance(message, Begun):
                    self._begin(attempt, message)
                else:
                    self._record(attempt, message)
        for attempt, result in results:  # now that it is recorded
            left = self._left[self._unit[attempt]]
            if result.cell in left:
                left.remove(result.cell)
                self._tell(result)

    def _begin(self, attempt: str, message: Begun) -> None:
        if before := self._attempts.get(message.unit):
            self._lose(before, "the process or the machine that computed it was lost; done again")
        self._attempts[message.unit] = attempt
        self._unit[attempt], self._open[attempt] = message.unit, set()

    def _record(self, attempt: str, message: SinkCall) -> None:
        if self._attempts[self._unit[attempt]] != attempt:
            return  # it was taken for lost, and has been done anew
        own = self._open[attempt]
        if message.method == "begin":
            own.add(message.run)
            [start] = message.arguments
            self._journal.begin(start, message.run)
            return
        getattr(self._journal, message.method)(message.run, *message.arguments)
        if message.method == "end":
            own.discard(message.run)

    def _lose(self, attempt: str, reason: str) -> None:
        tags = {"outcome": "interrupted", LOST: "true"}
        for run in sorted(self._open[attempt]):
            self._journal.end(run, End("interrupted", {}, tags, reason))
        self._open[attempt] = set()

    def give_up(self, unit: int, reason: str) -> None:
        """No attempt at the unit goes on: fail what is left of it, and mark what had begun."""
        self.cut_off(unit, reason)
        for number in sorted(self._left[unit]):
            self._tell(Result(number, "failed", reason=reason))
        self._left[unit] = set()

    def cut_off(self, unit: int, reason: str) -> None:
        """The same where the sweep was stopped: what is left has not failed, and was not run."""
        if attempt := self._attempts.get(unit):
            self._lose(attempt, reason)
