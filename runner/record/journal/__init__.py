"""The journal: what runs write first, on the local disk, before anything reaches MLflow.

One file for each process that runs something, an SQLite database in WAL mode, to which records
are only ever added: a run's beginning, chunks of its trajectory, its end. It survives `kill -9` at
any moment: a record is there whole or not at all. Each record carries a checksum over itself and
the one before, so damage is seen, and everything up to it is read.

While the process lives it holds a lock beside the file, which the operating system takes back
whichever way the process goes; so a reader can tell a run that goes on from one that was cut off.
"""

from runner.errors import JournalError, JournalUnavailable
from runner.record.journal.files import (
    FOLDER,
    PUT_AWAY,
    folder,
    is_being_written,
    is_from_here,
    paths,
    put_away,
    take_back,
    tidy,
)
from runner.record.journal.reader import Reader, Summary, destination, ends, summaries
from runner.record.journal.record import End, File, Record, Rows, Start
from runner.record.journal.writer import Journal, Sink, new_id

__all__ = [
    "FOLDER",
    "PUT_AWAY",
    "End",
    "File",
    "Journal",
    "JournalError",
    "JournalUnavailable",
    "Reader",
    "Record",
    "Rows",
    "Sink",
    "Start",
    "Summary",
    "destination",
    "ends",
    "folder",
    "is_being_written",
    "is_from_here",
    "new_id",
    "paths",
    "put_away",
    "summaries",
    "take_back",
    "tidy",
]
