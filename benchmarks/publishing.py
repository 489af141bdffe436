"""Points published a second, against MLflow's own client and against the database alone."""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from mlflow import MlflowClient

from runner.record.journal import Start
from runner.tracking.batch import Batch, Points
from runner.tracking.bulk import BulkStore
from runner.tracking.client import ClientStore
from runner.tracking.files import Files

STEPS = 20_000
KEYS = ["loss", "grad_norm", "w"]
REPEATS = 3
RUN = "0" * 32


def rows() -> Iterator[tuple[str, ...]]:
    """One row against `log_batch`, one against a bare `executemany`."""
    rates: dict[Any, list[float]] = {way: [] for way in (bulk, log_batch, bare)}
    for _ in range(REPEATS):
        for way, measured in rates.items():
            with tempfile.TemporaryDirectory() as folder:
                measured.append(len(KEYS) * STEPS / seconds(way, Path(folder)))
    ours = median(rates[bulk])
    for way, against, wanted in (
        (log_batch, "MlflowClient.log_batch by 1,000", ">= 8"),
        (bare, "sqlite3 executemany, same table", ">= 0.5"),
    ):
        theirs = median(rates[way])
        ratio = median(a / b for a, b in zip(rates[bulk], rates[way], strict=True))
        yield (
            "points published a second, SQLite",
            against,
            f"{ours:,.0f}",
            f"{theirs:,.0f}",
            f"{ratio:.2f}",
            wanted,
        )


def seconds(way: Callable[[Path], Callable[[Points], None]], folder: Path) -> float:
    """How long it takes to write the points of one run that has begun."""
    rng = np.random.default_rng(0)
    steps = np.arange(STEPS)
    times = 1_700_000_000_000 + steps // 50
    points = Points(RUN, KEYS, steps, times, rng.normal(size=(STEPS, len(KEYS))))
    write = way(folder)
    started = time.perf_counter()
    write(points)
    return time.perf_counter() - started


def bulk(folder: Path) -> Callable[[Points], None]:
    """As the publisher writes them."""
    uri = f"sqlite:///{folder}/mlflow.db"
    MlflowClient(uri)  # creates the tables
    store = BulkStore(uri, Files())
    store.write(Batch(starts={RUN: Start("bench", "", "bench")}))
    return lambda points: store.write(Batch(points=[points]))


def log_batch(folder: Path) -> Callable[[Points], None]:
    """In full batches, as a user of MLflow's client would."""
    store = ClientStore(f"sqlite:///{folder}/mlflow.db")
    store.write(Batch(starts={RUN: Start("bench", "", "bench")}))
    return lambda points: store.write(Batch(points=[points]))


def bare(folder: Path) -> Callable[[Points], None]:
    """The same rows into the same table with the same indexes, and nothing else."""
    bulk(folder)
    database = sqlite3.connect(folder / "mlflow.db")
    statement = (
        "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)"
        " VALUES (?, ?, ?, ?, ?, ?)"
    )

    def write(points: Points) -> None:
        for key, values in zip(points.keys, points.values.T, strict=True):
            columns = (values.tolist(), points.times.tolist(), points.steps.tolist())
            rows = [(key, *row, False, RUN) for row in zip(*columns, strict=True)]
            database.executemany(statement, rows)
        database.commit()

    return write
