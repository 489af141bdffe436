"""The journal: what runs write first, on the local disk, before anything reaches MLflow.

One file for each process that runs something, an SQLite database in WAL mode, to which records
are only ever added: a run's beginning, chunks of its trajectory, its end. It survives `kill -9` at
any moment: a record is there whole or not at all. Each record carries a checksum over itself and
the one before, so damage is seen, and everything up to it is read.

While the process lives it holds a lock beside the file, which the operating system takes back
whichever way the process goes; so a reader can tell a run that goes on from one that was cut off.
"""

import io
import json
import os
import sqlite3
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from runner import project

FOLDER = Path("mlruns/journal")
"""Of the project folder."""

PUT_AWAY = "published"
"""The folder in it for the journals that are done with."""

Rows = NDArray[np.void]
"""A chunk of a trajectory as a structured array; see `runner.trajectory.row_type`."""


@dataclass(frozen=True)
class Start:
    """What is known of a run before its first step."""

    name: str
    store: str
    """The MLflow store that it is for, as a URI without credentials; empty for none."""
    experiment: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """The composed config, as far as it defines the experiment."""
    tensors: Mapping[str, Any] = field(default_factory=dict)
    """Name and shape of each parameter tensor, in the order of a row's `parameters`."""
    time: float = field(default_factory=time.time)
    parent: str | None = None
    """The id of the sweep's own run, for a cell of a sweep."""
    dataset: Mapping[str, str] = field(default_factory=dict)
    """As MLflow knows a dataset: see `runner.dataset_input`; journals from before have none."""


@dataclass(frozen=True)
class File:
    """A file that belongs to a run."""

    name: str
    content: bytes


@dataclass(frozen=True)
class End:
    """How a run ended."""

    outcome: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    """Why, where the outcome does not say it: the traceback of a failed run."""
    time: float = field(default_factory=time.time)
    summary: str | None = None
    """The reason in a line, where it is a traceback; journals from before have none."""

    @property
    def brief(self) -> str:
        """The reason in a line; empty if there is none."""
        if self.summary is not None:
            return self.summary
        lines = (self.reason or "").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Record:
    """One record as it is read back."""

    run: str
    content: "Start | Rows | File | End"
    number: int


class JournalError(Exception):
    """A journal that cannot be written or, from some record on, not be read."""


class JournalUnavailable(JournalError):
    """It cannot be read now, and perhaps later: the disk is full, say. It is not damaged."""


PATIENCE_SECONDS = 2.0  # for those who read a journal that is to be put away

SCHEMA = """
CREATE TABLE record (id INTEGER PRIMARY KEY, run BLOB, kind BLOB, body BLOB, checksum INTEGER)
"""

LAST_CHECKSUM = "SELECT checksum FROM record ORDER BY id DESC LIMIT 1"

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


class Journal:
    """Writes the records of this process's runs."""

    def __init__(self, path: Path) -> None:
        """Create the journal and hold its lock. Raises JournalError where that is impossible."""
        self.path = path
        self._checksum = 0
        self._latest: tuple[tuple[bytes, ...], int] | None = None  # and the checksum it leads to
        self._sure = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(_lock_path(path))
            self._lock.acquire(timeout=1)  # `tidy` may be looking at it
            _create(path)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA synchronous=NORMAL")
        except (OSError, sqlite3.Error) as error:
            raise JournalError(
                f"{project.shown(path)}: the journal cannot be created: {error}"
            ) from error

    def begin(self, start: Start) -> str:
        """Record that a run begins; its id, 32 hexadecimal digits."""
        run = _new_id()
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
            checksum = _checksum(self._checksum, *record)
            self._latest = (record, checksum)
            self._sure = False
            self._database.execute(
                "INSERT INTO record (run, kind, body, checksum) VALUES (?, ?, ?, ?)",
                (*record, checksum),
            )
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        self._checksum = checksum
        self._sure = True

    def _unwritable(self, error: sqlite3.Error) -> JournalError:
        return JournalError(
            f"{project.shown(self.path)}: the journal cannot be written: {error}. "
            "What was recorded before is kept."
        )


class Reader:
    """Reads a journal from its beginning, and on from there as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._here = path.absolute()
        self._last = 0
        self._checksum = 0

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
            yield _content(kind.decode(), body)

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

    def _checked(self, number: Any, run: Any, kind: Any, body: Any, checksum: Any) -> Record:
        whole = (
            number == self._last + 1
            and all(isinstance(part, bytes) for part in (run, kind, body))
            and checksum == _checksum(self._checksum, run, kind, body)
        )
        if not whole:
            raise self._damaged()
        try:
            record = Record(run.decode(), _content(kind.decode(), body), number)
        except (TypeError, ValueError) as error:  # whole, but of another version
            raise self._damaged(f": {error}") from error
        self._last, self._checksum = number, checksum
        return record

    def _unreadable(self, error: sqlite3.Error) -> JournalError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF in PASSING and code != sqlite3.SQLITE_IOERR_SHORT_READ:
            return JournalUnavailable(f"{project.shown(self.path)}: cannot be read now: {error}")
        return self._damaged(f": {error}")

    def _damaged(self, how: str = "") -> JournalError:
        return JournalError(f"{project.shown(self.path)}: damaged after record {self._last}{how}")


def folder() -> Path:
    """The journals' folder, absolute."""
    return project.folder() / FOLDER


