"""SQL stores in bulk: the rows that MLflow's own store would have written, only faster.

`MlflowClient.log_batch` makes an object of every point. Here the points go through MLflow's own
tables straight into the database, a batch in one transaction. Rows that are there already stay as
they are, so writing a batch again changes nothing.

How MLflow lays out its tables is its own affair, so this is used only with a schema that the tests
compare with the stock store: see `runner.tracking.store`. Nobody imports mlflow for it.
"""

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from runner.base.address import LONGEST_EXPERIMENT
from runner.errors import RunsRefused
from runner.record.journal import End, Start
from runner.record.naming import text
from runner.tracking import experiment
from runner.tracking.artifact_uri import below, is_local, local_path
from runner.tracking.batch import (
    LONGEST_NAME,
    LONGEST_PARAM,
    LONGEST_TAG,
    PARENT_TAG,
    STATUS,
    Artifact,
    Batch,
    pairs,
)
from runner.tracking.columns import StoredPoints, by_key, insert_points
from runner.tracking.dataset_rows import add_datasets
from runner.tracking.files import Files
from runner.tracking.sql import IDS_AT_ONCE, execute, insert_or_set, open_engine
from runner.tracking.tables import (
    DATASETS,
    EXPERIMENT_TAGS,
    EXPERIMENTS,
    INPUT_TAGS,
    INPUTS,
    LATEST,
    PARAMS,
    RUNS,
    TAGS,
)

ADDED = (EXPERIMENTS, EXPERIMENT_TAGS, RUNS, PARAMS, TAGS, DATASETS, INPUTS, INPUT_TAGS)
"""Tables whose rows stay as they are once they are there."""


RUNNING = {"status": "RUNNING", "end_time": None}
"""Of one that had ended, and goes on."""


class _NoExperiment(Exception):
    """Why runs cannot go to the experiment that they are for."""


class BulkStore:
    """See `runner.tracking.batch.Store`."""

    def __init__(self, uri: str, files: Files) -> None:
        self._uri, self._files = uri, files
        self._engine = open_engine(uri)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        self._add = {table: insert(table).on_conflict_do_nothing() for table in ADDED}
        self._set_tags = insert_or_set(insert(TAGS), ["value"])
        newer = ["step", "timestamp", "value"]
        self._set_latest = insert_or_set(insert(LATEST), [*newer, "is_nan"], newer)
        self._experiments: dict[str, tuple[int, str]] = {}  # by name: id, artifact location
        self._artifact_uris: dict[str, str] = {}

    def write(self, batch: Batch) -> None:
        starts = self._rows(batch)
        self._artifact_uris |= {run: row["artifact_uri"] for run, row in starts.items()}
        columns = [column for points in batch.points for column in by_key(points)]
        columns.sort(key=lambda column: (column.run, column.key))  # as most of the indexes are
        with ThreadPoolExecutor(1) as beside, self._transaction() as connection:
            placed = beside.submit(self._place, batch.artifacts)  # takes longer than the rows
            deleted, homeless = self._refusals(connection, batch, starts)
            if deleted or homeless:
                raise RunsRefused(deleted | homeless, deleted)
            params = ((r, pairs(s.params, LONGEST_PARAM)) for r, s in batch.starts.items())
            first = ((r, _first_tags(s)) for r, s in batch.starts.items())
            execute(connection, self._add[RUNS], list(starts.values()))
            execute(connection, self._add[PARAMS], _triples(params))
            execute(connection, self._add[TAGS], _triples(first))
            begun = ((run, start) for run, start in batch.starts.items() if start.dataset)
            datasets = {r: (starts[r]["experiment_id"], start.dataset) for r, start in begun}
            add_datasets(connection, self._add, datasets)
            insert_points(connection, columns)
            execute(connection, self._set_latest, _latest(columns))
            running = ({"run": run, **RUNNING} for run in batch.again)
            execute(connection, _SET_STATUS, list(running))
            execute(connection, _SET_STATUS, [_last_row(*end) for end in batch.ends.items()])
            last = ((r, pairs(e.tags, LONGEST_TAG)) for r, e in batch.ends.items())
            execute(connection, self._set_tags, _triples(last))
            self._files.write_here()
            placed.result()  # a run that has ended has all of its artifacts

    def _place(self, artifacts: Sequence[Artifact]) -> None:
        """Write the files where the runs' artifacts are."""
        local = []
        for artifact in artifacts:
            uri = self._artifact_uris[artifact.run]
            if is_local(uri):  # MLflow's own way takes longer than all the run's rows
                local.append((Path(local_path(uri)) / artifact.name, artifact.write))
            else:
                _upload(artifact.built(), uri, artifact.folder)
        self._files.put(local)
        self._files.write_beside()

    def add(self, run: str, path: Path) -> None:
        uri = self._artifact_uris[run]
        if is_local(uri):
            self._files.write([(Path(local_path(uri)) / path.name, partial(_copy, path))])
        else:
            _upload(path, uri)

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
            except _NoExperiment as error:
                reasons[run] = str(error)
        if reasons:
            raise RunsRefused(reasons)
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
            "artifact_uri": below(location, run, "artifacts"),
            "experiment_id": number,
        }

    def _experiment(self, name: str) -> tuple[int, str]:
        """The experiment's id and artifact location; created if there is none.

        Raises _NoExperiment.
        """
        if name not in self._experiments:
            with self._transaction() as connection:
                found = self._found_experiment(connection, name)
                if found is None:
                    self._create_experiment(connection, name)
                    found = self._found_experiment(connection, name)
                    assert found
                number, location, stage = found
                if stage != "active":
                    raise _NoExperiment(experiment.deleted(name))
                marks = experiment.TAGS.items()
                tags = [{"experiment_id": number, "key": k, "value": v} for k, v in marks]
                execute(connection, self._add[EXPERIMENT_TAGS], tags)
            self._experiments[name] = number, location
        return self._experiments[name]

    def _found_experiment(
        self, connection: sa.Connection, name: str
    ) -> tuple[int, str, str] | None:
        """Its id, artifact location and lifecycle stage."""
        c = EXPERIMENTS.c
        query = sa.select(c.experiment_id, c.artifact_location, c.lifecycle_stage)
        found = connection.execute(query.where(c.name == name)).first()
        return None if found is None else (found[0], found[1], found[2])

    def _create_experiment(self, connection: sa.Connection, name: str) -> None:
        most = LONGEST_EXPERIMENT
        if not 1 <= len(name) <= most:
            raise _NoExperiment(f"an experiment's name has 1 to {most} characters, not {len(name)}")
        now = int(time.time() * 1000)
        row = {
            "name": name,
            "artifact_location": experiment.artifact_location(self._uri),
            "lifecycle_stage": "active",
            "creation_time": now,
            "last_update_time": now,
        }
        connection.execute(self._add[EXPERIMENTS], row)  # nothing, if somebody else was first

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
            stages.update((run, stage) for run, stage in connection.execute(some))
        return stages


def _upload(path: Path, uri: str, folder: str | None = None) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(uri).log_artifact(str(path), folder)


def _copy(path: Path, to: Path) -> None:
    shutil.copyfile(path, to)


def _latest(columns: Sequence[StoredPoints]) -> list[dict[str, Any]]:
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


_SET_STATUS = (
    sa.update(RUNS)
    .where(RUNS.c.run_uuid == sa.bindparam("run"))
    .values(status=sa.bindparam("status"), end_time=sa.bindparam("end_time"))
)
