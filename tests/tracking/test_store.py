"""What stock MLflow reads back is the same, whichever way the journals have come into it."""

import contextlib
import json
import math
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import sqlalchemy as sa

from runner.record.journal import End, Journal, Start
from tests.support.rows import row_type

T0 = 1_700_000_000.0
EXPERIMENT = "größe 🚀"
SHORT = 30
STEPS = 10_000


# --- The runs ---


def trajectory(steps, parameters=2, dtype=np.float64, seed=0):
    """A start and so many steps, with plain random numbers in them."""
    rng = np.random.default_rng(seed)
    rows = np.empty(steps + 1, row_type(parameters, dtype))
    rows["step"] = np.arange(steps + 1)
    rows["time"] = T0 + seed + rows["step"] * 0.00037  # several steps in a millisecond
    for name in ("loss", "grad_norm", "parameters"):
        rows[name] = rng.normal(size=rows[name].shape)
    return rows


def odd_trajectory(steps):
    """So many steps with every number that a store might treat in a way of its own."""
    rows = trajectory(steps)
    rng = np.random.default_rng(1)
    odd = [np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, -5e-324, 1.7976931348623157e308, 1e-308]
    odd += [-1.7976931348623157e308, 2.2250738585072014e-308, 0.1 + 0.2, 1 / 3, 2.0**53 + 2]
    for name in ("loss", "grad_norm"):
        at = rng.choice(np.arange(1, steps + 1), len(odd) * (steps // 100), replace=False)
        rows[name][at] = odd * (steps // 100)
    rows["parameters"][:, 1] = rng.choice(odd, steps + 1)
    rows["loss"][-1], rows["parameters"][-1] = np.nan, [-np.inf, -0.0]  # the latest ones
    return rows


def dataset(digest, name):
    """What a run's start says of its dataset."""
    spec = '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1]}}]'
    return {
        "name": name,
        "digest": digest,
        "source_type": "code",
        "source": '{"tags": {"mlflow.source.name": "own.größe"}}',
        "schema": json.dumps({"mlflow_tensorspec": {"features": spec, "targets": None}}),
        "profile": '{"features_shape": [4, 1]}',
    }


def write_journal(path, uri="", steps=STEPS, short=SHORT, experiment=EXPERIMENT):
    """Runs of every kind; one of them has no end."""
    journal = Journal(path)

    def begin(name, number, params=None, tags=None, tensors=None):
        tensors = tensors or {"w": (), "b": ()}
        tags = {"mlflow.user": "jürgen", **(tags or {})}
        config = {"lr": 0.1, "name": name}
        start = Start(name, uri, experiment, params or {}, tags, config, tensors, T0 + number)
        if number >= 0:  # some share one, and two names have one digest
            name = ("größe", "größe ü")[number % 2]
            start = replace(start, dataset=dataset(f"{number % 4:016x}", name))
        return journal.begin(start)

    strange = {
        "text": "日本語 🚀 'quoted' \"%s\" \\ \n\t %(a)s ?",
        "empty": "",
        "long": "ü" * 6000,
        "longer": "🚀" * 6500,
        "a name (with brackets)": "1",
        "../up": "2",
        "k" * 300: "3",
        "nul and half a character": "a\0b\udcff",
        **{f"many.{i}": str(i) for i in range(250)},
    }
    tags = {"long": "ß" * 5000, "longer": "x" * 9000, "note": "日本 🚀", "nul": "a\0b\udcff"}
    odd = begin("lauf größe 🚀 " + "n" * 300, -1, strange, tags)
    rows = odd_trajectory(steps)
    for chunk in np.array_split(rows, 12):
        journal.record(odd, chunk)
    final = {"nan_end": math.nan, "inf_end": -math.inf, "zero": -0.0, "tiny": 5e-324, "loss": 7.0}
    last = {"note": "overwritten", "new": "n" * 9000}
    journal.end(odd, End("exhausted", final, last, None, T0 + 100))

    failed = begin("failed", -2)
    journal.record(failed, trajectory(20, seed=2))
    reason = 'Traceback (most recent call last):\n  File "größe.py"\nValueError: 日本 🚀'
    journal.end(failed, End("failed", {"epochs_run": 20.0}, {"outcome": "failed"}, reason, T0 + 50))

    stopped = begin("stopped", -3)
    journal.record(stopped, trajectory(3, dtype=np.float32, seed=3))
    ended = End("interrupted", {"score": 0.5}, {"outcome": "interrupted"}, None, T0 + 60)
    journal.end(stopped, ended)

    for i in range(short):
        params = {"lr": str([0.1, 0.01][i % 2]), "seed": str(i)}
        run = begin(f"short-{i:03d}", i, params, {"kind": "abc"[i % 3]})
        journal.record(run, trajectory(1 + i % 7, seed=i))
        score = {"score": float(np.random.default_rng(i).normal())}
        journal.end(run, End("converged", score, {"outcome": "converged"}, None, T0 + 1000 + i))

    wide = begin("wide", -4, tensors={"0.weight": (40, 2), "0.bias (first)": (40,)})
    journal.record(wide, trajectory(4, 120, np.float32, seed=4))
    journal.end(wide, End("diverged", {}, {"outcome": "diverged"}, None, T0 + 70))
    journal.end(begin("no step", -6), End("exhausted", {"epochs_run": 0.0}, {}, None, T0 + 5))

    killed = begin("killed", -5)
    journal.record(killed, trajectory(5, seed=5))
    journal.close()
    return path


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """Write the journal that every store is to get."""
    return write_journal(tmp_path_factory.mktemp("journal") / "runs.db")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Write a shorter journal: `log_batch` is very slow where points are there already."""
    path = tmp_path_factory.mktemp("small") / "runs.db"
    return write_journal(path, steps=500, short=8, experiment="small")


# --- The ways ---


def new_store(way, uri):
    """A store object of that way, as a publisher would open it."""
    from runner.tracking.bulk import BulkStore
    from runner.tracking.client import ClientStore
    from runner.tracking.files import Files
    from runner.tracking.store import unsupported

    if way == "bulk":
        ClientStore(uri)  # creates the tables
        assert unsupported(uri) is None
        return BulkStore(uri, Files())
    return ClientStore(uri)


def publish(journal, folder, store, batches=None, size=500_000):
    """Bring the journal, or so many batches of it, into the store; how many there were."""
    from runner.tracking import publication

    folder.mkdir(exist_ok=True)
    written = 0
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(publication, "BATCH_BYTES", size)  # so that there are several
        source = publication.Publication(journal, folder)
        try:
            while written != batches and (batch := source.next_batch()).runs():
                store.write(batch)
                written += 1
            if batches is None:
                store.write(source.cut_off())
        finally:
            source.close()
    return written


WAYS = {
    "bulk into SQLite": "bulk",
    "log_batch into SQLite": "client",
    "bulk into PostgreSQL": "bulk",
    "log_batch into PostgreSQL": "client",
    "log_batch into a server": "client",
}
ways = pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=[] if way == "bulk into SQLite" else pytest.mark.slow)
        for way in WAYS
    ],
)


@pytest.fixture
def place(request, tmp_path, empty_store):
    """Give a way's URI in a new place, and the URI of the database behind it."""

    def make(way):
        if "SQLite" in way:
            uri = empty_store(tmp_path)
            return uri, uri
        if "PostgreSQL" in way:
            uri = request.getfixturevalue("postgres")()
            return uri, uri
        server = request.getfixturevalue("server")
        return server.uri, server.database

    return make


# --- What is read back ---


def client_of(uri):
    """A stock client."""
    from mlflow import MlflowClient

    return MlflowClient(uri)


def runs_of(client, experiment=EXPERIMENT, condition="", order=()):
    """Every run of the experiment, deleted or not."""
    from mlflow.entities import ViewType

    found = client.get_experiment_by_name(experiment)
    ids = [found.experiment_id] if found else []
    return list(client.search_runs(ids, condition, ViewType.ALL, 50_000, list(order)))


SEARCHES = [
    ("", []),
    ("metrics.score < 0.3", ["metrics.score DESC"]),
    ("metrics.loss > 0 and params.lr = '0.1'", ["attributes.start_time ASC"]),
    ("params.lr = '0.01'", ["metrics.loss ASC"]),
    ("tags.kind = 'b'", ["metrics.score DESC"]),
    ("tags.note LIKE 'over%'", []),
    ("params.text LIKE '%語 🚀%'", []),
    ("", ["metrics.loss DESC"]),
    ("", ["metrics.nan_end ASC", "params.seed DESC"]),
    ("", ["attributes.end_time DESC"]),
    ("attributes.run_name LIKE 'short-00%'", ["attributes.run_name DESC"]),
    ("attributes.status = 'FAILED'", []),
    ("attributes.status = 'KILLED'", ["attributes.end_time ASC"]),
    ("attributes.status = 'RUNNING'", []),
    ("attributes.user_id = 'jürgen'", ["tags.kind ASC", "metrics.score ASC"]),
    (f"attributes.start_time > {int(T0 * 1000) + 10_000}", ["attributes.start_time"]),
    ("metrics.inf_end < -1e300", []),
    ("metrics.zero = 0", []),
    (f"datasets.digest = '{2:016x}'", []),
    ("datasets.name = 'größe' and datasets.context = 'training'", ["attributes.start_time ASC"]),
]


def reads(uri, folder, experiment=EXPERIMENT):
    """Everything that stock MLflow says of the runs, each known by its id in the journal."""
    client, said = client_of(uri), {}
    for run in runs_of(client, experiment):
        run_id, known = run.info.run_id, run.data.tags["journal"]
        assert known not in said, "a run is there twice"
        target = folder / known
        target.mkdir(parents=True)
        client.download_artifacts(run_id, "", str(target))
        said[known] = {
            "found": plainly(run),
            "got": plainly(client.get_run(run_id)),
            "histories": {
                key: [(m.step, m.timestamp, repr(m.value)) for m in points]
                for key in run.data.metrics
                for points in [client.get_metric_history(run_id, key)]
            },
            "artifacts": {path.name: path.read_bytes() for path in sorted(target.iterdir())},
        }
    for condition, order in SEARCHES:
        found = runs_of(client, experiment, condition, order)
        said[condition, *order] = [run.data.tags["journal"] for run in found]
    return said


def plainly(run):
    """A run without what each store chooses by itself: its ids and the artifacts' place."""
    info, data = run.info, run.data
    return {
        "status": (info.status, info.lifecycle_stage),
        "times": (info.start_time, info.end_time),
        "name": (info.run_name, info.user_id),
        "params": data.params,
        "tags": data.tags,
        "metrics": {key: repr(value) for key, value in data.metrics.items()},
        "inputs": [one.to_dictionary() for one in run.inputs.dataset_inputs],
    }


def dump(uri, *folders):
    """Every row of every table, and every file."""
    engine = sa.create_engine(uri)
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = {
            table.name: sorted(map(repr, connection.execute(sa.select(*table.columns)).all()))
            for table in tables.sorted_tables
        }
    engine.dispose()
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return rows | {str(path): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def reference(journal, tmp_path_factory, empty_store):
    """Read what stock `log_batch` leaves in SQLite; checked against the journal below."""
    folder = tmp_path_factory.mktemp("reference")
    uri = empty_store(folder)
    assert publish(journal, folder, new_store("client", uri)) > 5
    return reads(uri, folder / "read")


@pytest.fixture(scope="module")
def small_reference(small, tmp_path_factory, empty_store):
    """Read what stock `log_batch` leaves of the smaller journal."""
    folder = tmp_path_factory.mktemp("reference")
    uri = empty_store(folder)
    publish(small, folder, new_store("client", uri))
    return reads(uri, folder / "read", "small")


# --- Conformance ---


def test_stock_mlflow_holds_what_the_journal_has(reference):
    """The path that all others are compared with, against the numbers that were recorded."""
    runs = {r["got"]["name"][0]: r for key, r in reference.items() if isinstance(key, str)}
    assert len(runs) == SHORT + 6
    odd = runs[("lauf größe 🚀 " + "n" * 300)[:250]]
    rows, largest = odd_trajectory(STEPS), repr(1.7976931348623157e308)
    stored = {"inf": largest, "-inf": f"-{largest}", "-0.0": "0.0"}
    for key, column in {"w": rows["parameters"][:, 0], "b": rows["parameters"][:, 1]}.items():
        values = [stored.get(repr(v), repr(v)) for v in column.tolist()]
        points = enumerate(values)
        assert [(step, value) for step, _, value in odd["histories"][key]] == list(points)
    losses = [stored.get(repr(v), repr(v)) for v in rows["loss"][1:].tolist()]
    assert [value for step, _, value in odd["histories"]["loss"] if step] == losses
    assert [value for step, _, value in odd["histories"]["loss"] if not step] == ["7.0"]
    metrics, params, tags = (odd["got"][what] for what in ("metrics", "params", "tags"))
    assert (metrics["nan_end"], metrics["inf_end"]) == ("nan", f"-{largest}")
    assert (metrics["loss"], metrics["w"], metrics["b"]) == ("nan", f"-{largest}", "0.0")
    assert params["longer"] == "🚀" * 6000
    assert params["a name _with brackets_"] == "1"
    assert params["nul and half a character"] == "ab?"
    assert len([key for key in params if key.startswith("many.")]) == 250
    assert (len(tags["long"]), len(tags["longer"]), len(tags["new"])) == (5000, 5000, 5000)
    assert tags["note"] == "overwritten"
    assert odd["got"]["times"] == (int((T0 - 1) * 1000), int((T0 + 100) * 1000))
    assert odd["found"] == odd["got"]
    states = [runs[name]["got"]["status"][0] for name in ("failed", "stopped", "killed", "wide")]
    assert states == ["FAILED", "KILLED", "KILLED", "FINISHED"]
    assert runs["failed"]["got"]["tags"]["reason"] == "ValueError: 日本 🚀"
    assert "größe.py" in runs["failed"]["artifacts"]["traceback.txt"].decode()
    assert runs["killed"]["artifacts"].keys() == {"config.yaml", "trajectory.parquet"}
    assert [step for step, _, _ in runs["killed"]["histories"]["w"]] == list(range(6))
    norms = {"0.weight.norm", "0.bias _first_.norm"}
    assert runs["wide"]["got"]["metrics"].keys() == {"loss", "grad_norm"} | norms
    hits = [len(reference[condition, *order]) for condition, order in SEARCHES]
    assert hits[0] == SHORT + 6
    nothing = [condition for (condition, _), count in zip(SEARCHES, hits, strict=True) if not count]
    assert nothing == ["attributes.status = 'RUNNING'"]


@ways
def test_every_way_reads_the_same(way, journal, place, reference, tmp_path):
    """get_run, get_metric_history, search_runs with filters and orders, and the artifacts."""
    uri, _ = place(way)
    publish(journal, tmp_path, new_store(WAYS[way], uri))
    said = reads(uri, tmp_path / "read")
    assert said.keys() == reference.keys()
    assert [what for what in reference if said[what] != reference[what]] == []


@ways
def test_publishing_again_changes_nothing(way, small, place, tmp_path, small_reference):
    """After a half of it, as when a publisher dies: as if it had not. After all of it: nothing."""
    uri, database = place(way)
    artifacts = [tmp_path / "mlruns", Path(database.removeprefix("sqlite:///")).parent]
    half = publish(small, tmp_path, new_store(WAYS[way], uri), batches=6, size=5_000)
    assert half == 6
    assert publish(small, tmp_path, new_store(WAYS[way], uri), size=5_000) > half + 2
    said = reads(uri, tmp_path / "read", "small")
    assert [what for what in small_reference if said[what] != small_reference[what]] == []
    before = dump(database, artifacts[way.endswith("server")])
    for batches in (None, 1):  # by the second, no latest value must go back
        publish(small, tmp_path, new_store(WAYS[way], uri), batches, size=5_000)
        after = dump(database, artifacts[way.endswith("server")])
        changed = [what for what in before | after if before.get(what) != after.get(what)]
        assert [what for what in changed if not what.endswith((".db", ".log"))] == []


# --- Which way is taken ---


def set_revision(uri, revision):
    """Make the schema of a SQLite store claim to be another one."""
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        database.commit()


def test_bulk_only_where_it_was_tested(empty_store, tmp_path, monkeypatch):
    """Another schema, driver or no database: a reason, and no exception."""
    from runner.tracking import store

    uri = empty_store(tmp_path)
    assert store.unsupported(uri) is None
    assert "new" in store.unsupported(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    for folder in ("./mlruns", "file:///tmp/mlruns", "databricks"):
        assert store.unsupported(folder) == f"{folder} is no database"
    assert "mysql+pymysql" in store.unsupported("mysql+pymysql://user@127.0.0.1/db")
    set_revision(uri, "0123456789ab")
    assert "0123456789ab" in store.unsupported(uri)
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert "workspaces" in store.unsupported(uri)


def test_the_tested_schema_is_that_of_the_installed_mlflow(empty_store, tmp_path):
    """The guard would otherwise keep everybody from the fast path."""
    from runner.tracking.store import TESTED_REVISIONS

    database = sa.create_engine(empty_store(tmp_path))
    with database.connect() as connection:
        [found] = connection.scalars(sa.text("SELECT version_num FROM alembic_version"))
    database.dispose()
    assert found in TESTED_REVISIONS


def test_a_new_store_is_the_one_that_mlflow_creates(empty_store, tmp_path, monkeypatch):
    """Table by table, and in what is in them; of the pinned one, nobody imports MLflow for it."""
    from runner.tracking import create

    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        if create._schema():
            patch.setitem(sys.modules, "mlflow.store.db.utils", None)
        create.create("sqlite:///ours.db")
    theirs = empty_store(tmp_path / "theirs").removeprefix("sqlite:///")
    assert schema_of("ours.db") == schema_of(theirs)
    rows = rows_of("ours.db")
    assert rows == rows_of(theirs)
    assert rows["experiments"] == [(0, "Default", "active")]


def schema_of(path):
    """What SQLite has of each table and index: their words, as MLflow lists some in no order."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        query = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        found = database.execute(query).fetchall()
    return [(kind, name, sorted(re.findall(r"\w+|\S", sql or ""))) for kind, name, sql in found]


def rows_of(path):
    """All rows by table, but for times and the folder's name."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        names = [name for kind, name, _ in schema_of(path) if kind == "table"]
        rows = {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    rows["experiments"] = [(r[0], r[1], r[3]) for r in rows["experiments"]]
    return rows


@pytest.fixture(scope="module")
def publish_command(environment):
    """Start `python -m runner.publish` in a folder, after some Python of the test's own."""

    def start(folder, first="", *typed):
        code = f"import runner.publish\n{first}\nraise SystemExit(runner.publish.main())"
        return subprocess.Popen(
            [sys.executable, "-c", code, str(folder), *typed],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.one_in(2)
@pytest.mark.parametrize("age", ["old", "new"])
def test_log_batch_is_used_where_bulk_was_not_tested(age, tmp_path, empty_store, publish_command):
    """The runs are there all the same, and the log says why it took longer."""
    uri = empty_store(tmp_path)
    if age == "new":
        Path(sa.make_url(uri).database).unlink()
    (tmp_path / "mlruns").mkdir()
    write_journal(tmp_path / "mlruns" / "journal" / "runs.db", uri, steps=200, short=2)
    forbidden = "def no(*_): raise AssertionError('bulk')\nbulk.BulkStore.write = no"
    untested = "store.TESTED_REVISIONS = ('0123456789ab',)"
    first = f"from runner.tracking import bulk, store\n{forbidden}\n{untested}"
    process = publish_command(tmp_path, first)
    printed, complaints = process.communicate()
    assert process.returncode == 0, complaints
    assert "8 run(s)" in printed
    assert len(runs_of(client_of(uri))) == 8
    log = (tmp_path / "mlruns" / "publish.log").read_text()
    assert re.search(r"the schema [0-9a-f]{12} is none of 0123456789ab", log)


# Leaves a file where pandas is imported, which takes as long as to publish a run.
NO_PANDAS = """
class Finder:
    def find_spec(self, name, *_):
        if name == "pandas":
            open("pandas", "w").close()
sys.meta_path.insert(0, Finder())
"""


def test_nobody_imports_mlflow_for_a_tested_schema(tmp_path, empty_store, publish_command):
    """Nor to create the experiment, nor pandas for the files; what is there is whole."""
    uri = empty_store(tmp_path)
    write_journal(tmp_path / "mlruns" / "journal" / "runs.db", uri, steps=200, short=2)
    process = publish_command(tmp_path, "import sys\nsys.modules['mlflow'] = None\n" + NO_PANDAS)
    printed, complaints = process.communicate()
    assert process.returncode == 0, complaints
    assert "8 run(s)" in printed
    assert not (tmp_path / "pandas").exists()
    client = client_of(uri)
    assert len(runs_of(client)) == 8
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "`grad_norm`" in found.tags["mlflow.note.content"]
    assert found.creation_time == found.last_update_time > T0 * 1000


def test_the_tables_are_mlflows():
    """Every column that is written, of that type, and the primary keys."""
    from mlflow.store.tracking.dbmodels import models

    from runner.tracking import tables

    stock = models.Base.metadata.tables
    assert {"runs", "metrics", "inputs"} < set(tables._METADATA.tables)
    for name, table in tables._METADATA.tables.items():
        for column in table.columns:
            same = stock[name].columns[column.name]
            assert isinstance(same.type, column.type.__class__), (name, column.name)
        if name != "metrics":  # whose key nobody asks for
            assert {c.name for c in table.primary_key} == {c.name for c in stock[name].primary_key}


def test_an_experiments_tags_are_the_users(tmp_path, empty_store, publish_command):
    """An experiment that is there gets what it lacks, and keeps what somebody has written."""
    uri = empty_store(tmp_path)
    client = client_of(uri)
    client.create_experiment(EXPERIMENT, tags={"mlflow.note.content": "mine"})
    write_journal(tmp_path / "mlruns" / "journal" / "runs.db", uri, steps=200, short=2)
    process = publish_command(tmp_path)
    _, complaints = process.communicate()
    assert process.returncode == 0, complaints
    tags = client.get_experiment_by_name(EXPERIMENT).tags
    assert tags["mlflow.note.content"] == "mine"
    assert tags["mlflow.experimentKind"] == "custom_model_development"


@pytest.mark.parametrize("name", ["n" * 501, ""])
def test_an_experiment_of_an_impossible_name(name, tmp_path, empty_store, publish_command):
    uri = empty_store(tmp_path)
    path = tmp_path / "mlruns" / "journal" / "runs.db"
    write_journal(path, uri, steps=200, short=1, experiment=name)
    process = publish_command(tmp_path)
    _, complaints = process.communicate()
    assert process.returncode == 1
    assert f"an experiment's name has 1 to 500 characters, not {len(name)}" in complaints


@pytest.mark.slow
def test_a_schema_that_mlflow_itself_refuses_is_said(tmp_path, empty_store, publish_command):
    """Nothing is written, everything is kept, and MLflow's advice reaches the person."""
    uri = empty_store(tmp_path)
    set_revision(uri, "0123456789ab")
    journal = write_journal(tmp_path / "mlruns" / "journal" / "runs.db", uri, steps=200, short=2)
    before = dump(uri)
    process = publish_command(tmp_path)
    _, complaints = process.communicate()
    assert process.returncode == 1
    advice = "out-of-date database schema", "Can't locate revision"  # of newer and older ones
    assert any(words in complaints for words in advice)
    assert "Traceback" not in complaints
    assert dump(uri) == before
    assert journal.exists()


# --- What somebody has deleted ---


@pytest.mark.parametrize("way", ["bulk", "client"])
def test_a_deleted_run_stays_deleted(way, tmp_path, empty_store, small):
    """It is refused with the reason, in every later batch too; the others are not held up."""
    from runner.errors import RunsRefused

    uri = empty_store(tmp_path)
    client = client_of(uri)
    publish(small, tmp_path, new_store(way, uri), batches=1, size=5_000)
    [run] = runs_of(client, "small")
    client.delete_run(run.info.run_id)
    before = client.get_run(run.info.run_id).to_dictionary()
    store = new_store(way, uri)

    class Lenient:
        """Does what the publisher does with a refusal."""

        refused: ClassVar = {}

        def write(self, batch):
            try:
                store.write(batch.without(self.refused))
            except RunsRefused as refused:
                self.refused.update(refused.reasons)
                store.write(batch.without(self.refused))

    publish(small, tmp_path, Lenient(), size=5_000)
    assert list(Lenient.refused) == [run.data.tags["journal"]]
    assert "deleted" in str(Lenient.refused)
    assert client.get_run(run.info.run_id).to_dictionary() == before
    runs = runs_of(client, "small")
    assert len(runs) == 8 + 6
    assert [one.info.lifecycle_stage for one in runs].count("deleted") == 1


@pytest.mark.parametrize("way", ["bulk", "client"])
def test_a_deleted_experiment_gets_no_runs(way, tmp_path, empty_store, small):
    """Neither from a store that has just been opened nor from one that knew the experiment."""
    from runner.errors import RunsRefused
    from runner.tracking.batch import Batch

    uri = empty_store(tmp_path)
    client, store = client_of(uri), new_store(way, uri)
    with contextlib.chdir(tmp_path):
        store.write(Batch({"a" * 32: Start("first", uri, "small", tags={"journal": "a" * 32})}))
        client.delete_experiment(client.get_experiment_by_name("small").experiment_id)
        for opened in (store, new_store(way, uri)):
            others = {
                "b" * 32: Start("second", uri, "small", tags={"journal": "b" * 32}),
                "c" * 32: Start("third", uri, "other", tags={"journal": "c" * 32}),
            }
            with pytest.raises(RunsRefused) as refused:
                opened.write(Batch(others))
            assert list(refused.value.reasons) == ["b" * 32]
            assert "delete" in str(refused.value) or "active" in str(refused.value)
    assert [run.info.run_name for run in runs_of(client, "small")] == ["first"]


# --- Several writers ---


@pytest.mark.slow
def test_two_publishers_share_a_new_store(tmp_path, publish_command):
    """Of two folders, at once, into one database that none of them has seen before."""
    uri = f"sqlite:///{tmp_path}/shared.db"
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        write_journal(folder / "mlruns" / "journal" / "runs.db", uri, steps=2000, short=150)
    smaller = "from runner.tracking import publication\npublication.BATCH_BYTES = 12_000"
    processes = [publish_command(folder, smaller) for folder in folders]
    for process, folder in zip(processes, folders, strict=True):
        printed, complaints = process.communicate()
        assert process.returncode == 0, complaints
        assert "156 run(s)" in printed
        log = folder / "mlruns" / "publish.log"
        assert "locked" not in printed + complaints + (log.read_text() if log.exists() else "")
    runs = runs_of(client_of(uri))
    assert set(Counter(run.data.tags["journal"] for run in runs).values()) == {1}
    assert len(runs) == 2 * 156
    assert {run.info.status for run in runs} == {"FINISHED", "FAILED", "KILLED"}
    assert len({run.info.experiment_id for run in runs}) == 1
    assert points_of(uri) == 2 * expected_points(2000, 150)


def points_of(uri):
    """How many points the database has."""
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        return database.execute("SELECT count(*) FROM metrics").fetchone()[0]


def expected_points(steps, short):
    """How many points of `write_journal` MLflow should have."""

    def made(steps, keys=2):
        return 2 * steps + keys * (steps + 1)

    of_short = sum(made(1 + i % 7) + 1 for i in range(short))
    # The final metrics, and for a killed run those that its publisher adds.
    return made(steps) + 5 + made(20) + 1 + made(3) + 1 + of_short + made(4) + 1 + made(5) + 3


@pytest.mark.slow
def test_four_invocations_share_a_store(tmp_path, environment, store):
    """50 runs each, at once: all 200 there, once, and nobody hears of a locked database."""
    basic = "hydra/launcher=basic"
    command = [sys.executable, "-m", "runner", "-m", "gradient=by_hand", "epochs=20", basic]
    processes = [
        subprocess.Popen(
            [*command, "seed=range(50)", f"lr=0.00{i + 1}"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(4)
    ]
    for process in processes:
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        assert "locked" not in printed
        assert "see it" in printed
    _, runs = store(tmp_path)
    cells = Counter((run.data.params["lr"], run.data.params["seed"]) for run in runs)
    assert cells == {(f"0.00{i + 1}", str(j)): 1 for i in range(4) for j in range(50)}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert points_of(f"sqlite:///{tmp_path}/mlruns/mlflow.db") == 200 * (2 * 20 + 21 + 6)
    log = tmp_path / "mlruns" / "publish.log"
    assert not log.exists(), log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_busy_database_is_waited_for(lock, tmp_path, environment, empty_store, store):
    """Somebody else writes for seconds, and may even keep readers out; no one is told of it."""
    uri = empty_store(tmp_path)
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/mlflow.db")) as other:
        other.execute(f"BEGIN {lock}")
        with subprocess.Popen(
            [sys.executable, "-m", "runner", "gradient=by_hand"],
            cwd=tmp_path,
            env={**environment, "MLFLOW_TRACKING_URI": uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            # The run has ended, and waits.
            next(line for line in process.stdout if line.startswith("publishing"))
            time.sleep(7)
            assert process.poll() is None
            other.rollback()
            printed = process.stdout.read()
    assert process.returncode == 0
    assert "see it" in printed
    assert "locked" not in printed
    _, [run] = store(tmp_path, uri)
    assert run.info.status == "FINISHED"
