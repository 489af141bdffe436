"""A run's record in MLflow, through `MlflowClient` and the run's own id."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine unasked
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from runner.config import ConfigError
from runner.model import parameter_names
from runner.tracking import MOST_SCALARS, End, Start
from runner.tracking.parquet import TrajectoryFile
from runner.trajectory import Chunk, norms

STATUS = {"interrupted": "KILLED", "failed": "FAILED"}  # any other outcome: FINISHED

# What one call to MLflow takes.
MOST_METRICS = 1000
MOST_PARAMS = 100
LONGEST_PARAM = 6000
LONGEST_TAG = 5000


class MlflowTracker:
    """Writes one run into an MLflow store. See `runner.tracking.Tracker`."""

    def __init__(self, uri: str, experiment: str) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)  # a new store's hundred tables
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._uri = uri
        Path("mlruns").mkdir(exist_ok=True)
        try:
            self._client = MlflowClient(uri)
            self._experiment_id = _experiment_id(self._client, uri, experiment)
        except MlflowException as error:
            raise ConfigError(f"tracking.uri: {uri} cannot be used: {error}") from error

    @property
    def where(self) -> str:
        if self._uri.startswith("http"):
            return f"{self._uri}/#/experiments/{self._experiment_id}/runs/{self._run_id}"
        return f"python -m mlflow ui --backend-store-uri {self._uri}"

    def begin(self, start: Start) -> None:
        """Create the run, with its params, tags and composed config."""
        run = self._client.create_run(self._experiment_id, run_name=start.name)
        self._run_id = run.info.run_id
        self._names = parameter_names(start.tensors)
        self._sizes = {name: int(np.prod(shape)) for name, shape in start.tensors.items()}
        self._folder = tempfile.TemporaryDirectory(prefix=".run-", dir="mlruns")
        self._trajectory = TrajectoryFile(
            Path(self._folder.name) / "trajectory.parquet", start.tensors
        )
        tags = [RunTag(key, value[:LONGEST_TAG]) for key, value in start.tags.items()]
        self._client.log_batch(self._run_id, tags=tags)
        params = [Param(key, value[:LONGEST_PARAM]) for key, value in start.params.items()]
        for batch in _batches(params, MOST_PARAMS):
            self._client.log_batch(self._run_id, params=batch)
        self._artifact("config.yaml", yaml.safe_dump(start.config, sort_keys=False))

    def record(self, chunk: Chunk) -> None:
        """Log every point of the chunk."""
        self._trajectory.write(chunk)
        metrics = list(self._metrics(chunk))
        for batch in _batches(metrics, MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=batch)

    def end(self, end: End) -> None:
        """Log the final figures and the artifacts, and set the run's status."""
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, 0) for key, value in end.metrics.items()]
        tags = [RunTag(key, value) for key, value in end.tags.items()]
        self._client.log_batch(self._run_id, metrics=metrics, tags=tags)
        if end.reason:
            self._artifact("traceback.txt", end.reason)
        self._trajectory.close()
        self._client.log_artifact(self._run_id, str(self._trajectory.path))
        self._client.set_terminated(self._run_id, STATUS.get(end.outcome, "FINISHED"))
        self._folder.cleanup()

    def _metrics(self, chunk: Chunk) -> Iterator[Metric]:
        names, parameters = self._names, chunk.parameters
        if len(names) > MOST_SCALARS:
            names = [f"{name}.norm" for name in self._sizes]
            edges = np.cumsum(list(self._sizes.values()))[:-1]
            parameters = np.stack([norms(p) for p in np.split(parameters, edges, axis=1)], axis=1)
        times = (chunk.times * 1000).astype(int).tolist()
        columns = {"loss": chunk.loss, "grad_norm": chunk.grad_norm}
        for step, (now, row) in enumerate(
            zip(times, parameters.tolist(), strict=True), chunk.first
        ):
            if step > 0:  # the start has parameters only
                for key, column in columns.items():
                    yield Metric(key, float(column[step - chunk.first]), now, step)
            for key, value in zip(names, row, strict=True):
                yield Metric(key, value, now, step)

    def _artifact(self, name: str, text: str) -> None:
        path = Path(self._folder.name) / name
        path.write_text(text, encoding="utf-8")
        self._client.log_artifact(self._run_id, str(path))


def _experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment of that name, created if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server knows where its artifacts go; a local store keeps them beside itself.
        here = None if uri.startswith("http") else Path("mlruns/artifacts").absolute().as_uri()
        try:
            created: str = client.create_experiment(name, artifact_location=here)
            return created
        except MlflowException:  # somebody else was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    experiment_id: str = found.experiment_id
    return experiment_id


def _batches(items: list[Any], most: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
