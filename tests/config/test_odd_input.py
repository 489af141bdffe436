"""Reports and publishing on input that nobody expects: one message, and no traceback."""

import io
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest

from runner.base import console
from runner.cli.report import main as report
from runner.cli.show import main as show
from runner.record.journal import End, Journal, Start
from runner.tracking.files import Files
from runner.tracking.publisher import Publisher
from tests.support.commands import entered
from tests.support.rows import row_type
from tests.support.waiting import wait_for

reported = partial(entered, report)


# --- Runs that are not ours, or not whole ---


def foreign(client, experiment, metrics=(), files=(), name="theirs", **tags):
    """A run that a stock client has made, with tags as ours have."""
    run = client.create_run(experiment, run_name=name, tags=tags).info.run_id
    for key, step, value in metrics:
        client.log_metric(run, key, value, step=step)
    for file, text in files:
        client.log_text(run, text, file)
    client.set_terminated(run)
    return run


FOREIGN = {
    "nothing": {},
    "a loss alone": {"metrics": [("loss", step, 1 / step) for step in (1, 2, 5)]},
    "other parameters": {"metrics": [("loss", 3, 1.0), ("w.1", 3, 2.0), ("accuracy", -1, 0.5)]},
    "odd numbers": {"metrics": [("epochs_run", 0, float("nan")), ("final_loss", 0, float("inf"))]},
    "epochs without rows": {"metrics": [("epochs_run", 0, 7.0), ("final_loss", 0, 1.0)]},
    "our tags": {"plan": "a", "cells": "many", "cell": "x", "journal": "no id", "outcome": "odd"},
    "a table of cells": {"plan": "a", "cells": "1", "files": [("cells.csv", "run,name\n1\n,,,\n")]},
    "no table": {"plan": "a", "cells": "1", "files": [("cells.csv", '"\0')]},
    "no trajectory": {"files": [("trajectory.parquet", "text"), ("config.yaml", "- [")]},
    "escapes": {"name": "\033[2J\a", "outcome": "failed", "reason": "a\033]0;b\a"},
}

PARAMS = {
    "none": {},
    "a text for a group": {"dataset": "mine", "model": "big", "loss": "x", "dtype": "float32"},
    "half of a config": {"loss._target_": "torch.nn.MSELoss", "optimizer": "sgd", "lr": "fast"},
    "a value and a group": {"a": "1", "a.b": "2", "a.b.c": "3", "tolerance": "small"},
    "names of columns": {"name": "x", "run": "y", "epochs": "z", "seconds": "1"},
}


