"""Any MLflow store, through `MlflowClient`: the way to a tracking server."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE

from runner.errors import RunsRefused
from runner.record.journal import End, Start
from runner.record.naming import key, text
from runner.tracking import experiment
from runner.tracking.batch import (
    CONTEXT,
    JOURNAL_TAG,
    LONGEST_DATASET,
    LONGEST_NAME,
    LONGEST_PARAM,
    LONGEST_TAG,
    PARENT_TAG,
    STATUS,
    Artifact,
    Batch,
    Points,
    pairs,
)

# What one call to MLflow takes, and how many of the most are params or tags.
MOST_ITEMS = 1000
MOST_PAIRS = 100

AT_ONCE = 4  # requests to a server; a database gets one after the other
REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "INVALID_STATE")

Call = tuple[str, Callable[..., None], *tuple[Any, ...]]
"""A run's id in the journal, a function, and what the function is to be called with."""


class Place(NamedTuple):
    """Where MLflow has a run."""

    experiment: str
    run: str


def connect(uri: str) -> MlflowClient:
    """Return MLflow's client of a store; files alone are written by MLflow's own repository."""
    return MlflowClient(uri)


class ClientStore:
    """See `runner.tracking.batch.Store`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = connect(uri)
        self._at_once = AT_ONCE if uri.startswith("http") else 1
        self._experiments: dict[str, str] = {}
        self._places: dict[str, Place] = {}  # by the run's id in the journal
        self._datasets: set[tuple[str, str, str]] = set()
        """That are there: experiment, name, digest"""
        self._unanswered: set[str] = set()  # runs that may have been created more than once

    def write(self, batch: Batch) -> None:
        reasons: dict[str, str] = {}
        for name in dict.fromkeys(start.experiment for start in batch.starts.values()):
            try:
                self._experiment_id(name)  # before several at once would create it
            except MlflowException as error:
                why = refusal(error)
                reasons |= {r: why for r, start in batch.starts.items() if start.experiment == name}
        # Each step needs the one before; the calls within a step need nothing of each other.
        parents: list[Call] = []
        children: list[Call] = []
        for run, start in batch.starts.items():
            (children if start.parent else parents).append((run, self._begin, start))
        self._make(parents, reasons)
        self._make(children, reasons)
        self._log_datasets(batch, reasons)
        self._make(chain(self._logs(batch), self._uploads(batch)), reasons)
        self._make(((run, self._go_on) for run in batch.again), reasons)
        self._make(((run, self._end, end) for run, end in batch.ends.items()), reasons)
        if reasons:
            raise RunsRefused(reasons, filter(self._is_deleted, reasons))

    def _make(self, calls: Iterable[Call], reasons: dict[str, str]) -> None:
        """Make the calls, a few at once; add to `reasons` the runs that MLflow will never take."""

        def make(call: Call) -> None:
            run, function, *arguments = call
            if run not in reasons:
                try:
                    function(run, *arguments)
                except MlflowException as error:
                    reasons[run] = refusal(error)

        waiting = iter(calls)
        with ThreadPoolExecutor(self._at_once) as pool:
            # Not all in one go: each holds its points as objects.
            while some := list(islice(waiting, 4 * self._at_once)):
                list(pool.map(make, some))  # where one fails, those that wait are dropped

    def _begin(self, run: str, start: Start) -> None:
        place = self._experiment_id(start.experiment)
        found = self._found(place, run)
        answered = run not in self._unanswered
        if len(found) != 1:
            self._unanswered.add(run)
        if not found:
            created = self._client.create_run(
                place,
                start_time=int(start.time * 1000),
                run_name=text(start.name, LONGEST_NAME),
                tags=pairs(start.tags, LONGEST_TAG) | self._parent_tag(place, start),
            )
            found = [created]
            if answered:
                self._unanswered.discard(run)
        info = found[0].info
        self._places[run] = Place(place, info.run_id)

    def _parent_tag(self, place: str, start: Start) -> dict[str, str]:
        if not start.parent:
            return {}
        if start.parent not in self._places:  # another publisher has brought it in
            found = self._found(place, start.parent)
            if not found:  # deleted for good: the child stands alone
                return {}
            self._places[start.parent] = Place(place, found[0].info.run_id)
        return {PARENT_TAG: self._places[start.parent].run}

    def _found(self, place: str, run: str) -> list[Any]:
        """The run in MLflow, those first that nobody has deleted."""
        said = f"tags.{JOURNAL_TAG} = '{run}'"
        found = self._client.search_runs([place], said, ViewType.ALL)
        return sorted(found, key=lambda one: (one.info.lifecycle_stage, one.info.run_id))

    def _is_deleted(self, run: str) -> bool:
        """Whether MLflow has had the run, and somebody deleted it."""
        if run not in self._places:
            return False
        try:
            found = self._client.get_run(self._places[run].run)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return True  # for good
        return bool(found.info.lifecycle_stage != "active")

    def _logs(self, batch: Batch) -> Iterator[Call]:
        """Params, points and last tags, as many in each call as MLflow takes."""
        for run in batch.runs():
            start, end = batch.starts.get(run), batch.ends.get(run)
            given = pairs(start.params, LONGEST_PARAM) if start else {}
            last = pairs(end.tags, LONGEST_TAG) if end else {}
            params = (Param(*pair) for pair in given.items())
            tags = (RunTag(*pair) for pair in last.items())
            metrics = (m for points in batch.points if points.run == run for m in _metrics(points))
            while True:
                some = [*islice(params, MOST_PAIRS)], [*islice(tags, MOST_PAIRS)]
                points = [*islice(metrics, MOST_ITEMS - len(some[0]) - len(some[1]))]
                if not points and not any(some):
                    break
                yield run, self._log, points, *some

    def _log(self, run: str, *some: Any) -> None:
        metrics, params, tags = some
        self._client.log_batch(self._places[run].run, metrics, params, tags)

    def _log_datasets(self, batch: Batch, reasons: dict[str, str]) -> None:
        """The dataset of each run that begins; of those alike the first before all others.

        Two at once would both create it, of which MLflow refuses one.
        """
        others: list[Call] = []
        for run, start in batch.starts.items():
            if not start.dataset:
                continue
            key = start.experiment, start.dataset["name"], start.dataset["digest"]
            call: Call = (run, self._log_dataset, start.dataset)
            if key in self._datasets:
                others.append(call)
            else:
                self._make([call], reasons)
                self._datasets.add(key)
        self._make(others, reasons)

    def _log_dataset(self, run: str, dataset: Mapping[str, str]) -> None:
        named = Dataset(**{**dataset, "name": text(dataset["name"], LONGEST_DATASET)})
        given = DatasetInput(named, [InputTag(*CONTEXT)])
        self._client.log_inputs(self._places[run].run, [given])

    def _uploads(self, batch: Batch) -> Iterator[Call]:
        return ((artifact.run, self._upload, artifact) for artifact in batch.artifacts)

    def _upload(self, run: str, artifact: Artifact) -> None:
        path = artifact.built()
        self._client.log_artifact(self._places[run].run, str(path), artifact.folder)
        path.unlink()

    def add(self, run: str, path: Path) -> None:
        self._client.log_artifact(self._places[run].run, str(path))

    def _go_on(self, run: str) -> None:
        self._client.update_run(self._places[run].run, "RUNNING")

    def _end(self, run: str, end: End) -> None:
        place, run_id = self._places[run]
        if run in self._unanswered:
            # A request that was given up may have been carried out all the same, much later.
            for found in self._found(place, run):
                if found.info.run_id != run_id and found.info.lifecycle_stage == "active":
                    self._client.delete_run(found.info.run_id)
        status = STATUS.get(end.outcome, "FINISHED")
        self._client.set_terminated(run_id, status, int(end.time * 1000))

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = experiment_id(self._client, self._uri, name)
        return self._experiments[name]


def refusal(error: MlflowException) -> str:
    """Why MLflow will never take it. Raises the error again if it may, another time."""
    passing = "IntegrityError" in str(error)  # the same call is still being carried out
    if passing or error.error_code not in REFUSALS:
        raise error
    return str(error)


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment of that name, created if there is none."""
    for _ in range(2):
        if found := client.get_experiment_by_name(name):
            if found.lifecycle_stage != "active":
                raise MlflowException(experiment.deleted(name), error_code=INVALID_STATE)
            for key, value in experiment.TAGS.items():
                if key not in found.tags:
                    client.set_experiment_tag(found.experiment_id, key, value)
            return str(found.experiment_id)
        try:
            location = experiment.artifact_location(uri)
            return str(client.create_experiment(name, location, dict(experiment.TAGS)))
        except MlflowException as error:  # somebody else was first
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    raise MlflowException(f"the experiment {name} can neither be found nor created")


def _metrics(points: Points) -> Iterator[Metric]:
    keys = [key(name) for name in points.keys]
    rows = zip(points.steps.tolist(), points.times.tolist(), points.values.tolist(), strict=True)
    for step, now, values in rows:
        for name, value in zip(keys, values, strict=True):
            yield Metric(name, value, now, step)
