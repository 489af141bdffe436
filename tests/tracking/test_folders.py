"""Journals, store, artifacts and pages stay in the folder where the command was started."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from runner.base.uri import recorded
from runner.tracking import moved
from runner.tracking.files import Files
from runner.tracking.publisher import Publisher
from tests.conftest import ROOT
from tests.tracking.test_store import write_journal

QUICK = ["gradient=by_hand", "epochs=3"]

WANDERING = """
import os

def elsewhere():
    os.chdir("/")
    return [1.0, 2.0, 3.0], [2.0, 4.0, 6.0]
"""

NOWHERE = ["dataset._target_=wandering.elsewhere", "~dataset.x", "~dataset.y", "~dataset.probe"]

CHANGES = {
    "a run's folder": ["hydra.job.chdir=true", "hydra.run.dir=out", "hydra.output_subdir=null"],
    "a run's own part": NOWHERE,
    "a sweep's own part": ["-m", "lr=0.1,0.2", *NOWHERE],
    "lone cells": ["-m", "lr=0.1,0.2", "sweep.stack=false", *NOWHERE],
    "a pool": ["-m", "lr=0.1,0.2", "sweep.stack=false", "sweep.workers=2", *NOWHERE],
    "a job's folder": ["-m", "lr=0.1,0.2", "hydra/launcher=basic", "hydra.job.chdir=true"],
    "a job's own part": ["-m", "lr=0.1,0.2", "hydra/launcher=basic", *NOWHERE],
}


SOON = ("a run's folder", "a sweep's own part")


@pytest.mark.parametrize(
    "change",
    [one if one in SOON else pytest.param(one, marks=pytest.mark.slow) for one in CHANGES],
)
def test_the_folder_changes_while_a_run_goes_on(change, tmp_path, environment, runner, store):
    """By Hydra or by a part: all is published, below the folder where the command was started."""
    (tmp_path / "wandering.py").write_text(WANDERING)
    typed = CHANGES[change]
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    done = runner(tmp_path, *typed, *QUICK, PYTHONPATH=path)
    assert "see it      " in done.stdout
    assert done.stdout.rstrip().endswith("-m runner.ui")
    client, runs = store(tmp_path)
    assert len([run for run in runs if "lr" in run.data.params]) == (2 if "-m" in typed else 1)
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert client.list_artifacts(run.info.run_id)
        assert run.info.artifact_uri.startswith((tmp_path / "mlruns" / "artifacts").as_uri())
    assert list((tmp_path / "mlruns" / "journal" / "published").glob("*.db"))
    assert list(tmp_path.rglob("mlruns")) == [tmp_path / "mlruns"]
    assert not list(tmp_path.rglob("multirun.yaml"))


# --- A folder that was moved ---


def command(folder, environment, module, *typed):
    """What a command prints there."""
    words = [sys.executable, "-m", module, *typed]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_moved_project_goes_on_where_it_is(tmp_path, environment, runner, store):
    """New artifacts come below it, earlier ones are found: by stock MLflow and by a report.

    What was not published before is meant for the same store.
    """
    old, new = tmp_path / "project", tmp_path / "it's now 100% #2"
    old.mkdir()
    runner(old, *QUICK, "lr=0.1")
    write_journal(old / "mlruns" / "journal" / "0.db", "sqlite:///mlruns/mlflow.db", 100, 1, "left")
    shutil.move(old, new)
    shutil.move(new / "mlruns" / "journal" / "published", tmp_path)
    there = command(new, environment, "runner.report", "lr=0.1 epochs=3 gradient=by_hand")
    assert len(there.splitlines()[1].split()) == 10  # with what only the trajectory tells
    runner(new, *QUICK, "lr=0.2")
    assert "everything" in command(new, environment, "runner.publish", "--status")
    client, runs = store(new)
    left = store(new, experiment="left")[1]
    assert (len(runs), len(left)) == (2, 7)
    for run in [*runs, *left]:
        assert Path(client.download_artifacts(run.info.run_id, "config.yaml")).is_file()
        assert run.info.artifact_uri.startswith((new / "mlruns" / "artifacts").as_uri())
    assert not old.exists()


def test_a_store_in_the_project_is_recorded_without_its_folder(tmp_path, monkeypatch):
    """However it is given, so that a journal is for the same store after a move."""
    monkeypatch.chdir(tmp_path)
    assert recorded(f"sqlite:///{tmp_path}/mlruns/mlflow.db") == "sqlite:///mlruns/mlflow.db"
    for uri in ("sqlite:///mlruns/mlflow.db", f"sqlite:///{tmp_path}er/a.db", "http://host:1/a"):
        assert recorded(uri) == uri
    assert recorded("http://me:hush@host") == "http://host"


RUNS = ("first", "second")
OURS = "mlruns/artifacts"


def a_store(folder, empty_store, locations):
    """A database in the folder's mlruns with an experiment and two runs for each location."""
    folder.mkdir(exist_ok=True)
    uri = empty_store(folder / "mlruns")
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as there, there:
        for number, location in enumerate(locations, 1):
            there.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, workspace) "
                "VALUES (?, ?, ?, 'default')",
                (number, f"e{number}", location),
            )
            there.executemany(
                "INSERT INTO runs (run_uuid, experiment_id, artifact_uri) VALUES (?, ?, ?)",
                [(f"{run}{number}", number, f"{location}/{run}{number}/artifacts") for run in RUNS],
            )
    return uri