@pytest.mark.parametrize("params", PARAMS)
def test_runs_that_a_stock_client_made(params, tmp_path, empty_store, monkeypatch):
    """With our tags or without: told as far as they tell, each alone and all together."""
    from mlflow import MlflowClient

    uri = empty_store(tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    client = MlflowClient(uri)
    experiment = client.create_experiment("theirs", (tmp_path / "files").as_uri())
    runs = [foreign(client, experiment, **how) for how in FOREIGN.values()]
    for number, run in enumerate(runs):
        for key, value in PARAMS[params].items():
            client.log_param(run, key, f"{value}{number if number % 2 else ''}")
    alone = [[run] for run in runs] if params in ("none", "half of a config") else []
    for words in (*alone, runs, ["latest"]):
        status, out, _ = reported(*words, "--uri", uri, "--html", "page.html", "--csv", "runs.csv")
        assert status == 0
        assert "\033" not in out
        head = (tmp_path / "runs.csv").read_text().splitlines()[0].split(",")
        assert len(set(head)) == len(head)


CURVES = {
    "not a number": [float("nan")] * 3,
    "infinite": [float("inf")] * 3,
    "some": [1, float("nan"), float("inf"), 2, float("-inf"), 0.5],
    "large": [1e308, -1e308, 1],
    "one": [1.0],
    "the same": [1e300] * 3,
    "below zero": [-1, -2, -3, -4, -5],
}


def test_a_screen_about_runs_that_a_stock_client_made(tmp_path, empty_store, monkeypatch):
    """Whatever their loss, in a terminal of any width, and with tags that are not ours."""
    from mlflow import MlflowClient

    uri = empty_store(tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    client = MlflowClient(uri)
    experiment = client.create_experiment("theirs", (tmp_path / "files").as_uri())
    tags = {"measures": "no JSON", "importance": "{", "columns": "["}
    runs = {
        name: foreign(
            client, experiment, [("loss", at - 1, loss) for at, loss in enumerate(losses)], **tags
        )
        for name, losses in CURVES.items()
    }
    for name, run in runs.items():
        for columns in ("100", "34", "33", "24", "1"):
            monkeypatch.setenv("COLUMNS", columns)
            status, out, _ = entered(show, run, "--uri", uri)
            assert status == 0
            assert run in out
        wide = name in ("some", "below zero")
        monkeypatch.setenv("COLUMNS", "100")
        assert ("(epoch)" in entered(show, run, "--uri", uri)[1]) >= wide


def a_journal(folder, name="r", rows=3, experiment="e", **start):
    """A journal with a run of so many rows in it."""
    journal = Journal(folder / "mlruns" / "journal" / f"{name}.db")
    run = journal.begin(Start(name, "", experiment, tensors={"w": ()}, **start))
    made = np.zeros(rows, row_type(1, np.float32))
    made["step"] = np.arange(rows)
    if rows:
        journal.record(run, made)
    journal.end(run, End("failed", {"epochs_run": 5.0}, {"outcome": "failed"}, "no\033[1m"))
    journal.close()
    return run


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_runs_with_few_rows(rows, tmp_path, monkeypatch):
    """None, the start alone, one step."""
    monkeypatch.chdir(tmp_path)
    a_journal(tmp_path, rows=rows)
    status, out, _ = reported("latest")
    assert status == 0
    assert (tmp_path / out.split()[-1]).exists()


WRONG = {
    # what is typed: what is said
    ("latest", "--csv", "/nowhere/at/all.csv"): "/nowhere/at/all.csv: cannot be written: No such",
    ("latest", "--csv", "folder"): "folder: cannot be written: Is a directory",
    ("latest", "--html", "file/page.html"): "file: cannot be written: ",
    ("latest", "--html", "folder"): "folder: cannot be written: Is a directory",
    ("",): "an empty word names no run",
    ("nobody",): "nobody: no such run, by id or by name",
    ("no\033[2Jbody",): r"no\x1b[2Jbody: no such run",
}


@pytest.mark.parametrize("typed", WRONG, ids=ascii)
def test_wrong_input_of_a_report(typed, tmp_path, monkeypatch):
    """One message, and a status that says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    a_journal(tmp_path)
    status, _, err = reported(*typed)
    assert status == 1
    assert WRONG[typed] in err
    assert len(err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file", "mlruns"}


# --- Publishing goes past what is refused ---


def test_what_can_never_be_published_stops_nothing(tmp_path, empty_store, monkeypatch, store):
    """An experiment's name that is no text, one too long, a journal that cannot be read now."""
    uri = empty_store(tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    for name, experiment in (("0", "caf\udce9"), ("1", "good"), ("2", "x" * 600), ("4", "good")):
        a_journal(tmp_path, name, experiment=experiment)
    unreadable = tmp_path / "mlruns" / "journal" / "3.db"
    unreadable.mkdir()
    monkeypatch.setattr("runner.tracking.waiting.PATIENCE_SECONDS", 0.0)
    ended = threading.Event()
    ended.set()
    publisher = Publisher(tmp_path / "mlruns" / "journal", uri, Files(), keep=True, ended=ended)
    report = publisher.recover(everything=True)
    _, runs = store(tmp_path, experiment="good")
    assert sorted(run.info.run_name for run in runs) == ["1", "4"]
    for why in ("cannot be published", "cannot be read now"):
        assert why in report.why
    left = sorted(path.stem for path in (tmp_path / "mlruns" / "journal").glob("*.db"))
    assert left == ["0", "2", "3"]


@pytest.mark.parametrize("folder", ["", "nowhere", "file"])
def test_a_folder_to_publish_from_that_is_none(folder, tmp_path, environment):
    """Said as any wrong argument is."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "runner.publish", folder],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("is no folder")
    assert "Traceback" not in done.stderr


# --- What is printed ---

SHOWN = {
    "größe 🚀\ttab": "größe 🚀\ttab",
    "\033[2J\033]0;title\a": r"\x1b[2J\x1b]0;title\x07",
    "\r\b\x9b1m": r"\r\x08\x9b1m",
    "caf\udce9": r"caf\udce9",
    "\u202egpj.exe": r"\u202egpj.exe",
}


@pytest.mark.parametrize("text", SHOWN, ids=ascii)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text_is_printed_and_obeyed_by_nobody(text, encoding, monkeypatch):
    """Control characters, halves of characters, and what the stream's encoding lacks, escaped."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    console.say(text)
    printed = stream.buffer.getvalue().decode(encoding)
    assert printed == SHOWN[text].encode(encoding, "backslashreplace").decode(encoding) + "\n"


@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C"}, pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow)],
    ids=str,
)
def test_names_that_are_not_ascii(variables, tmp_path, runner, environment):
    """Wherever they are printed, the run and what shows it end well."""
    name = "tracking.experiment='größe 🚀'"
    runner(tmp_path, "-m", "gradient=by_hand", "lr=0.1,0.2", name, "tracking=off", **variables)
    for module, *typed in (("report", "latest"), ("publish", "--status")):
        done = subprocess.run(
            [sys.executable, "-m", f"runner.{module}", *typed],
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["runner", "runner.report", "runner.publish"])
def test_help_for_somebody_who_reads_no_further(module, tmp_path, environment):
    """The reader is gone before anything is printed."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_all_data_are_zero(tmp_path, runner, environment):
    """The promised page comes: there is no stability edge, and every point is a minimum."""
    runner(tmp_path, "-m", "dataset.x=[0,0,0,0]", "lr=0.1,0.2", "gradient=by_hand", "tracking=off")
    done = subprocess.run(
        [sys.executable, "-m", "runner.report", "latest", "--html", "page.html"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "rank 0 for 1 parameters" in done.stdout
    assert "stability edge" not in (tmp_path / "page.html").read_text()


# --- Ctrl-C, warnings, and what nobody has foreseen ---

COMMANDS = [
    *("runner", "runner.show", "runner.ui", "runner.publish", "runner.resume"),
    *("runner.report", "runner.study"),
]


@pytest.mark.parametrize("module", COMMANDS)
def test_ctrl_c_while_a_command_loads(module, tmp_path, environment):
    """Nothing has begun, so nothing is said; the status is that of any other Ctrl-C."""
    (tmp_path / "numpy").mkdir()
    slow = "import pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(60)\n"
    (tmp_path / "numpy" / "__init__.py").write_text(slow)
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: exec(script, {}),  # where a script has had it ignored
    )
    loading = tmp_path / "loading"
    assert wait_for(loading.exists, process, lambda: "it has not begun to load")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def interrupted():
    """Has Ctrl-C come amid something that makes another error of it."""
    try:
        raise KeyboardInterrupt
    finally:
        raise ImportError("an import that was interrupted")


def unforeseen():
    raise KeyError("_target_")


ENDS = {
    interrupted: (130, ""),
    unforeseen: (1, "KeyError: '_target_'\nSet HYDRA_FULL_ERROR=1 to see where.\n"),
}


@pytest.mark.parametrize("main", ENDS)
def test_whatever_a_command_raises_is_one_message(main):
    status, _, err = entered(main)
    assert (status, err) == ENDS[main]


def test_a_plugin_of_hydras_that_is_broken(tmp_path, runner, environment):
    """One message that names its file."""
    plugin = tmp_path / "plugins" / "hydra_plugins" / "broken" / "__init__.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("raise RuntimeError('on purpose')\n")
    path = os.pathsep.join([str(tmp_path / "plugins"), environment["PYTHONPATH"]])
    done = runner(tmp_path, "tracking=off", status=1, PYTHONPATH=path)
    assert f"{plugin}: a plugin of Hydra's that cannot be imported: RuntimeError" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed", ["gradient=by_hand", "model=linear", "-m lr=0.1,0.2 sweep.workers=2 optimizer=lbfgs"]
)
def test_nothing_warns(typed, tmp_path, runner, environment):
    """With Python's development mode and every warning an error, in the publisher as well."""
    strict = {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}
    done = runner(tmp_path, *typed.split(), "epochs=3", **strict)
    assert done.stderr == ""
    assert "kept " not in done.stdout
    for words in (["show"], ["report", "latest"], ["show", "--uri", "sqlite:///mlruns/mlflow.db"]):
        shown = subprocess.run(
            [sys.executable, "-m", f"runner.{words[0]}", *words[1:]],
            cwd=tmp_path,
            env={**environment, **strict},
            capture_output=True,
            text=True,
        )
        assert (shown.returncode, shown.stderr) == (0, "")
