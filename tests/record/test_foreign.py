"""Stores that somebody else wrote: whatever they hold is data, and nothing of it is executed."""

import json
import os
import pkgutil
import re
import shutil
import sqlite3
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import runner
from runner.config import short_list
from runner.errors import ConfigError
from runner.record import plain
from runner.record.column import number
from runner.record.journal import End, File, Journal, Start
from tests.support.commands import entered
from tests.support.rows import row_type

ROOT = Path(__file__).resolve().parents[2]

LINE = {
    **{"dataset": "line", "dataset._target_": "runner.dataset.points"},
    **{"dataset.x": "[0, 1, 2]", "dataset.y": "[1, 3, 5]"},
    **{"model": "linear", "model._target_": "torch.nn.Linear", "model.in_features": "None"},
    **{"model.out_features": "None", "model.bias": "True"},
    **{"loss": "mse", "loss._target_": "torch.nn.MSELoss", "dtype": "float32", "lr": "0.1"},
    **{"optimizer": "sgd", "optimizer._target_": "torch.optim.SGD", "optimizer.lr": "0.1"},
}
"""The params of a run that can be built."""


@pytest.fixture
def foreign(tmp_path, empty_store, monkeypatch):
    """Log a run with these params and files by stock MLflow; the store's URI comes back."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    (tmp_path / "theirs").mkdir()
    uri = empty_store(tmp_path / "theirs")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def add(params, files=(), name="theirs", **tags):
        client = MlflowClient(uri)
        place = (tmp_path / "theirs" / "files").as_uri()
        experiment = client.get_experiment_by_name("x")
        experiment = (
            experiment.experiment_id if experiment else client.create_experiment("x", place)
        )
        tags = {"outcome": "exhausted", "loop": "optimizer", **tags}
        run = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        metrics = [Metric(k, 1 / (s + 1), 0, s) for s in range(4) for k in ("loss", "w", "b")]
        metrics += [Metric("final_loss", 0.25, 0, 0), Metric("epochs_run", 3, 0, 0)]
        client.log_batch(run, metrics, [Param(k, v) for k, v in params.items() if v])
        for file, text in files:
            client.log_text(run, text, file)
        client.set_terminated(run)
        return uri

    return add


def command(module, *typed):
    """The exit status of `python -m runner.MODULE`, and all that it prints."""
    status, out, err = entered(import_module(f"runner.{module}").main, *typed)
    return status, out + err


def reported(*typed):
    return command("report.__main__", *typed)


MAKE = "{'_target_': 'os.mkdir', 'path': 'PWNED'}"
RESOLVED = "${oc.create:{_target_: os.mkdir, path: PWNED}}"
YAML = {
    "pairs": "dataset: !!pairs [_target_: os.mkdir, path: PWNED]",
    "python": "dataset: !!python/object/apply:os.mkdir [PWNED]",
    "object": "dataset: {_target_: runner.dataset.points, x: {_target_: os.mkdir, path: PWNED}}",
    "set": "dataset: !!set {a, b}",
    "binary": "dataset: !!binary aGVsbG8=",
    "merge": "a: &a {_target_: os.mkdir, path: PWNED}\ndataset:\n  <<: *a",
    "key": "dataset: {1: 2}",
    "keys that are lists": "? [a, b]\n: 1",
    "deep": "dataset: " + "[" * 100_000,
    "date": "dataset: 2020-01-01",
    "half": "dataset: [1, 2",
    "two": "dataset: 1\n---\ndataset: 2",
    "number": "dataset: " + "9" * 5000,
    "laughs": "a0: &a0 [x, x]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)),
    "large": "dataset: " + "x" * 2**21,
}
NO_POINTS = {"dataset.x": None, "dataset.y": None}
HOSTILE = {
    "tuple": {"dataset.x": f"({MAKE},)"},
    "list": {"dataset.x": f"[{MAKE}]"},
    "mapping": {"dataset.x": MAKE},
    "tuple in a list": {"dataset.x": f"[({MAKE},)]"},
    "set": {"dataset.x": "{1, 2}"},
    "bytes": {"dataset.x": "b'0'"},
    "complex": {"dataset.x": "[1j]"},
    "keys": {"dataset.x": "{1: 2}"},
    "deep": {"dataset.x": "[" * 5000},
    "signs": {"dataset.x": "-" * 5000 + "1"},
    "digits": {"dataset.x": "9" * 5000},
    "resolver": {"dataset.x": RESOLVED},
    "environment": {"dataset.x": "${oc.env:HOME}"},
    "nested resolver": {"dataset.x": f"['{RESOLVED}']"},
    "dataset": {**NO_POINTS, "dataset._target_": "os.mkdir", "dataset.path": "PWNED"},
    "newline": {"dataset._target_": "runner.dataset.points\n"},
    "space": {"dataset._target_": " runner.dataset.points"},
    "dots": {"dataset._target_": "runner.dataset.points.__globals__"},
    "letters": {"dataset._target_": "runner.dataset.po\u0131nts"},
    "module": {
        **{**NO_POINTS, "dataset._target_": "runner.dataset.files.os.mkdir"},
        "dataset.path": "PWNED",
    },
    "model": {"model._target_": "os.mkdir", "model.path": "PWNED"},
    "loss": {"loss._target_": "os.mkdir", "loss.path": "PWNED"},
    "loss for a dataset": {"dataset._target_": "torch.nn.MSELoss"},
    "objective": {"objective._target_": "os.mkdir", "objective.path": "PWNED"},
    "validation": {"validation_data": MAKE},
    "arguments": {"dataset._args_": "['PWNED']"},
    "partial": {"loss._partial_": "True"},
    "convert": {"dataset._convert_": "object"},
    "recursive": {"dataset._recursive_": "False"},
    "file": {
        **{**NO_POINTS, "dataset._target_": "runner.dataset.csv", "dataset.path": "/etc/passwd"},
        "dataset.target": "root:x:0:0:root:/root:/bin/bash",
    },
    "activation": {"model._target_": "runner.mlp.mlp", "model.activation": "Transformer"},
    "path": {"dataset.a.b" + ".c" * 100: "1"},
    "samples": {
        **{**NO_POINTS, "dataset._target_": "runner.dataset.chebyshev", "dataset.degree": "2"},
        "dataset.samples": str(10**12),
    },
}
HOSTILE |= {
    name: {**NO_POINTS, "dataset._target_": f"sklearn.datasets.{name}", key: value}
    for name, key, value in (
        ("make_regression", "dataset.n_features", str(10**9)),
        ("make_blobs", "dataset.n_samples", f"[{10**9}, {10**9}]"),
        ("make_blobs", "dataset.centers", str(10**9)),
        ("make_classification", "dataset.n_classes", str(10**9)),
        ("load_files", "dataset.container_path", "/"),
    )
}
HOSTILE["matrix"] = {
    "objective._target_": "runner.objective.quadratic",
    "objective.dimension": str(10**5),
}
HOSTILE["degree"] = {"model._target_": "runner.model.polynomial", "model.degree": str(10**9)}
HOSTILE["widths"] = {"model._target_": "runner.mlp.mlp", "model.widths": str([10**6] * 2)}


@pytest.mark.parametrize("attempt", HOSTILE)
def test_a_param_executes_nothing(attempt, foreign, tmp_path):
    """Whatever it names; the table comes, and says what is not drawn."""
    uri = foreign({**LINE, **HOSTILE[attempt]})
    status, printed = reported("theirs", "--uri", uri, "--html", "page.html")
    assert status == 0
    assert "exhausted" in printed
    page = (tmp_path / "here" / "page.html").read_text()
    assert "no optimum and no landscape" in printed or "No landscape" in page
    assert_nothing_done(tmp_path, printed + page)


@pytest.mark.parametrize("attempt", YAML)
def test_an_artifact_executes_nothing(attempt, foreign, tmp_path):
    """The config's file, which is read where a param was cut; by `runner.load` as well."""
    uri = foreign({**LINE, "dataset.note": "x" * 6000}, [("config.yaml", YAML[attempt])])
    status, printed = reported("theirs", "--uri", uri)
    assert status == 0
    run = runner.load("theirs", uri)
    run.report("page.html")
    with suppress(ConfigError):
        assert json.loads(json.dumps(run.config)) == run.config
    assert_nothing_done(tmp_path, printed)


