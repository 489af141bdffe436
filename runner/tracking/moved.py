"""A project that was moved: its database has the artifacts' paths, absolute, in the old folder.

They are mended where the database is in the project folder, so that it has come along, and where
what they lead to is in this `mlruns` by now. Any other path, of a project that shares the database
or of artifacts that are kept elsewhere, stays as it is.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from runner.base import project
from runner.tracking.artifact_uri import local_path
from runner.tracking.sql import BUSY_MILLISECONDS

MLRUNS = "/mlruns/"

TABLES = {
    "experiments": ("experiment_id", "artifact_location"),
    "runs": ("run_uuid", "artifact_uri"),
    "logged_models": ("model_id", "artifact_location"),
}
"""Those with paths of artifacts: a row's id, and its path."""


class _Row(NamedTuple):
    """A row whose path leads through the `mlruns` of another folder."""

    table: str
    id: object
    folder: str
    """That folder."""
    here: str
    """The same path in the project folder."""

    def is_here(self) -> bool:
        return os.path.exists(local_path(self.here))


def mend(uri: str) -> None:
    """Let the paths in the store at `uri` lead to where the artifacts are, all or none."""
    database = _own_database(uri)
    if database is None:
        return
    busy_seconds = BUSY_MILLISECONDS / 1000
    with closing(sqlite3.connect(database, busy_seconds, isolation_level=None)) as connection:
        if not _elsewhere(connection, "experiments"):  # as a rule
            return
        connection.execute("BEGIN IMMEDIATE")
        for row in _moved([row for table in TABLES for row in _elsewhere(connection, table)]):
            id_name, path_name = TABLES[row.table]
            change = f"UPDATE {row.table} SET {path_name} = ? WHERE {id_name} = ?"
            connection.execute(change, (row.here, row.id))
        connection.execute("COMMIT")


def path_here(uri: str) -> Path:
    """The path of an artifact: if it is not there, then in the project folder, if it is here."""
    given = local_path(uri)
    if not os.path.exists(given) and (found := _through_another(uri)):
        here = local_path(found[1])
        return Path(here if os.path.exists(here) else given)
    return Path(given)


def _moved(rows: list[_Row]) -> list[_Row]:
    """Those of the rows whose artifacts have come along."""
    moved: list[_Row] = []
    for folder in dict.fromkeys(row.folder for row in rows):
        own = [row for row in rows if row.folder == folder]
        runs = [row for row in own if row.table == "runs"]
        is_gone = not os.path.exists(local_path(folder + MLRUNS))
        if any(row.is_here() for row in runs) or (is_gone and not runs):
            moved += [row for row in own if is_gone or row.table == "experiments" or row.is_here()]
    return moved


def _elsewhere(connection: sqlite3.Connection, table: str) -> list[_Row]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
        return []
    rows = connection.execute(f"SELECT {', '.join(TABLES[table])} FROM {table}").fetchall()
    found = ((key, _through_another(uri)) for key, uri in rows if uri)
    return [_Row(table, key, *paths) for key, paths in found if paths]


def _through_another(uri: str) -> tuple[str, str] | None:
    """The folder whose `mlruns` the path leads through, and the path through the one here."""
    folder, separator, rest = uri.rpartition(MLRUNS)
    here = project.folder().as_uri() if uri.startswith("file:") else str(project.folder())
    is_local = uri.startswith("file:") or os.path.isabs(uri)
    return (folder, here + MLRUNS + rest) if is_local and separator and folder != here else None


def _own_database(uri: str) -> Path | None:
    """The SQLite database at `uri`, if it is in the project folder."""
    if not uri.startswith("sqlite"):
        return None
    name = sa.make_url(uri).database
    path = project.folder() / (name or ":memory:")
    return path if path.is_file() and path.is_relative_to(project.folder()) else None
