"""Any MLflow store, through `MlflowClient`: the way to a tracking server."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE

from runner.journal import End, Start
from runner.tracking.batch import JOURNAL_TAG, STATUS, Batch, Points, Refused
from runner.tracking.uri import without_credentials

# What one call to MLflow takes.
MOST_METRICS = 1000
MOST_PARAMS = 100
LONGEST_PARAM = 6000
LONGEST_TAG = 5000

AT_ONCE = 4  # requests
REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "INVALID_STATE")


class ClientStore:
    """See `runner.tracking.batch.Store`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = MlflowClient(uri)
        self._experiments: dict[str, str] = {}
        self._ids: dict[str, tuple[str, str]] = {}  # a run's id in the journal: its ids in MLflow

    def where(self, runs: list[str]) -> str:
        if not self._uri.startswith("http"):
            return f"python -m mlflow ui --backend-store-uri {without_credentials(self._uri)}"
        page = f"{without_credentials(self._uri)}/#/experiments"
        ids = [self._ids[run] for run in runs if run in self._ids]
        if len(ids) == 1:
            return f"{page}/{ids[0][0]}/runs/{ids[0][1]}"
        return f"{page}/{ids[0][0]}" if ids else page

    def write(self, batch: Batch) -> None:
        reasons = {}
        for run in batch.runs():
            try:
                self._write_run(run, batch)
            except MlflowException as error:
                if error.error_code not in REFUSALS:
                    raise
                reasons[run] = str(error)
        if reasons:
            raise Refused(reasons)

    def _write_run(self, run: str, batch: Batch) -> None:
        if run in batch.starts:
            self._begin(run, batch.starts[run])
        _, run_id = self._ids[run]
        metrics = [m for points in batch.points if points.run == run for m in _metrics(points)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(
                pool.map(
                    lambda some: self._client.log_batch(run_id, metrics=some),
                    _slices(metrics, MOST_METRICS),
                )
            )
        for owner, path in batch.artifacts:
            if owner == run:
                self._client.log_artifact(run_id, str(path))
        if run in batch.ends:
            self._end(run_id, batch.ends[run])

    def _begin(self, run: str, start: Start) -> None:
        experiment_id = self._experiment_id(start.experiment)
        found = self._client.search_runs([experiment_id], f"tags.{JOURNAL_TAG} = '{run}'")
        if found:
            run_id = found[0].info.run_id
        else:
            created = self._client.create_run(
                experiment_id,
                start_time=int(start.time * 1000),
                run_name=start.name,
                tags=cut(start.tags, LONGEST_TAG),
            )
            run_id = created.info.run_id
        self._ids[run] = (experiment_id, run_id)
        params = [Param(key, value) for key, value in cut(start.params, LONGEST_PARAM).items()]
        for some in _slices(params, MOST_PARAMS):
            self._client.log_batch(run_id, params=some)

    def _end(self, run_id: str, end: End) -> None:
        tags = [RunTag(key, value) for key, value in cut(end.tags, LONGEST_TAG).items()]
        self._client.log_batch(run_id, tags=tags)
        status = STATUS.get(end.outcome, "FINISHED")
        self._client.set_terminated(run_id, status, int(end.time * 1000))

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = experiment_id(self._client, self._uri, name)
        return self._experiments[name]


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment of that name, created if there is none."""
    for _ in range(2):
        if found := client.get_experiment_by_name(name):
            if found.lifecycle_stage != "active":
                raise MlflowException(
                    f"the experiment {name!r} is deleted: restore it, or set tracking.experiment",
                    error_code=INVALID_STATE,
                )
            return str(found.experiment_id)
        try:
            return str(client.create_experiment(name, artifact_location(uri)))
        except MlflowException as error:  # somebody else was first
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    raise MlflowException(f"the experiment {name} can neither be found nor created")


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its artifacts: a server knows, a database has no place."""
    return None if uri.startswith("http") else Path("mlruns/artifacts").absolute().as_uri()


def _metrics(points: Points) -> Iterator[Metric]:
    rows = zip(points.steps.tolist(), points.times.tolist(), points.values.tolist(), strict=True)
    for step, now, values in rows:
        for key, value in zip(points.keys, values, strict=True):
            yield Metric(key, value, now, step)


def _slices(items: list[Any], most: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


def cut(values: Mapping[str, str], most: int) -> dict[str, str]:
    """The values, each no longer than MLflow takes it."""
    return {key: value[:most] for key, value in values.items()}
