"""Where journals are: those that are being written or published, and those done with."""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from runner.base import project

FOLDER = Path("mlruns/journal")
"""Of the project folder."""

PUT_AWAY = "published"
"""The folder in it for the journals that are done with."""

PUBLISHER_SECONDS = 60.0
"""For somebody who is still publishing a journal that is to go on"""

PATIENCE_SECONDS = 2.0  # for those who read a journal that is to be put away

MACHINE = Path("/etc/machine-id")
"""What a Linux system has chosen for itself when it was installed."""

SCHEMA = """CREATE TABLE record \
(id INTEGER PRIMARY KEY, run BLOB, kind BLOB, body BLOB, checksum INTEGER)"""
ORIGIN = "CREATE TABLE origin (mark TEXT)"
TABLES = {"record": SCHEMA, "origin": ORIGIN}


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
    lock = lock_path(path)
    if not lock.exists():  # and asking must not create it
        return False
    try:
        # Not at the first attempt: somebody else may be asking at the same moment.
        with FileLock(lock).acquire(timeout=0.1, poll_interval=0.001):
            return False
    except Timeout:
        return True


def check_tables(database: sqlite3.Connection) -> None:
    """Raise DatabaseError where a table is something else: a view, say, may take for ever."""
    query = "SELECT name, sql FROM sqlite_master WHERE name IN ('record', 'origin')"
    for name, written in database.execute(query):
        if written != TABLES[name]:
            raise sqlite3.DatabaseError(f"{name} is no table of a journal")


def mark_origin(path: Path, database: sqlite3.Connection) -> None:
    """Leave in a journal what tells it from a copy, and from what another machine has written."""
    database.execute(ORIGIN)
    database.execute("INSERT INTO origin VALUES (?)", (_origin(path),))


def is_from_here(path: Path) -> bool:
    """Return whether this machine wrote the journal, for this user and in this place.

    A folder may be moved within its disk. The author of a copy is unknown, as is that of a journal
    from before these marks.
    """
    with suppress(OSError, sqlite3.Error):
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            check_tables(database)
            return database.execute("SELECT mark FROM origin").fetchall() == [(_origin(path),)]
    return False


def _origin(path: Path) -> str:
    """Return the digest of the machine, the user, and the place of the file on its disk."""
    try:
        machine = MACHINE.read_bytes()
    except OSError:  # another system's, or a container
        machine = b""
    user = os.getuid() if hasattr(os, "getuid") else ""
    return hashlib.sha256(machine + f"{user} {path.stat().st_ino}".encode()).hexdigest()


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
    for name in (path, log, Path(f"{path}-shm"), lock_path(path)):
        name.unlink(missing_ok=True)


def take_back(name: str = "*") -> None:
    """Bring the journals of that name that were put away back to where they are published from."""
    for path in sorted((folder() / PUT_AWAY).glob(f"{name}.db")):
        log = Path(f"{path}-wal")
        if log.exists():  # first: without it the journal would be published as a shorter one
            log.replace(folder() / log.name)
        path.replace(folder() / path.name)


@contextmanager
def published(path: Path) -> Iterator[None]:
    """Have the journal where it is published from, with nobody publishing it."""
    with FileLock(path.with_suffix(".publishing"), timeout=PUBLISHER_SECONDS):
        take_back(path.stem)
        yield


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


def lock_path(path: Path) -> Path:
    """Of the journal's lock, which its writer holds."""
    return path.with_suffix(".lock")