def test_names_are_text_on_the_page_and_in_the_terminal(foreign, tmp_path):
    """Whatever a run, its tags and its params are called."""
    evil = "</script></title><img src=x onerror=alert(1)>\"'`$\\frac{\x1b[2J\u202e"
    params = {**LINE, "lr": evil, "dataset": evil, "optimizer": evil}
    uri = foreign(params, name=evil, outcome=evil, loop=evil, reason=evil)
    status, printed = reported("latest", "--uri", uri, "--html", "page.html")
    assert status == 0
    assert "\x1b" not in printed
    assert "\x1b" not in command("show", "latest", "--uri", uri)[1]
    page = (tmp_path / "here" / "page.html").read_text()
    assert "&lt;/script&gt;" in page
    assert "<img" not in page
    assert page.count("<script") == page.count("</script")


@pytest.mark.parametrize("word", ["../../PWNED", "/PWNED", "a/b", "."])
def test_an_id_that_is_a_path_leads_nowhere(word, foreign, tmp_path):
    """A database may be written by hand."""
    path = foreign(LINE).removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for table in ("runs", "params", "metrics", "latest_metrics", "tags"):
            database.execute(f"UPDATE {table} SET run_uuid = ?", (word,))
    status, printed = reported("latest", "--uri", f"sqlite:///{path}")
    assert status == 1
    assert "is no id of a run" in printed
    assert_nothing_done(tmp_path, printed)