def paths_in(folder):
    """The locations of experiments and runs, but the first experiment's."""
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as there:
        own = "SELECT artifact_location FROM experiments WHERE experiment_id ORDER BY experiment_id"
        runs = "SELECT artifact_uri FROM runs ORDER BY experiment_id, run_uuid"
        return [path for query in (own, runs) for (path,) in there.execute(query)]


CASES = {
    # what is at the old place and what here: does the experiment's path change, and each run's?
    "moved": ((), ("first1", "second1"), (True, True, True)),
    "moved, one run without a file": ((), ("first1",), (True, True, True)),
    "copied": (("first1", "second1"), ("first1", "second1"), (True, True, True)),
    "copied, and gone on there": (("first1", "second1"), ("first1",), (True, True, False)),
    "of another project": (("first1", "second1"), (), (False, False, False)),
    "of one that is away": ((), (), (False, False, False)),
}


@pytest.mark.parametrize("form", ["uri", "path"])
@pytest.mark.parametrize("case", CASES)
def test_which_paths_are_mended(case, form, tmp_path, empty_store, monkeypatch):
    """Those whose artifacts are here by now; asked again, nothing more."""
    there, here, changes = CASES[case]
    old, new = tmp_path / "a b", tmp_path / "c#d"
    for folder, runs in ((old, there), (new, here)):
        for run in runs:
            (folder / OURS / run / "artifacts").mkdir(parents=True)

    def place(folder):
        return (folder / OURS).as_uri() if form == "uri" else str(folder / OURS)

    uri = a_store(new, empty_store, [place(old)])
    monkeypatch.chdir(new)
    before = paths_in(new)
    for _ in range(2):
        moved.mend(uri)
        expected = [
            path.replace(place(old), place(new)) if changed else path
            for path, changed in zip(before, changes, strict=True)
        ]
        assert paths_in(new) == expected


@pytest.mark.parametrize("location", ["s3://bucket/mlruns/artifacts", "mlflow-artifacts:/1"])
def test_what_is_no_path_stays(location, tmp_path, empty_store, monkeypatch):
    """Whatever words it has in it."""
    (tmp_path / OURS / "first1" / "artifacts").mkdir(parents=True)
    uri = a_store(tmp_path, empty_store, [location])
    monkeypatch.chdir(tmp_path)
    before = paths_in(tmp_path)
    moved.mend(uri)
    assert paths_in(tmp_path) == before


def test_a_store_that_is_elsewhere_stays(tmp_path, empty_store, monkeypatch):
    """Although this folder has runs of the same names."""
    old, new = tmp_path / "old", tmp_path / "new"
    (new / OURS / "first1" / "artifacts").mkdir(parents=True)
    uri = a_store(tmp_path / "shared", empty_store, [(old / OURS).as_uri()])
    monkeypatch.chdir(new)
    before = paths_in(tmp_path / "shared")
    moved.mend(uri)
    assert paths_in(tmp_path / "shared") == before


# --- Names of folders ---

NAMES = ['it\'s "x" 100% %(a)s', "a%20b#c?d=e&f", "größe 🚀 a\\b", "(:a) ;$b [c]{d}"]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder(name, tmp_path, monkeypatch, store):
    """A new store, its tables and its first experiment; artifacts that stock MLflow finds."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_journal(folder / "mlruns" / "journal" / "0.db", "", 100, 1, "e")
    ended = threading.Event()
    ended.set()
    # MLflow knows a store by its URI, which as "mlruns/..." would be one for all these folders.
    uri = f"sqlite:///{os.path.relpath(folder)}/../{quote(name)}/mlruns/mlflow.db"
    publisher = Publisher(folder / "mlruns" / "journal", uri, Files(), keep=True, ended=ended)
    report = publisher.recover(everything=True)
    assert (report.why, report.published) == ("", 7)
    client, runs = store(tmp_path, uri, "e")
    for run in runs:
        assert run.info.artifact_uri.startswith((folder / "mlruns" / "artifacts").as_uri())
        assert Path(client.download_artifacts(run.info.run_id, "config.yaml")).is_file()
    [first] = [e for e in client.search_experiments() if e.name == "Default"]
    assert first.artifact_location == str(folder / "mlruns" / "0")


@pytest.mark.slow
def test_a_store_that_is_lost_is_filled_again(tmp_path, environment, runner, store):
    """From the journals that were published, by `--again`; what was deleted there stays deleted."""
    runner(tmp_path, *QUICK, "lr=0.1")
    runner(tmp_path, *QUICK, "lr=0.2")
    (tmp_path / "mlruns" / "mlflow.db").unlink()
    assert "nothing was left" in command(tmp_path, environment, "runner.publish")
    assert "2 run(s)" in command(tmp_path, environment, "runner.publish", "--again")
    client, runs = store(tmp_path)
    assert {run.data.params["lr"] for run in runs} == {"0.1", "0.2"}
    client.delete_run(runs[0].info.run_id)
    again = command(tmp_path, environment, "runner.publish", "--again")
    assert "deleted     1 run(s)" in again
    assert len(store(tmp_path)[1]) == 1
    assert len(list((tmp_path / "mlruns" / "journal" / "published").glob("*.db"))) == 2
