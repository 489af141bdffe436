"""Writes a journal: one file for each process that runs something."""

import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock

from runner.base import project
from runner.base.files import replacing
from runner.errors import JournalError
from runner.record.journal.files import SCHEMA, lock_path, mark_origin, published
from runner.record.journal.reader import last_whole
from runner.record.journal.record import End, File, Rows, Start, checksum

PAGE_BYTES = 16384
"""Of the file: chunks of a large model's trajectory take a third of the time of 4096."""

LAST_CHECKSUM = "SELECT checksum FROM record ORDER BY id DESC LIMIT 1"


class Sink(Protocol):
    """Takes what runs record, wherever that goes: a journal of this process, say."""

    def begin(self, start: Start) -> str:
        """Record that a run begins; its id, 32 hexadecimal digits."""

    def record(self, run: str, rows: Rows) -> None:
        """Record a chunk of the run's trajectory; the rows are the caller's again afterwards."""

    def attach(self, run: str, file: File) -> None:
        """Record a file for the run."""

    def end(self, run: str, end: End) -> None:
        """Record how the run ended."""

    def together(self) -> AbstractContextManager[None]:
        """Make what is recorded inside one transaction: all of it is there, or nothing."""


class Journal:
    """Writes the records of this process's runs."""

    def __init__(self, path: Path, *, goes_on: bool = False) -> None:
        """Create the journal and hold its lock. Raises JournalError where that is impossible.

        With `goes_on`, it is there, and its writer is gone: what comes follows its last record that
        is whole.
        """
        self.path = path
        self._checksum = 0
        self._latest: tuple[tuple[bytes, ...], int] | None = None  # and the checksum it leads to
        self._sure = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if goes_on:
                with published(path):
                    self._open(path)
                number = last_whole(path)
                self._database.execute("DELETE FROM record WHERE id > ?", (number,))
                self._sure = False
            else:
                self._open(path, new=True)
        except (OSError, sqlite3.Error) as error:
            what = "gone on with" if goes_on else "created"
            raise JournalError(
                f"{project.shown(path)}: the journal cannot be {what}: {error}"
            ) from error

    def _open(self, path: Path, *, new: bool = False) -> None:
        self._lock = FileLock(lock_path(path))
        self._lock.acquire(timeout=10)  # `tidy` may be looking at it, on a busy machine
        if new:
            _create(path)
        self._database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        self._database.execute("PRAGMA journal_mode=WAL")  # of one that was put away
        self._database.execute("PRAGMA synchronous=NORMAL")

    def begin(self, start: Start, run: str | None = None) -> str:
        """Record that a run begins; its id, 32 hexadecimal digits, unless it has one already."""
        run = run or new_id()
        self._write(run, "start", json.dumps(vars(start)).encode())
        return run

    def record(self, run: str, rows: Rows) -> None:
        """Record a chunk of the run's trajectory."""
        body = io.BytesIO()
        np.lib.format.write_array(body, rows, allow_pickle=False)
        self._write(run, "rows", body.getvalue())

    def attach(self, run: str, file: File) -> None:
        """Record a file for the run."""
        self._write(run, "file", file.name.encode() + b"\0" + file.content)

    def end(self, run: str, end: End) -> None:
        """Record how the run ended, where nothing else may fit any more as well."""
        body = json.dumps(vars(end)).encode()
        try:
            self._write(run, "end", body)
        except JournalError:
            # The log may be as large as a file may be, and its database have room for all of it.
            with suppress(sqlite3.Error):
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._write(run, "end", body)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make what is recorded inside one transaction: all of it is there, or nothing."""
        before = self._checksum, self._latest
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._take_back(*before)
            raise self._unwritable(error) from error
        except BaseException:
            self._take_back(*before)
            raise

    def _take_back(self, checksum: int, latest: tuple[tuple[bytes, ...], int] | None) -> None:
        """End the transaction; if it is over already, find out where it has led."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        self._checksum, self._latest, self._sure = checksum, latest, False

    def close(self) -> None:
        """Give the journal over to its readers."""
        self._database.close()
        self._lock.release()

    def _write(self, run: str, kind: str, body: bytes) -> None:
        record = (run.encode(), kind.encode(), body)
        try:
            if not self._sure:  # a Ctrl-C came while SQLite was at work: did it write or not?
                last = self._database.execute(LAST_CHECKSUM).fetchone()
                self._checksum = last[0] if last else 0
            if (record, self._checksum) == self._latest:  # it did, and its writer does not know
                return
            following = checksum(self._checksum, *record)
            self._latest = (record, following)
            self._sure = False
            self._database.execute(
                "INSERT INTO record (run, kind, body, checksum) VALUES (?, ?, ?, ?)",
                (*record, following),
            )
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        self._checksum = following
        self._sure = True

    def _unwritable(self, error: sqlite3.Error) -> JournalError:
        return JournalError(
            f"{project.shown(self.path)}: the journal cannot be written: {error}. "
            "What was recorded before is kept."
        )


def _create(path: Path) -> None:
    """An empty journal, there whole or not at all: readers may look, or a kill come, any time."""
    with (
        replacing(path, path.with_suffix(".new")) as new,
        closing(sqlite3.connect(new, isolation_level=None)) as database,
    ):
        database.execute("PRAGMA synchronous=OFF")  # nothing is in it yet
        database.execute(f"PRAGMA page_size={PAGE_BYTES}")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(SCHEMA)
        mark_origin(new, database)


def new_id() -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): milliseconds since 1970, then chance.

    New ids so belong at the end of a store's indexes, where there is room; those of version 4
    belong all over them, which takes half as long again.
    """
    chance = int.from_bytes(os.urandom(10), "big")
    bits = (time.time_ns() // 10**6) << 80 | chance
    return f"{bits & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 2 << 62:032x}"