def paths(name: str = "") -> list[Path]:
    """The journals that begin with that name, the published ones first."""
    # Looked for in the order in which they move: one that is put away just now is found.
    new, old = (sorted(place.glob(f"{name}*.db")) for place in (folder(), folder() / PUT_AWAY))
    there = {path.name for path in old}
    return [*old, *(path for path in new if path.name not in there)]


def is_being_written(path: Path) -> bool:
    """Whether the process that writes the journal is alive."""
    lock = _lock_path(path)
    if not lock.exists():  # and asking must not create it
        return False
    try:
        # Not at the first attempt: somebody else may be asking at the same moment.
        with FileLock(lock).acquire(timeout=0.1, poll_interval=0.001):
            return False
    except Timeout:
        return True


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
    epochs: int = 0
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
            found[record.run].epochs = int(record.content["step"][-1])
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
                yield record.run, started.pop(record.run), record.content
    except JournalUnavailable:
        if not reader.is_gone():
            raise
    except JournalError:  # what comes after has not been recorded whole
        return


def put_away(path: Path, *, keep: bool) -> None:
    """Move a journal that is done with into its folder, as one file; or delete it.

    While somebody reads it, it may stay where it is: whoever publishes next comes back to it.
    """
    log = Path(f"{path}-wal")
    if keep:
        if not _merged(path):
            return
        folder = path.parent / PUT_AWAY
        folder.mkdir(exist_ok=True)
        path.replace(folder / path.name)  # first: without its log it would be read as a shorter one
        with suppress(FileNotFoundError):  # as a rule; or its last reader has just removed it
            log.replace(folder / log.name)
    for name in (path, log, Path(f"{path}-shm"), _lock_path(path)):
        name.unlink(missing_ok=True)


def take_back() -> None:
    """Bring the journals that were put away back to where they are published from."""
    for path in sorted((folder() / PUT_AWAY).glob("*.db")):
        log = Path(f"{path}-wal")
        if log.exists():  # first: without it the journal would be published as a shorter one
            log.replace(folder() / log.name)
        path.replace(folder() / path.name)


def _merged(path: Path) -> bool:
    """Bring the journal into one file, if it can be; False if somebody goes on reading it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with closing(sqlite3.connect(path, timeout=0)) as database:
        while True:
            try:
                database.execute("PRAGMA journal_mode=DELETE")
                return True
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                    return True  # damaged, or the disk is full: it is moved in two files
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)


def tidy(folder: Path) -> None:
    """Remove what processes have left that were killed before their journal was there."""
    for name in folder.glob("*.lock"):
        with suppress(Timeout), FileLock(name).acquire(timeout=0):
            if not name.with_suffix(".db").exists():
                for path in folder.glob(f"{name.stem}.*"):
                    path.unlink(missing_ok=True)


def _create(path: Path) -> None:
    """An empty journal, there whole or not at all: readers may look, or a kill come, any time."""
    new = path.with_suffix(".new")
    with closing(sqlite3.connect(new, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")  # nothing is in it yet
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(SCHEMA)
    new.replace(path)


def _content(kind: str, body: bytes) -> Start | Rows | File | End:
    if kind == "rows":
        return _rows(body)
    if kind == "file":
        name, _, content = body.partition(b"\0")
        return File(name.decode(), content)
    return (Start if kind == "start" else End)(**json.loads(body))


def _rows(body: bytes) -> Rows:
    """As `np.lib.format.read_array` reads them; it takes most of its time for the header."""
    start = 10 + int.from_bytes(body[8:10], "little")
    return np.frombuffer(body, _row_type(body[:start]), offset=start)


@lru_cache
def _row_type(header: bytes) -> np.dtype[np.void]:
    stream = io.BytesIO(header)
    np.lib.format.read_magic(stream)
    _, _, kind = np.lib.format.read_array_header_1_0(stream)
    return kind


def _new_id() -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): milliseconds since 1970, then chance.

    New ids so belong at the end of a store's indexes, where there is room; those of version 4
    belong all over them, which takes half as long again.
    """
    chance = int.from_bytes(os.urandom(10), "big")
    bits = (time.time_ns() // 10**6) << 80 | chance
    return f"{bits & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 2 << 62:032x}"


def _checksum(before: int, *parts: bytes) -> int:
    for part in parts:
        before = zlib.crc32(part, zlib.crc32(len(part).to_bytes(8, "little"), before))
    return before


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")
