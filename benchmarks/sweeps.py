"""A thousand learning rates, all trajectories in MLflow: against Hydra alone, and where time goes.

The rival's cost for a thousand cells is that of a further cell, measured over 20, times a thousand.
"""

import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from mlflow import MlflowClient

from benchmarks.loops import CONF
from benchmarks.startup import peak_memory, seconds
from runner.config.schema import register
from runner.engine.stack import stack
from runner.record.journal import Journal
from runner.sweeps.carry_out import work
from runner.sweeps.compose import compose
from runner.sweeps.executors.result import Result
from runner.sweeps.executors.work import do
from runner.sweeps.plan import Plan, plan
from runner.tracking.files import Files
from runner.tracking.publisher import Publisher
from runner.tracking.sql import CACHE_KIB

EPOCHS = 100
REPEATS = 5
FURTHER = 20  # cells of a rival that are measured
OURS = [sys.executable, "-m", "runner", "-m", f"epochs={EPOCHS}", "tolerance=0"]
RIVAL = "Hydra's basic launcher, log_metric"


def rows() -> Iterator[tuple[str, ...]]:
    """Ours against each rival, ten times the cells, memory, and the parts of the time."""
    # Nothing is deleted before the end: just after, ext4 took ten times as long to create files.
    with tempfile.TemporaryDirectory() as below:
        template = Path(below) / "mlflow.db"
        for experiment in ("rival", "gradient descent"):  # both find their own there
            MlflowClient(f"sqlite:///{template}").create_experiment(experiment)
        # In turns: what else the machine does hits both alike.
        pairs = [
            (ours(1000, template), ours(1000, template, "tracking=off")) for _ in range(REPEATS)
        ]
        thousand, untracked = (median(times) for times in zip(*pairs, strict=True))
        theirs = 1000 * further_cell(template)
        shown = f"{thousand:.1f} s", f"{theirs:.0f} s", f"{theirs / thousand:.0f}", ">= 200"
        yield "1,000 learning rates", RIVAL, *shown
        ratio = median(tracked / alone for tracked, alone in pairs)
        shown = f"{thousand:.1f} s", f"{untracked:.1f} s", f"{ratio:.2f}", "<= 1.5"
        yield "1,000 learning rates", "the same with tracking=off", *shown
        yield from ten_thousand(thousand, template)
        yield from shares(thousand, template)


def rates(count: int) -> str:
    """So many learning rates below 0.01, in Hydra's grammar."""
    return f"lr=range({0.01 / count:.10f},{0.01 + 0.005 / count:.10f},{0.01 / count:.10f})"


def ours(count: int, template: Path, *typed: str) -> float:
    """Seconds from command to prompt, into a store that is there already, as it is for rivals."""
    return seconds([*OURS, rates(count), *typed], prepared(template, "mlruns"))


def prepared(template: Path, place: str = "") -> str:
    """A new folder beside the template, with an empty store in `place`."""
    folder = tempfile.mkdtemp(dir=template.parent)
    (Path(folder) / place).mkdir(exist_ok=True)
    shutil.copy(template, Path(folder) / place / "mlflow.db")
    return folder


def further_cell(template: Path) -> float:
    """Seconds that the rival takes for each cell beyond the first two."""
    took = []
    for count in (2, 2 + FURTHER):
        values = ",".join(f"{0.0001 * (1 + number):g}" for number in range(count))
        typed = ["-m", f"epochs={EPOCHS}", f"lr={values}"]
        command = [sys.executable, "-m", "benchmarks.rivals.hydra_app", *typed]
        took.append(seconds(command, prepared(template)))
    return (took[1] - took[0]) / FURTHER


def ten_thousand(thousand: float, template: Path) -> Iterator[tuple[str, ...]]:
    """Ten times the cells: time, and the largest memory of each process."""
    folder = prepared(template, "mlruns")
    started = time.perf_counter()
    peaks = peak_memory([*OURS, rates(10_000)], folder)
    took = time.perf_counter() - started
    shown = f"{took:.1f} s", f"{thousand:.1f} s", f"{took / thousand:.1f}", "<= 10"
    yield "10,000 learning rates", "1,000 of them", *shown
    for process, peak in peaks.items():
        yield "10,000 learning rates: memory of", process, f"{peak:.0f} MiB", "", "", "<= 1536"


def shares(thousand: float, template: Path) -> Iterator[tuple[str, ...]]:
    """Where the time of 1,000 cells goes, each part alone; and the least that it could be."""
    folder = Path(prepared(template, "mlruns"))
    parts, planned = _parts(folder)
    limits = {"the array program alone": _timed(lambda: _program(planned))[0]}
    limits["the same rows, executemany"] = _insert(folder / "mlruns" / "mlflow.db", template)
    for what, took in {**parts, **limits}.items():
        yield "1,000 learning rates", f"of it: {what}", f"{took:.2f} s", "", "", ""
    least = sum(limits.values())
    against = "array program + bare insert"
    shown = f"{thousand:.1f} s", f"{least:.1f} s", f"{thousand / least:.1f}", ""
    yield "1,000 learning rates", against, *shown


def _parts(folder: Path) -> tuple[dict[str, float], Plan]:
    """Seconds of each part of a sweep, one after another in this process; and its plan."""
    register()
    count = 1000
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    overrides = [
        [f"epochs={EPOCHS}", "tolerance=0", f"lr={n * 0.01 / count:g}"] for n in range(1, count + 1)
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
        composing, cells = _timed(lambda: compose(loader, master, overrides))
    planning, planned = _timed(lambda: plan(cells, stack="auto", done={}, workers=1))
    journal = Journal(folder / "mlruns" / "journal" / "bench.db")
    results: list[Result] = []

    def execute() -> None:
        for unit in planned.units:
            do(work(planned, unit, "", ""), journal, [], results.append)

    computing, _ = _timed(execute)
    assert {result.outcome for result in results} <= {"converged", "exhausted"}
    journal.close()
    ended = threading.Event()
    ended.set()
    publisher = Publisher(journal.path.parent, uri, Files(), keep=True, ended=ended)
    publishing, _ = _timed(lambda: publisher.recover(everything=True))
    parts = {
        "composing": composing,
        "planning": planning,
        "computing and journal": computing,
        "publishing": publishing,
    }
    return parts, planned


def _program(planned: Plan) -> None:
    """The stacks' steps, nothing recorded."""
    for unit in planned.units:
        assert unit.parts
        steps = stack(unit.parts).steps
        with np.errstate(all="ignore"):
            for _ in range(EPOCHS):
                next(steps)


def _insert(filled: Path, template: Path) -> float:
    """Seconds to insert the rows of one database into an empty one of the same tables."""
    empty = filled.with_name("copy.db")
    shutil.copy(template, empty)
    tables = ("runs", "params", "tags", "metrics", "latest_metrics")
    with sqlite3.connect(filled) as source:
        rows = {table: source.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    names = {table: source.execute(f"SELECT * FROM {table}").description for table in tables}
    source.close()
    database = sqlite3.connect(empty)
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")  # as ours has it

    def insert() -> None:
        for table, values in rows.items():
            columns = ", ".join(f'"{column[0]}"' for column in names[table])
            marks = ", ".join("?" * len(names[table]))
            database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
        database.commit()

    took, _ = _timed(insert)
    database.close()
    return took


def _timed(what: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    made = what()
    return time.perf_counter() - started, made
