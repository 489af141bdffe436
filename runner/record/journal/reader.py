"""Reads journals: from the beginning, and on as they grow."""

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runner.base import project
from runner.errors import JournalError, JournalUnavailable
from runner.record.journal.files import PUT_AWAY, check_tables
from runner.record.journal.record import End, File, Record, Rows, Start, checksum, decoded

# What SQLite says of its surroundings, not of the file.
PASSING = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}

RUN_ID = re.compile(rb"[0-9a-f]{32}")
"""Folders and files bear such names, so a run's may have no others."""


class Reader:
    """Reads a journal from its beginning, and on from there as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._here = path.absolute()
        self._last = 0
        self._checksum = 0
        self._begun: set[bytes] = set()

    def read(self, most: int = 1000) -> Iterator[Record]:
        """Up to `most` records that have come since the last call; as many more if it was moved.

        Raises JournalError at the first damaged one; those before it have been yielded by then.
        JournalUnavailable, which may come at any of them, is no damage: call again.
        """
        query = "SELECT id, run, kind, body, checksum FROM record WHERE id > ? ORDER BY id LIMIT ?"
        for row in self._rows(lambda database: database.execute(query, (self._last, most))):
            yield self._checked(*row)

    def rest(self) -> Iterator[Record]:
        """All records that have come since the last call; raises as `read` does."""
        more = True
        while more:
            more = False
            for record in self.read():
                more = True
                yield record

    def again(self, numbers: Iterable[int]) -> Iterator[Rows]:
        """The rows in the records of these numbers, which have been read before."""
        for content in self.contents(numbers):
            assert isinstance(content, np.ndarray)
            yield content

    def contents(self, numbers: Iterable[int]) -> Iterator["Start | Rows | File | End"]:
        """What is in the records of these numbers, which have been read before."""
        left = deque(numbers)

        def ask(database: sqlite3.Connection) -> Iterator[Any]:
            while left:
                query = "SELECT kind, body FROM record WHERE id = ?"
                yield database.execute(query, (left[0],)).fetchone()
                left.popleft()

        for kind, body in self._rows(ask):
            yield decoded(kind.decode(), body)

    def is_gone(self) -> bool:
        """Whether the journal has been deleted."""
        return not self.place().exists()

    def _rows(self, ask: Callable[[sqlite3.Connection], Iterable[Any]]) -> Iterator[Any]:
        """What the database answers; asked once more if the journal was put away meanwhile."""
        while True:
            place = self.place()
            try:
                with closing(sqlite3.connect(f"{place.as_uri()}?mode=rw", uri=True)) as database:
                    # Without this, SQLite would refuse all of a file that has lost its tail.
                    database.execute("PRAGMA writable_schema=ON")
                    check_tables(database)
                    yield from ask(database)
            except sqlite3.Error as error:
                if self.place() == place:
                    raise self._unreadable(error) from error
            if self.place() == place:
                return

    def place(self) -> Path:
        """Where the journal is now: it may have been put away."""
        here = self._here
        put_away = here.parent.name == PUT_AWAY
        there = here.parent.parent if put_away else here.parent / PUT_AWAY
        return here if here.exists() else there / here.name

    def _checked(self, number: Any, run: Any, kind: Any, body: Any, found: Any) -> Record:
        whole = (
            number == self._last + 1
            and all(isinstance(part, bytes) for part in (run, kind, body))
            and found == checksum(self._checksum, run, kind, body)
        )
        if not whole:
            raise self._damaged()
        if kind == b"start" and RUN_ID.fullmatch(run):
            self._begun.add(run)
        elif run not in self._begun:
            raise self._damaged(": what follows is of a run that has not begun")
        try:
            record = Record(run.decode(), decoded(kind.decode(), body), number)
        except (RecursionError, TypeError, ValueError) as error:  # whole, but of another version
            raise self._damaged(f": {error}") from error
        self._last, self._checksum = number, found
        return record

    def _unreadable(self, error: sqlite3.Error) -> JournalError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF in PASSING and code != sqlite3.SQLITE_IOERR_SHORT_READ:
            return JournalUnavailable(f"{project.shown(self.path)}: cannot be read now: {error}")
        return self._damaged(f": {error}")

    def _damaged(self, how: str = "") -> JournalError:
        return JournalError(f"{project.shown(self.path)}: damaged after record {self._last}{how}")


def last_whole(path: Path) -> int:
    """The number of the last record before any damage. Raises JournalUnavailable."""
    number = 0
    try:
        for record in Reader(path).rest():
            number = record.number
    except JournalUnavailable:
        raise
    except JournalError:
        pass
    return number


def destination(path: Path) -> str | None:
    """The store that the journal's runs are for; None if no run has begun."""
    try:
        for record in Reader(path).read(1):
            assert isinstance(record.content, Start)
            return record.content.store
    except JournalError:  # damaged in its first record
        pass
    return None


@dataclass
class Summary:
    """A run as far as its journal tells."""

    start: Start
    steps: int = 0
    end: End | None = None


def summaries(path: Path) -> dict[str, Summary]:
    """Every run in the journal by its id. Raises JournalError if a record is damaged."""
    found: dict[str, Summary] = {}
    for record in Reader(path).rest():
        if isinstance(record.content, Start):
            found[record.run] = Summary(record.content)
        elif isinstance(record.content, End):
            found[record.run].end = record.content
        elif not isinstance(record.content, File) and len(record.content):
            found[record.run].steps = int(record.content["step"][-1])
            found[record.run].end = None  # it goes on
    return found


def ends(path: Path) -> Iterator[tuple[str, Start, End]]:
    """The runs in the journal that have ended: id, start, end. No run if it has been deleted.

    Raises JournalUnavailable.
    """
    reader, started = Reader(path), dict[str, Start]()
    try:
        for record in reader.rest():
            if isinstance(record.content, Start):
                started[record.run] = record.content
            elif isinstance(record.content, End):
                yield record.run, started[record.run], record.content
    except JournalUnavailable:
        if not reader.is_gone():
            raise
    except JournalError:  # what comes after has not been recorded whole
        return