COLUMN = vars(number("loss", "loss"))
DECLARED = {
    "too many numbers": [{**COLUMN, "shape": [2**31 - 1]}],
    "objects": [{**COLUMN, "dtype": "O"}],
    "not there": [{**COLUMN, "name": "w", "tensors": {"w": [10**9]}, "shape": [10**9]}],
    "none": {"a": 1},
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("declared", DECLARED)
def test_a_file_that_declares_what_it_has_not(declared, foreign, tmp_path):
    """The curve is then that of the metrics."""
    from mlflow import MlflowClient

    uri, written = foreign(LINE), DECLARED[declared]
    text = written if isinstance(written, str) else json.dumps(written)
    table = pa.table(
        {"step": [0, 1], "time": pa.array([0, 1], pa.timestamp("us")), "loss": [1.0, 2.0]}
    )
    file = tmp_path / "trajectory.parquet"
    pq.write_table(table.replace_schema_metadata({"columns": text}), file)
    client = MlflowClient(uri)
    [run] = client.search_runs([e.experiment_id for e in client.search_experiments()])
    client.log_artifact(run.info.run_id, file)
    assert reported("theirs", "--uri", uri)[0] == 0
    assert runner.load("theirs", uri).trajectory["loss"].tolist() == [1, 1 / 2, 1 / 3, 1 / 4]


def assert_nothing_done(folder, shown):
    assert not [path for path in folder.rglob("*") if path.name.startswith("PWNED")]
    assert os.environ["HOME"] not in shown.replace("${oc.env:HOME}", "")


def test_what_is_on_the_short_list_is_built(foreign):
    """Of a store as of a journal."""
    _, printed = reported("theirs", "--uri", foreign(LINE))
    assert "no optimum" not in printed


READ_FILES = {f"runner.dataset.{name}" for name in ("csv", "npz", "parquet")}


@pytest.mark.parametrize("group", short_list.PARTS)
def test_every_option_is_on_the_short_list_unless_it_reads_files(group):
    """And what is on it is there."""
    options = list((ROOT / "conf" / group).glob("*.yaml"))
    named = {re.search(r"^_target_: (\S+)", path.read_text(), re.MULTILINE) for path in options}
    assert {found[1] for found in named if found} - READ_FILES <= short_list.PARTS[group]
    assert options or group == "validation_data"
    assert all(callable(pkgutil.resolve_name(name)) for name in short_list.PARTS[group])


def test_trust_alone_lifts_it(foreign, tmp_path):
    """A function that is on no list is then called."""
    uri = foreign({**LINE, **HOSTILE["dataset"]})
    reported("theirs", "--uri", uri)
    assert not (tmp_path / "here" / "PWNED").exists()
    reported("theirs", "--uri", uri, "--trust")
    assert (tmp_path / "here" / "PWNED").exists()


def test_params_are_read_as_they_were_written():
    """Every value that a config of ours has; what is no plain data stays text."""
    values = [
        1,
        -2,
        0.1,
        -1e-300,
        10**30,
        True,
        None,
        [],
        {},
        [1, "a", None, [0.5]],
        {"a": {"b": 1}},
    ]
    values += [["it's", 'say "so"', "a\\b\n\t\x00é\u202e"], {"a b": "${x}"}]
    for value in values:
        assert plain.of_text(str(value)) == value
    for text in (
        "(1,)",
        "{1}",
        "1j",
        "b'a'",
        "007",
        "1_000",
        "nan",
        "[nan]",
        "[1",
        "'a' 'b'",
        "",
        "f()",
    ):
        assert plain.of_text(text) == text


# --- Journals ---

CONFIG = {
    "dataset": {"_target_": "runner.dataset.points", "x": [0, 1, 2], "y": [1, 3, 5]},
    "model": {"_target_": "torch.nn.Linear", "in_features": None, "out_features": None},
    "loss": {"_target_": "torch.nn.MSELoss"},
    "dtype": "float32",
}
EXECUTED = {**CONFIG, "dataset": {"_target_": "os.mkdir", "path": "PWNED"}}


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Write a journal of one run, or of these records; a copy of it unless it is `own`."""
    from runner.base import project

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    here = tmp_path / "here" / "mlruns" / "journal"

    def write(config, records=(), *, own=False, name="theirs", file=None, **start):
        place = here if own else tmp_path / "theirs"
        journal = Journal(place / f"{name}.db")
        run = journal.begin(
            Start(name, experiment="e", config=config, tensors={"w": ()}, **{"store": "", **start})
        )
        rows = np.zeros(3, row_type(1, np.float32))
        rows["step"] = np.arange(3)
        journal.record(run, rows)
        if file:
            journal.attach(run, file)
        for record in records:
            journal._write(*record)
        journal.end(run, End("exhausted", {"epochs_run": 2.0, "final_loss": 1.0}))
        journal.close()
        if not own:
            here.mkdir(parents=True, exist_ok=True)
            shutil.copy(place / f"{name}.db", here)
        return run

    with project.here():
        yield write


def test_a_copied_journal_executes_nothing(journal, tmp_path):
    """What this machine has written for this user does; both do with --trust."""
    journal(EXECUTED)
    status, printed = reported("theirs")
    assert status == 0
    assert "os.mkdir is not on the short list of what may be built: --trust" in printed
    runner.load("theirs").report("page.html")
    assert command("show", "theirs")[0] == 0
    assert command("publish", "--status")[0] == 0
    status, printed = command("resume", "theirs", "epochs=9")
    assert status == 1
    assert "os.mkdir is not on the short list of what may be built: --trust" in printed
    runner.run(
        "model.initial=run:theirs", "tracking=off", gradient="by_hand", epochs=1, model="linear"
    )
    assert_nothing_done(tmp_path, printed)
    reported("theirs", "--trust")
    assert (tmp_path / "here" / "PWNED").exists()
    (tmp_path / "here" / "PWNED").rmdir()
    journal(EXECUTED, own=True, name="mine")
    reported("mine")
    assert (tmp_path / "here" / "PWNED").exists()


@pytest.mark.parametrize(
    "config",
    [
        {"optimizer": {"_target_": "torch.optim.SGD", "lr": {"_target_": "os.mkdir"}}},
        {"schedule": {"_target_": "os.mkdir", "path": "PWNED"}},
        {"measure": {"every": None, "x": {"_target_": "os.mkdir", "path": "PWNED"}}},
        {"dataset": {"_target_": "runner.dataset.points", "x": "${oc.env:HOME}", "y": [1]}},
        {"dataset": [[]]},
        {"model": None, "loss": 1},
        {"epochs": "many", "optimizer": "x"},
    ],
    ids=str,
)
def test_a_copied_journal_goes_on_with_nothing_of_its_own(config, journal, tmp_path):
    """Whatever of it is not as ours: one message."""
    journal({**CONFIG, **config}, tags={"dataset.digest": "0"})
    status, printed = command("resume", "theirs", "epochs=9")
    assert status == 1
    assert len(printed.splitlines()) == 1, printed
    assert_nothing_done(tmp_path, printed)


@pytest.mark.parametrize(
    "change", ["tracking.experiment=${oc.env:HOME}", "tracking.uri=x", 1, "epochs=9\n"]
)
def test_what_a_copied_journal_was_changed_by_is_not_resolved(change, journal, tmp_path):
    """It would be read as if it was typed."""
    content = json.dumps([{"step": 0, "changes": [change]}]).encode()
    journal(CONFIG, tags={"dataset.digest": "0"}, file=File("resumed.json", content))
    status, printed = command("resume", "theirs", "epochs=9")
    assert status == 1
    assert "was changed by" in printed or "cannot be resumed" in printed
    assert_nothing_done(tmp_path, printed)


def test_a_copied_journal_is_published_only_where_this_folder_is(journal, tmp_path, empty_store):
    """It may name any file and any server; --uri is one's own choice."""
    journal(CONFIG, store=f"sqlite:///{tmp_path}/elsewhere.db", name="elsewhere")
    journal(CONFIG, store="http://127.0.0.1:9", name="served")
    (tmp_path / "here" / "mlruns").mkdir(exist_ok=True)
    uri = empty_store(tmp_path / "here" / "mlruns")
    journal(CONFIG, store="sqlite:///mlruns/mlflow.db", name="ours")
    status, printed = command("publish")
    assert status == 1
    for name in ("elsewhere", "served"):
        assert f"mlruns/journal/{name}.db: was not written here, and is meant for" in printed
    assert "published   1 run(s)" in printed
    assert not (tmp_path / "elsewhere.db").exists()
    for name in ("elsewhere", "served"):
        status, printed = command("resume", name, "epochs=9")
        assert status == 1
        assert "was not written here, and is meant for" in printed
    assert command("publish", "--uri", uri)[0] == 0
    assert not list((tmp_path / "here" / "mlruns" / "journal").glob("*.db"))


def test_a_journal_whose_table_is_a_view_is_none(tmp_path, journal):
    """It may never end; here it has no row, and looks for one in all numbers."""
    journal(CONFIG)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with closing(sqlite3.connect("mlruns/journal/theirs.db", isolation_level=None)) as database:
        database.execute("DROP TABLE origin")
        database.execute(f"CREATE VIEW origin AS SELECT i AS mark FROM ({endless}) WHERE i < 0")
    assert reported("theirs")[0] == 1
    with closing(sqlite3.connect("mlruns/journal/theirs.db", isolation_level=None)) as database:
        database.execute("ALTER TABLE record RENAME TO other")
        columns = "i AS id, '' AS run, '' AS kind, '' AS body, 0 AS checksum"
        database.execute(f"CREATE VIEW record AS SELECT {columns} FROM ({endless}) WHERE i < 0")
    for module in ("show", "publish", "resume"):
        status, printed = command(module, *([] if module == "publish" else ["theirs"]))
        assert status == 1
        assert len(printed.splitlines()) == 1


RUN, OUT = b"0" * 32, b"../../PWNED"
START = {"name": "x", "store": "", "experiment": "e"}
MALFORMED = {
    "a run that has not begun": (RUN.decode(), "end", b'{"outcome": "exhausted"}'),
    "a path for a run": (OUT.decode(), "start", json.dumps(START).encode()),
    "deep": (RUN.decode(), "start", b'{"config": ' + b"[" * 100_000),
    "a name that is none": (RUN.decode(), "start", json.dumps({**START, "name": {}}).encode()),
    "numbers for params": (
        RUN.decode(),
        "start",
        json.dumps({**START, "params": {"a": 1}}).encode(),
    ),
    "columns": (RUN.decode(), "start", json.dumps({**START, "columns": [{"name": 1}]}).encode()),
    "a column too large": (
        *(RUN.decode(), "start"),
        json.dumps(
            {**START, "columns": [{**vars(number("w", "loss")), "shape": [2**40]}]}
        ).encode(),
    ),
    "objects": (
        RUN.decode(),
        "start",
        json.dumps({**START, "columns": [vars(number("w", "loss")) | {"dtype": "O"}]}).encode(),
    ),
    "rows": (RUN.decode(), "rows", b"\x93NUMPY"),
    "unknown": (RUN.decode(), "start", json.dumps({**START, "more": 1}).encode()),
}


@pytest.mark.parametrize("record", MALFORMED)
def test_a_journal_that_is_malformed_stops_nothing(record, journal, tmp_path):
    """What is before it is shown; what is not there is said, in a line."""
    journal(CONFIG, [MALFORMED[record]])
    assert reported("theirs")[0] == 0
    assert command("show", "theirs")[0] == 0
    assert command("show", "nobody")[0] == 1
    command("publish", "--status")
    status, printed = command("resume", "theirs")
    assert status == 1
    assert_nothing_done(tmp_path, printed)
