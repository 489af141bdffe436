"""SQL stores in bulk: the rows that MLflow's own store would have written, only faster.

`MlflowClient.log_batch` makes an object of every point. Here the points go through MLflow's own
table definitions straight into the database, a batch in one transaction. Rows that are there
already stay as they are, so writing a batch again changes nothing.

How MLflow lays out its tables is its own affair, so this is used only with the versions and the
schema that the tests compare with the stock store; `unsupported` tells.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.utils import create_sqlalchemy_engine_with_retry
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlLatestMetric,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from mlflow.utils.uri import append_to_uri_path
from mlflow.version import VERSION
from sqlalchemy.dialects import postgresql, sqlite

from runner.journal import End, Start
from runner.tracking.batch import STATUS, Batch, Points, Refused
from runner.tracking.client import LONGEST_PARAM, LONGEST_TAG, cut, experiment_id
from runner.tracking.uri import without_credentials

TESTED_VERSIONS = ("3.17.2",)
TESTED_REVISIONS = ("dc11669786a5",)  # of the schema, as alembic names them
TESTED_DRIVERS = ("sqlite+pysqlite", "postgresql+psycopg2")

EXPERIMENTS = SqlExperiment.__table__
RUNS = SqlRun.__table__
PARAMS = SqlParam.__table__
TAGS = SqlTag.__table__
METRICS = SqlMetric.__table__
LATEST = SqlLatestMetric.__table__

METRIC_COLUMNS = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
LARGEST = float(np.finfo(np.float64).max)  # what MLflow stores for an infinity
ROWS_AT_ONCE = 50_000  # bounds the Python tuples alive; it is one transaction all the same
IDS_AT_ONCE = 500  # below the number of variables that any SQLite takes
BUSY_MILLISECONDS = 60_000  # how long to wait for somebody else's transaction in SQLite


def unsupported(uri: str) -> str | None:
    """Why this module is not to write into the store at `uri`; None if it may."""
    if VERSION not in TESTED_VERSIONS:
        return f"MLflow {VERSION} is none of {', '.join(TESTED_VERSIONS)}"
    url = sa.make_url(uri)
    driver = f"{url.get_backend_name()}+{url.get_driver_name()}"
    if driver not in TESTED_DRIVERS:
        return f"{driver} is none of {', '.join(TESTED_DRIVERS)}"
    if driver.startswith("sqlite") and not os.path.exists(url.database or ""):
        return "the store is new"
    engine = create_sqlalchemy_engine_with_retry(uri)
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


class Column(NamedTuple):
    """The points of one key of one run, as they are stored."""

    run: str
    key: str
    steps: Any
    times: Any
    values: Any
    """Finite: 0 in place of NaN, the largest number in place of infinity."""
    is_nan: Any

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """In the order of METRIC_COLUMNS, as Python values."""
        columns = (self.values, self.times, self.steps, self.is_nan)
        return zip(repeat(self.key), *(c.tolist() for c in columns), repeat(self.run), strict=False)

    def latest(self) -> tuple[int, int, float, bool]:
        """The step, time, value and NaN flag of what MLflow takes for the latest point."""
        at = np.lexsort((self.values, self.times, self.steps))[-1]
        return (
            int(self.steps[at]),
            int(self.times[at]),
            float(self.values[at]),
            bool(self.is_nan[at]),
        )


class BulkStore:
    """See `runner.tracking.batch.Store`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._engine = create_sqlalchemy_engine_with_retry(uri)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        self._add = {
            table: insert(table).on_conflict_do_nothing() for table in (RUNS, PARAMS, TAGS)
        }
        self._add_points = (
            insert(METRICS)
            .values({name: sa.bindparam(name) for name in METRIC_COLUMNS})
            .on_conflict_do_nothing()
        )
        self._set_tags = _insert_or_set(insert(TAGS), ["value"])
        newer = ["step", "timestamp", "value"]
        self._set_latest = _insert_or_set(insert(LATEST), [*newer, "is_nan"], newer)
        self._experiments: dict[str, tuple[int, str]] = {}  # by name: id, artifact location
        self._artifact_uris: dict[str, str] = {}

    def where(self, runs: list[str]) -> str:
        return f"python -m mlflow ui --backend-store-uri {without_credentials(self._uri)}"

    def write(self, batch: Batch) -> None:
        starts = {run: self._row(run, start) for run, start in batch.starts.items()}
        self._artifact_uris |= {run: row["artifact_uri"] for run, row in starts.items()}
        for run, path in batch.artifacts:
            get_artifact_repository(self._artifact_uris[run]).log_artifact(str(path))
        columns = [column for points in batch.points for column in _columns(points)]
        with self._transaction() as connection:
            if reasons := self._refusals(connection, batch, starts):
                raise Refused(reasons)
            params = ((r, cut(s.params, LONGEST_PARAM)) for r, s in batch.starts.items())
            _execute(connection, self._add[RUNS], list(starts.values()))
            _execute(connection, self._add[PARAMS], _pairs(params))
            _execute(connection, self._add[TAGS], _pairs(map(_first_tags, batch.starts.items())))
            self._insert_points(connection, columns)
            _execute(connection, self._set_latest, _latest(columns))
            _execute(connection, _END_RUN, [_last_row(*end) for end in batch.ends.items()])
            tags = ((r, cut(e.tags, LONGEST_TAG)) for r, e in batch.ends.items())
            _execute(connection, self._set_tags, _pairs(tags))

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
                # A transaction larger than the cache would lock readers out half-way.
                connection.exec_driver_sql("PRAGMA cache_spill = OFF")
                # A write lock taken now is waited for; one asked for later may fail at once.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _row(self, run: str, start: Start) -> dict[str, Any]:
        """The run's row, as MLflow's store creates it."""
        number, location = self._experiment(start.experiment)
        return {
            "run_uuid": run,
            "name": start.name,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": start.tags.get("mlflow.user", "unknown"),
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
            found = experiment_id(MlflowClient(self._uri), self._uri, name)
            location = sa.select(EXPERIMENTS.c.artifact_location).where(
                EXPERIMENTS.c.experiment_id == int(found)
            )
            with self._engine.connect() as connection:
                self._experiments[name] = (int(found), str(connection.scalar(location)))
        return self._experiments[name]

    def _refusals(
        self, connection: sa.Connection, batch: Batch, starts: dict[str, Any]
    ) -> dict[str, str]:
        """Runs that MLflow would not let anybody write either, each with the reason."""
        touched, stages = batch.runs(), dict[str, str]()
        for some in range(0, len(touched), IDS_AT_ONCE):
            ids = touched[some : some + IDS_AT_ONCE]
            query = sa.select(RUNS.c.run_uuid, RUNS.c.lifecycle_stage)
            stages |= dict(connection.execute(query.where(RUNS.c.run_uuid.in_(ids))).tuples().all())
        gone = {run: "deleted for good" for run in touched if run not in stages.keys() | starts}
        return gone | {run: "deleted" for run, stage in stages.items() if stage != "active"}

    def _insert_points(self, connection: sa.Connection, columns: Sequence[Column]) -> None:
        rows = chain.from_iterable(column.rows() for column in columns)
        if not self._is_sqlite:
            while some := list(islice(rows, ROWS_AT_ONCE)):
                named = [dict(zip(METRIC_COLUMNS, row, strict=True)) for row in some]
                connection.execute(self._add_points, named)
            return
        # Past SQLAlchemy's handling of each row, which costs as much as SQLite itself.
        compiled = self._add_points.compile(dialect=connection.dialect)
        assert tuple(compiled.positiontup or ()) == METRIC_COLUMNS
        while some := list(islice(rows, ROWS_AT_ONCE)):
            connection.exec_driver_sql(str(compiled), some)


def _columns(points: Points) -> Iterator[Column]:
    for key, values in zip(points.keys, points.values.astype(np.float64).T, strict=True):
        is_nan = np.isnan(values)
        stored = np.clip(np.where(is_nan, 0.0, values), -LARGEST, LARGEST) + 0.0  # no -0.0
        yield Column(points.run, key, points.steps, points.times, stored, is_nan)


def _latest(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The latest point of each metric of each run, as rows."""
    latest: dict[tuple[str, str], tuple[Any, ...]] = {}
    for column in columns:
        at = (column.run, column.key)
        latest[at] = max(column.latest(), latest.get(at, column.latest()))
    names = ("step", "timestamp", "value", "is_nan")
    return [
        {"run_uuid": run, "key": key, **dict(zip(names, point, strict=True))}
        for (run, key), point in latest.items()
    ]


def _first_tags(begun: tuple[str, Start]) -> tuple[str, dict[str, str]]:
    run, start = begun
    return run, {**cut(start.tags, LONGEST_TAG), "mlflow.runName": start.name}


def _last_row(run: str, end: End) -> dict[str, Any]:
    status = STATUS.get(end.outcome, "FINISHED")
    return {"run": run, "status": status, "end_time": int(end.time * 1000)}


def _pairs(values: Iterable[tuple[str, Mapping[str, str]]]) -> list[dict[str, str]]:
    return [
        {"run_uuid": run, "key": key, "value": value}
        for run, pairs in values
        for key, value in pairs.items()
    ]


def _execute(connection: sa.Connection, statement: sa.Executable, rows: list[Any]) -> None:
    if rows:  # an empty list would mean one row of defaults
        connection.execute(statement, rows)


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
