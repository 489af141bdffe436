"""SQL stores in bulk: the rows that MLflow's own store would have written, only faster.

`MlflowClient.log_batch` makes an object of every point. Here the points go through MLflow's own
table definitions straight into the database, a batch in one transaction. Rows that are there
already stay as they are, so writing a batch again changes nothing.

How MLflow lays out its tables is its own affair, so this is used only with the versions (see
`runner.tracking.store`) and the schema that the tests compare with the stock store.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlLatestMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import append_to_uri_path, is_local_uri
from sqlalchemy.dialects import postgresql, sqlite

from runner.console import python
from runner.journal import End, Start
from runner.naming import text
from runner.tracking import files
from runner.tracking.batch import (
    LONGEST_NAME,
    LONGEST_PARAM,
    LONGEST_TAG,
    PARENT_TAG,
    STATUS,
    Artifact,
    Batch,
    Refused,
    pairs,
)
from runner.tracking.client import experiment_id, refusal
from runner.tracking.columns import Column, by_key, insert_points
from runner.tracking.uri import without_credentials

TESTED_REVISIONS = ("dc11669786a5",)  # of the schema, as alembic names them
TESTED_DRIVERS = ("sqlite+pysqlite", "postgresql+psycopg2")

EXPERIMENTS = SqlExperiment.__table__
RUNS = SqlRun.__table__
PARAMS = SqlParam.__table__
TAGS = SqlTag.__table__
LATEST = SqlLatestMetric.__table__

IDS_AT_ONCE = 500  # below the number of variables that any SQLite takes
CACHE_KIB = 65_536  # of SQLite, to hold what its indexes have in use: half as fast again
BUSY_MILLISECONDS = 60_000  # how long to wait for somebody else's transaction in SQLite


def unsupported(uri: str) -> str | None:
    """Why this module is not to write into the store at `uri`; None if it may."""
    if MLFLOW_ENABLE_WORKSPACES.get():
        return "MLflow's workspaces are switched on"
    try:
        url = sa.make_url(uri)
        driver = f"{url.get_backend_name()}+{url.get_driver_name()}"
    except sa.exc.ArgumentError:  # a folder, say, or databricks
        return f"{without_credentials(uri)} is no database"
    if driver not in TESTED_DRIVERS:
        return f"{driver} is none of {', '.join(TESTED_DRIVERS)}"
    if driver.startswith("sqlite") and not os.path.exists(url.database or ""):
        return "the store is new"
    engine = _engine(uri)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return "the store is new"
            found = connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all()
    finally:
        engine.dispose()
    if list(found) not in [[revision] for revision in TESTED_REVISIONS]:
        return f"the schema {', '.join(found)} is none of {', '.join(TESTED_REVISIONS)}"
    return None


def _engine(uri: str) -> sa.Engine:
    """MLflow's own; tried once, because the publisher decides how long an attempt pays."""
    engine: sa.Engine = create_sqlalchemy_engine(uri)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: Any, _: Any) -> None:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")  # nothing outside mlruns/

    return engine


