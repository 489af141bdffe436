"""What was kept before the package had rooms is read, published and resumed: names are data.

`tests/data/before_rooms.tar.gz` holds four folders, each with the `mlruns` of one command: `alone`,
a network with measures and checkpoints; `swept`, a stack with checkpoints; `store`, an objective
and a sweep, published; `pending`, a run whose server was not there.
"""

import sqlite3
import sys
import tarfile
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import get_object
from mlflow import MlflowClient

import runner
from runner.base import moved, project
from runner.cli import publish, resume, show
from tests.support.commands import entered

DATA = Path(__file__).resolve().parents[1] / "data" / "before_rooms.tar.gz"

SHIPPED = {
    "runner.dataset": "blobs chebyshev csv digits least_squares linear moons npz parquet points "
    "polynomial separable",
    "runner.measure": "angle batch_sharpness cosine distance excess_loss gradient_noise "
    "learning_rate parameter_norm preconditioned_sharpness sharpness trace update_norm",
    "runner.mlp": "mlp",
    "runner.model": "Scalar polynomial",
    "runner.objective": "ackley beale himmelblau quadratic rastrigin rosenbrock saddle "
    "styblinski_tang",
    "runner.optimizer": "descent adam adamw adagrad rmsprop sgd",
    "runner.schedule": "constant range_test",
    "runner.study.adam_fails": "mean_prediction",
    "runner.study.implicit_bias": "logistic signed",
}
"""Every target that a config of ours has ever named."""


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Go to one of the folders."""
    with tarfile.open(DATA) as archive:
        archive.extractall(tmp_path, filter="data")

    def enter(name):
        monkeypatch.chdir(tmp_path / name)
        project.forget()

    return enter


@pytest.mark.parametrize("module", SHIPPED)
def test_every_target_that_was_shipped_is_there(module):
    for name in SHIPPED[module].split():
        assert callable(get_object(f"{module}.{name}")), name


@pytest.mark.parametrize("old", moved.MOVED)
def test_an_old_name_is_the_module_itself(old):
    """Imported once, and started by `python -m` as before."""
    new = import_module(moved.MOVED[old])
    assert import_module(old) is new
    assert new.__spec__.name == new.__name__ == moved.MOVED[old]
    if new.__file__.endswith("__init__.py"):
        return
    sys.modules.pop(old)
    loader = find_spec(old).loader
    assert loader.get_code(old).co_filename == new.__file__


def test_a_run_is_read_and_resumed(kept):
    """From its checkpoint, to further epochs; its first rows stay as they were."""
    kept("alone")
    run = runner.load("latest")
    before = run.trajectory
    assert (run.outcome, run.params["model._target_"]) == ("exhausted", "runner.mlp.mlp")
    assert {"loss", "update_norm", "sharpness"} <= {*before.columns}
    status, _, err = entered(resume.main, "latest", "epochs=20")
    assert (status, err) == (0, ""), err
    after = runner.load("latest").trajectory
    assert (len(before), len(after)) == (13, 21)
    np.testing.assert_array_equal(after.loss[: len(before)], before.loss)


def test_a_sweep_is_read_and_resumed(kept):
    """Cut off after step 8, as by a kill: the rest is computed again from the checkpoint there."""
    kept("swept")
    status, out, err = entered(show.main)
    assert (status, err) == (0, "")
    assert "4 exhausted" in out
    before = {run.name: run.trajectory for run in runner.load("latest")}
    assert [len(rows) for rows in before.values()] == [13] * 4
    [journal] = Path("mlruns/journal").glob("*.db")
    with closing(sqlite3.connect(journal)) as database, database:
        # It has five starts, and of each of the four cells two chunks of rows up to step 8.
        database.execute("DELETE FROM record WHERE id > 13")
    for checkpoint in Path("mlruns/journal/checkpoints").glob("*/*12"):
        checkpoint.unlink()
    status, out, err = entered(resume.main)
    assert (status, err) == (0, ""), err
    assert "4 cell(s), after step 8" in out
    for run in runner.load("latest"):
        assert run.outcome == "exhausted"
        np.testing.assert_allclose(run.trajectory.loss, before[run.name].loss, rtol=1e-5)


def test_what_was_pending_is_published(kept, tmp_path):
    kept("pending")
    uri = f"sqlite:///{tmp_path}/new.db"
    status, _, err = entered(publish.main, "--uri", uri)
    assert (status, err) == (0, ""), err
    client = MlflowClient(uri)
    [experiment] = client.search_experiments(filter_string="name = 'gradient descent'")
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.params["dataset"]) == ("FINISHED", "plane")
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 6


def test_a_store_is_read_and_reported(kept):
    """From MLflow alone, which has the configs' old names."""
    kept("store")
    uri = "sqlite:///mlruns/mlflow.db"
    sweep = runner.load("latest", uri)
    assert [run.params["lr"] for run in sweep] == ["0.01", "0.1"]
    assert sweep.report().is_file()
    [run] = [
        run
        for run in MlflowClient(uri).search_runs(["1"])
        if run.data.params.get("objective") == "himmelblau"
    ]
    assert len(runner.load(run.info.run_id, uri).trajectory) == 9
