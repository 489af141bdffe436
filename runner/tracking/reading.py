"""Runs as MLflow has them, for a report: params, tags, figures, and the trajectory."""

import math
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from runner.base.address import fault
from runner.base.uri import LOCAL, scrubbed, without_credentials
from runner.errors import SourceError
from runner.record import plain
from runner.record.column import (
    FIGURES,
    FIXED,
    MEASURES_TAG,
    Column,
    columns_in,
    row_type,
    standard,
)
from runner.record.naming import key
from runner.record.run import RecordedRun, cell_number, cell_rows, never_begun
from runner.record.trajectory import Trajectory, assembled
from runner.tracking.batch import JOURNAL_TAG, LONGEST_PARAM, PARENT_TAG, STATUS
from runner.tracking.client import connect
from runner.tracking.moved import path_here
from runner.tracking.parquet import declared_in, is_readable, read_trajectory

PAGE = 10_000  # runs asked for at once
RUN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
NAMED = 1000  # of the latest runs, as candidates for what was not found

OUTCOMES = {status: outcome for outcome, status in STATUS.items()} | {"RUNNING": "running"}
OWN = ("loss", "grad_norm", *FIXED, *FIGURES)
"""Metrics that are no parameters, of a run that does not say what it records."""


def open_reader(uri: str | None, *, trust: bool) -> "MlflowRuns | None":
    """The store at `uri`, or else that of the environment, or of this folder; None if none is."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri and not LOCAL.exists():
        return None
    uri = uri or f"sqlite:///{LOCAL}"
    if why := fault(uri) or _no_store(uri):
        raise SourceError(f"MLflow cannot be read: {why}")
    return MlflowRuns(uri, trust=trust)


def _no_store(uri: str) -> str | None:
    """What is wrong with a database in which MLflow would only now create a store."""
    if uri.startswith("http"):
        return None
    url = sa.make_url(uri)
    place = without_credentials(uri)
    if url.get_backend_name() == "sqlite":
        place = str(url.database)
        if not os.path.exists(place):
            return f"{place}: there is no such database"
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            known = sa.inspect(connection).has_table("experiments")
    except sa.exc.SQLAlchemyError as error:
        return _first_line(error, uri)
    finally:
        engine.dispose()
    return None if known else f"{place}: holds no MLflow store"


class MlflowRuns:
    """See `runner.record.run.RunSource`. Raises SourceError where the store cannot be read."""

    def __init__(self, uri: str, *, trust: bool) -> None:
        self._uri, self._trust = uri, trust
        try:
            self._client = connect(uri)
            experiments = self._client.search_experiments()
        except Exception as error:  # whatever a driver raises when nobody answers
            raise self._unreadable(error) from error
        self._experiments = [str(found.experiment_id) for found in experiments]
        self._folder = Path(tempfile.mkdtemp())
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def close(self) -> None:
        """Remove what was fetched."""
        self._remove()

    def found(self, word: str) -> list[RecordedRun]:
        if word == "latest":
            return self._latest()
        quote = '"' if "'" in word else "'"
        if re.fullmatch("[0-9a-f]{32}", word):
            return self._search(f"attributes.run_id = '{word}'") or self._search(
                f"tags.{JOURNAL_TAG} = '{word}'"
            )
        if quote in word:  # there are both kinds, which no search can say
            named = [self._run(run) for run in self._each("") if run.info.run_name == word][:1]
        else:
            named = self._search(f"attributes.run_name = {quote}{word}{quote}", most=1)
        if named or not re.fullmatch("[0-9a-f]+", word):
            return named
        begin = [f"attributes.run_id LIKE '{word}%'", f"tags.{JOURNAL_TAG} LIKE '{word}%'"]
        return list({run.id: run for text in begin for run in self._search(text)}.values())

    def cells(self, sweep: RecordedRun) -> list[RecordedRun]:
        own = self._search(f"tags.{PARENT_TAG} = '{sweep.id}'", most=None)
        there = {run.tags.get(JOURNAL_TAG, run.id) for run in own}
        rows = cell_rows(sweep)
        earlier = [row["run"] for row in rows if row["run"] not in there]
        own += [run for run_id in earlier if run_id for run in self.found(run_id)]
        own += [never_begun(row, sweep) for row in rows if not row["run"]]
        return sorted(own, key=cell_number)

    def candidates(self) -> list[str]:
        some = self._search("", most=NAMED)
        return [*(run.name for run in some), *(run.id for run in some)]

    def _latest(self) -> list[RecordedRun]:
        # A sweep's cells begin after its own run.
        own = (run for run in self._each("") if PARENT_TAG not in run.data.tags)
        return [self._run(run) for run in islice(own, 1)]

    def _search(self, text: str, most: int | None = PAGE) -> list[RecordedRun]:
        """The latest runs first."""
        return [self._run(run) for run in islice(self._each(text, most or PAGE), most)]

    def _each(self, text: str, at_once: int = PAGE) -> Iterator[Any]:
        """MLflow's runs, the latest first, asked for a number at a time."""
        order, view, token = ["attributes.start_time DESC"], ViewType.ACTIVE_ONLY, None
        while True:
            try:
                page = self._client.search_runs(
                    self._experiments, text, view, at_once, order, token
                )
            except Exception as error:  # whatever a driver raises when nobody answers
                raise self._unreadable(error) from error
            yield from page
            token = page.token
            if not token:
                return

    def _run(self, found: Any) -> RecordedRun:
        info, data = found.info, found.data
        if not RUN_ID.fullmatch(info.run_id):  # folders and files bear it
            raise SourceError(f"MLflow cannot be read: {info.run_id!r:.80} is no id of a run")
        outcome = OUTCOMES.get(info.status, "finished")
        return RecordedRun(
            id=info.run_id,
            name=info.run_name or info.run_id,
            time=info.start_time / 1000,
            parent=data.tags.get(PARENT_TAG),
            params=data.params,
            tags=data.tags,
            figures=data.metrics,
            outcome=data.tags.get("outcome", outcome),
            reason=data.tags.get("reason", ""),
            config=partial(self._config, found),
            trajectory=partial(self._trajectory, found),
            file=partial(self._file, found),
            trusted=self._trust,
        )

    def _config(self, found: Any) -> Mapping[str, Any]:
        """Return it from the params, or the artifact if a param was cut. Raises ConfigError."""
        params = found.data.params
        if any(len(value) >= LONGEST_PARAM for value in params.values()):
            content = self._file(found, "config.yaml") or b""
            return plain.of_yaml(content, trust=self._trust)
        return plain.of_params(params, trust=self._trust)

    def _trajectory(self, found: Any) -> Trajectory:
        """From its file, if it has one that this project has written, or from the metrics."""
        path = self._path(found, "trajectory.parquet")
        try:
            columns = declared_in(path) if path else None
            if path and columns and (self._trust or is_readable(path, columns)):
                return read_trajectory(path, columns)
        except (OSError, pa.ArrowException, KeyError, RecursionError, TypeError, ValueError):
            pass  # a foreign file of that name
        return self._history(found)

    def _history(self, found: Any) -> Trajectory:
        """The trajectory from the metrics: of a run that goes on, say."""
        metrics = found.data.metrics
        measures = _measures(found.data.tags.get(MEASURES_TAG, "[]"))
        others = {key(name) for column in measures for name in column.labels()}
        parameters = _parameter_metrics(metrics.keys() - others)
        told = {column.name for column in measures}
        usual = standard(dict.fromkeys(parameters, ()))
        columns = (*(column for column in usual if column.name not in told), *measures)
        names = [name for column in columns for name in column.labels() if key(name) in metrics]
        run = found.info.run_id
        points = {
            name: {p.step: p for p in self._client.get_metric_history(run, key(name))}
            for name in names
        }
        times = {s: p.timestamp / 1000 for own in points.values() for s, p in own.items()}
        rows = np.empty(len(times), row_type(columns))
        rows["step"] = sorted(times)
        rows["time"] = [times[step] for step in rows["step"]]
        for column in columns:
            own = [
                [_value_at(points.get(name), step) for name in column.labels()]
                for step in rows["step"]
            ]
            rows[column.field] = np.reshape(own, (len(rows), *column.shape))
        return assembled(columns, [rows])

    def _file(self, found: Any, name: str) -> bytes | None:
        path = self._path(found, name)
        return None if path is None else path.read_bytes()

    def _path(self, found: Any, name: str) -> Path | None:
        """The artifact on this machine, fetched if need be; None if there is none."""
        uri = found.info.artifact_uri
        if uri.startswith("file:"):
            path = path_here(uri) / name
            return path if path.exists() else None
        folder = Path(self._folder, found.info.run_id)
        if (folder / name).exists():
            return folder / name
        folder.mkdir(exist_ok=True)
        try:
            return Path(self._client.download_artifacts(found.info.run_id, name, str(folder)))
        except (MlflowException, OSError):  # MLflow says it in many ways
            return None

    def _unreadable(self, error: Exception) -> SourceError:
        return SourceError(f"MLflow cannot be read: {_first_line(error, self._uri)}")


def _first_line(error: Exception, uri: str) -> str:
    """Return the first line of what the error says, without the store's password."""
    return scrubbed(str(error).strip().splitlines()[0][:300], uri)


def _measures(written: str) -> tuple[Column, ...]:
    """Return the columns that the tag declares, as far as MLflow has each number of them."""
    declared = columns_in(written) or ()  # a foreign tag may have that name
    return tuple(column for column in declared if column.is_scalars)


def _parameter_metrics(keys: Iterable[str]) -> list[str]:
    """The parameters' metrics in the order of a row: weights by their numbers, then the bias."""
    own = [key for key in keys if key not in OWN]
    return sorted(own, key=lambda key: (key == "b", [_number(part) for part in key.split(".")]))


def _number(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)


def _value_at(points: Mapping[int, Any] | None, step: int) -> float:
    point = points.get(step) if points else None
    return math.nan if point is None else float(point.value)