class BulkStore:
    """See `runner.tracking.batch.Store`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._engine = _engine(uri)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        self._add = {
            table: insert(table).on_conflict_do_nothing() for table in (RUNS, PARAMS, TAGS)
        }
        self._set_tags = _insert_or_set(insert(TAGS), ["value"])
        newer = ["step", "timestamp", "value"]
        self._set_latest = _insert_or_set(insert(LATEST), [*newer, "is_nan"], newer)
        self._experiments: dict[str, tuple[int, str]] = {}  # by name: id, artifact location
        self._artifact_uris: dict[str, str] = {}

    def where(self, runs: list[str]) -> str:
        return f"{python()} -m mlflow ui --backend-store-uri {without_credentials(self._uri)}"

    def write(self, batch: Batch) -> None:
        starts = self._rows(batch)
        self._artifact_uris |= {run: row["artifact_uri"] for run, row in starts.items()}
        columns = [column for points in batch.points for column in by_key(points)]
        columns.sort(key=lambda column: (column.run, column.key))  # as most of the indexes are
        with ThreadPoolExecutor(1) as beside, self._transaction() as connection:
            placed = beside.submit(self._place, batch.artifacts)
            deleted, homeless = self._refusals(connection, batch, starts)
            if deleted or homeless:
                raise Refused(deleted | homeless, deleted)
            params = ((r, pairs(s.params, LONGEST_PARAM)) for r, s in batch.starts.items())
            first = ((r, _first_tags(s)) for r, s in batch.starts.items())
            _execute(connection, self._add[RUNS], list(starts.values()))
            _execute(connection, self._add[PARAMS], _triples(params))
            _execute(connection, self._add[TAGS], _triples(first))
            insert_points(connection, columns)
            _execute(connection, self._set_latest, _latest(columns))
            _execute(connection, _END_RUN, [_last_row(*end) for end in batch.ends.items()])
            last = ((r, pairs(e.tags, LONGEST_TAG)) for r, e in batch.ends.items())
            _execute(connection, self._set_tags, _triples(last))
            placed.result()  # a run that has ended has all of its artifacts

    def _place(self, artifacts: Sequence[Artifact]) -> None:
        """Write the files where the runs' artifacts are."""
        local = []
        for artifact in artifacts:
            uri = self._artifact_uris[artifact.run]
            if is_local_uri(uri):  # MLflow's own way takes longer than all the run's rows
                place = Path(local_file_uri_to_path(uri)) / artifact.name
                local.append((place, artifact.write))
            else:
                get_artifact_repository(uri).log_artifact(str(artifact.built()))
        files.write(local)

    def add(self, run: str, path: Path) -> None:
        get_artifact_repository(self._artifact_uris[run]).log_artifact(str(path))

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            if self._is_sqlite:
                # A transaction larger than the cache would lock readers out half-way.
                connection.exec_driver_sql("PRAGMA cache_spill = OFF")
                # A write lock taken now is waited for; one asked for later may fail at once.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _rows(self, batch: Batch) -> dict[str, dict[str, Any]]:
        """The row of each run that begins. Raises Refused."""
        rows, reasons = {}, {}
        for run, start in batch.starts.items():
            try:
                rows[run] = self._row(run, start)
            except MlflowException as error:
                reasons[run] = refusal(error)
        if reasons:
            raise Refused(reasons)
        return rows

    def _row(self, run: str, start: Start) -> dict[str, Any]:
        """The run's row, as MLflow's store creates it."""
        number, location = self._experiment(start.experiment)
        return {
            "run_uuid": run,
            "name": text(start.name, LONGEST_NAME),
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": text(start.tags.get("mlflow.user", "unknown"), LONGEST_NAME),
            "status": "RUNNING",
            "start_time": int(start.time * 1000),
            "end_time": None,
            "deleted_time": None,
            "source_version": "",
            "lifecycle_stage": "active",
            "artifact_uri": append_to_uri_path(location, run, "artifacts"),
            "experiment_id": number,
        }

    def _experiment(self, name: str) -> tuple[int, str]:
        """The experiment's id and artifact location; created by MLflow if there is none."""
        if name not in self._experiments:
            found = self._active_experiment(name)
            if found is None:
                experiment_id(MlflowClient(self._uri), self._uri, name)
                found = self._active_experiment(name)
            if found is None:
                raise MlflowException(f"the experiment {name!r} was deleted just now")
            self._experiments[name] = found
        return self._experiments[name]

    def _active_experiment(self, name: str) -> tuple[int, str] | None:
        columns = EXPERIMENTS.c
        query = sa.select(columns.experiment_id, columns.artifact_location).where(
            columns.name == name, columns.lifecycle_stage == "active"
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).first()
        return None if found is None else (found[0], found[1])

    def _refusals(
        self, connection: sa.Connection, batch: Batch, starts: dict[str, Any]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Runs that MLflow would not let anybody write either, each with the reason.

        First those that somebody has deleted, then those whose experiment takes no new ones. What
        else the batch touches is there or begins with it, so SQLite need not ask at every row.
        """
        found = self._stages(connection, RUNS.c.run_uuid, batch.runs())
        there = {run for run, stage in found.items() if stage == "active"}
        deleted = {
            run: f"run {run} was deleted in MLflow"
            for run in batch.runs()
            if run not in there and (run in found or run not in starts)
        }
        new = {run: row["experiment_id"] for run, row in starts.items() if run not in found}
        # Since its id was learned, somebody may have deleted the experiment.
        kept = self._stages(connection, EXPERIMENTS.c.experiment_id, list({*new.values()}))
        return deleted, {
            run: f"the experiment of run {run} is deleted"
            for run, experiment in new.items()
            if kept.get(experiment) != "active"
        }

    def _stages(self, connection: sa.Connection, of: Any, ids: list[Any]) -> dict[Any, str]:
        """The lifecycle stage of each row that is there."""
        stages: dict[Any, str] = {}
        for first in range(0, len(ids), IDS_AT_ONCE):
            query = sa.select(of, of.table.c.lifecycle_stage)
            some = query.where(of.in_(ids[first : first + IDS_AT_ONCE]))
            stages |= dict(connection.execute(some).tuples().all())
        return stages


def _latest(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The latest point of each metric of each run, as rows."""
    latest: dict[tuple[str, str], tuple[Any, ...]] = {}
    for column in columns:
        at, last = (column.run, column.key), column.latest()
        latest[at] = max(last, latest.get(at, last))
    names = ("step", "timestamp", "value", "is_nan")
    return [
        {"run_uuid": run, "key": name, **dict(zip(names, point, strict=True))}
        for (run, name), point in latest.items()
    ]


def _first_tags(start: Start) -> dict[str, str]:
    parent = {PARENT_TAG: start.parent} if start.parent else {}
    return {
        **parent,
        **pairs(start.tags, LONGEST_TAG),
        "mlflow.runName": text(start.name, LONGEST_NAME),
    }


def _last_row(run: str, end: End) -> dict[str, Any]:
    status = STATUS.get(end.outcome, "FINISHED")
    return {"run": run, "status": status, "end_time": int(end.time * 1000)}


def _triples(values: Iterable[tuple[str, Mapping[str, str]]]) -> list[dict[str, str]]:
    return [
        {"run_uuid": run, "key": name, "value": value}
        for run, pairs in values
        for name, value in pairs.items()
    ]


def _execute(connection: sa.Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if not rows:  # an empty list would mean one row of defaults
        return
    if connection.dialect.name != "sqlite":
        connection.execute(statement, rows)
        return
    # Past SQLAlchemy's handling of each row, which costs as much as the database itself.
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    values = map(itemgetter(*compiled.positiontup), rows)
    connection.exec_driver_sql(str(compiled), list(values))


def _insert_or_set(insert: Any, columns: Sequence[str], newer: Sequence[str] = ()) -> Any:
    """Insert, or where the key is there set `columns`; with `newer`, only if those are greater."""
    table, new = insert.table, insert.excluded
    greater = sa.tuple_(*(new[c] for c in newer)) > sa.tuple_(*(table.c[c] for c in newer))
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={column: new[column] for column in columns},
        where=greater if newer else None,
    )


_END_RUN = (
    sa.update(RUNS)
    .where(RUNS.c.run_uuid == sa.bindparam("run"))
    .values(status=sa.bindparam("status"), end_time=sa.bindparam("end_time"))
)
