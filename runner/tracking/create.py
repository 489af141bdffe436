"""Creates MLflow's tables and first experiment in a new SQLite database, all of them or none.

MLflow makes them in about fifty steps, and cannot go on from one that was cut off in the middle:
a publisher killed there would leave a store that nothing opens any more. And it writes the folder's
name into the SQL that makes its first experiment: some names, with both kinds of quotes in them
say, make no SQL.

Importing MLflow and making them takes seconds, so a file beside this has those of a known MLflow.
"""

import os
import sqlite3
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa

from runner.tracking.tables import EXPERIMENTS
from runner.tracking.waiting import locked


def create(uri: str) -> None:
    """Create the SQLite database at `uri` under another name first; leave any other store alone."""
    if not uri.startswith("sqlite"):
        return
    name = sa.make_url(uri).database
    if not name or name == ":memory:" or Path(name).exists():
        return
    path = Path(os.path.realpath(name))  # of a link: what it leads to, there or not
    new = Path(f"{path}.new")
    lock = Path(f"{new}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise OSError(f"{path} cannot be created: {error.strerror}") from error
    with locked(lock, "creating the store"):
        if not path.exists():  # nobody else was first
            for left in (new, Path(f"{new}-journal")):  # by one that was killed
                left.unlink(missing_ok=True)
            engine = sa.create_engine(sa.make_url(uri).set(database=str(new)))
            try:
                if schema := _schema():
                    with closing(sqlite3.connect(new)) as database:
                        database.executescript(f"BEGIN;{schema}COMMIT;")
                else:
                    from mlflow.store.db.utils import _initialize_tables  # worth its import now

                    _initialize_tables(engine)
                _add_first_experiment(engine)
            finally:
                engine.dispose()
            _give_name(new, path)
            if not path.exists():
                raise OSError(f"{path} cannot be created: it is a link that leads nowhere")
        lock.unlink(missing_ok=True)


def _schema() -> str:
    """Return the SQL that makes the tables of the installed MLflow; empty if that is not known."""
    if os.environ.get("MLFLOW_ENABLE_WORKSPACES", "").lower() in ("true", "1"):
        return ""
    release = ".".join(version("mlflow").split(".")[:2])
    path = Path(__file__).with_name(f"mlflow_{release}.sql")
    return path.read_text() if path.exists() else ""


def _add_first_experiment(engine: sa.Engine) -> None:
    """The row that MLflow would add when it first opens the store here."""
    now = int(time.time() * 1000)
    row = {
        "experiment_id": 0,
        "name": "Default",
        "artifact_location": str(Path("mlruns/0").absolute()),
        "lifecycle_stage": "active",
        "creation_time": now,
        "last_update_time": now,
    }
    with engine.begin() as connection:
        connection.execute(sa.insert(EXPERIMENTS).values(row))


def _give_name(new: Path, path: Path) -> None:
    """Name the database, unless somebody who knows nothing of our lock has made one meanwhile."""
    # Not by `runner.base.files`, which would replace theirs.
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    except OSError:  # a file system that has no links
        if not path.exists():
            new.rename(path)
    new.unlink(missing_ok=True)
