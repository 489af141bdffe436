"""The notebook in examples/, executed in a fresh kernel; and the project there, as a user's own."""

import json
import os
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
TABLES = json.loads((ROOT / "tests/engine/notebook.json").read_text())
LOOPS = ("numpy", "autograd", "optimizer", "module")


@pytest.mark.slow
def test_the_notebook_executes(tmp_path, environment, monkeypatch):
    """Its four tables are those of the notebook that it repeats, to every printed digit."""
    import nbformat
    from nbclient import NotebookClient

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=PATIENCE, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "Traceback" not in printed
    before = re.findall(r"Prediction before training: f\(5\) = (.*)", printed)
    after = re.findall(r"Prediction after training: f\(5\) = (.*)", printed)
    assert before == [TABLES[loop]["before"] for loop in LOOPS]
    assert after == [TABLES[loop]["after"] for loop in LOOPS]
    rows = re.findall(r"epoch (\d+): w = (\S+), loss = (\S+)", printed)
    assert [[int(epoch), w, loss] for epoch, w, loss in rows] == [
        row for loop in LOOPS for row in TABLES[loop]["rows"]
    ]
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) == 2  # the two plots
    pages = [data["text/html"] for data in shown if "<iframe" in data.get("text/html", "")]
    assert "sweep of 80 cells over optimizer, lr" in pages[0]
    assert "see it" in printed


@pytest.mark.slow
def test_an_interrupted_cell_keeps_its_run(tmp_path, environment):
    """As *interrupt* in a notebook does it: a real kernel gets a real signal."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(tmp_path), env=environment)

    def execute(code, after=None):
        """What the cell prints, and the name of what it raises."""
        said, running = [], client.execute(code)
        while True:
            message = client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != running:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                said.append(content["text"])
                if after and after in content["text"]:
                    manager.interrupt_kernel()
            elif kind == "error":
                said.append(content["ename"])
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(said)

    try:
        long = "'gradient=by_hand', 'tracking=off', epochs=10**8, tolerance=0"
        printing = f"import runner; runner.run({long}, print_every=1000, verbose=True)"
        assert execute(printing, after="epoch 5001:").endswith("KeyboardInterrupt")
        again = execute(
            "run = runner.load('latest'); print(run.outcome, len(run.trajectory) > 5000)"
        )
        assert again == "interrupted True\n"
        assert execute("print(runner.run('tracking=off', lr=0.1).outcome)") == "converged\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_notebook_is_stored_without_outputs():
    """What it shows is what it shows today."""
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])


PARTS = ["dataset=mine", "model=mine", "loss=mine", "optimizer=mine", "lr=0.01"]
BY_HAND = ["dataset=mine", "model=linear", "gradient=by_hand", "optimizer=sign", "lr=0.01"]


@pytest.fixture
def project(tmp_path):
    """A repository of somebody's own, with one commit; its folder and that."""
    folder = shutil.copytree(ROOT / "examples" / "project", tmp_path / "project")

    def git(*words):
        told = {"GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@example.org"}
        told |= {"GIT_COMMITTER_NAME": "me", "GIT_COMMITTER_EMAIL": "me@example.org"}
        command = ["git", "-C", str(folder), *words]
        run = subprocess.run(command, env={**os.environ, **told}, check=True, capture_output=True)
        return run.stdout.decode().strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "mine")
    return folder, git("rev-parse", "HEAD")


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("words", "loop"), [(PARTS, "module"), (BY_HAND, "numpy")])
def test_a_project_of_ones_own(words, loop, project, runner, store):
    """Its parts, its measure, and the commit of its code, without a change to this one's."""
    folder, commit = project
    runner(folder, "--config-dir", "conf", *words)
    client, [run] = store(folder)
    assert run.info.status == "FINISHED"
    assert run.data.tags["loop"] == loop
    assert run.data.tags["mlflow.source.git.commit"] == commit
    assert run.data.tags["version.runner"] == metadata.version("gradient-descent-runner")
    assert run.data.tags["git_commit"] == commit
    assert ("steepest" in run.data.metrics) == (loop == "module")  # its model makes it known
    metric = "steepest" if loop == "module" else "loss"
    assert len(client.get_metric_history(run.info.run_id, metric)) == 100
    assert run.data.params["optimizer"] == words[3].partition("=")[2]


@pytest.mark.slow
def test_a_rule_of_ones_own_is_what_it_says(project, runner, store):
    """By hand in both loops that update by hand: each step is lr long."""
    folder, _ = project
    for gradient in ("by_hand", "autograd"):
        words = ["dataset=mine", "model=scalar", "optimizer=sign", "lr=0.01", "epochs=30"]
        runner(folder, "--config-dir", "conf", *words, f"gradient={gradient}")
    client, runs = store(folder)
    assert {run.data.tags["loop"] for run in runs} == {"numpy", "autograd"}
    for run in runs:
        w = [point.value for point in client.get_metric_history(run.info.run_id, "w")]
        np.testing.assert_allclose(np.abs(np.diff(w)), 0.01, rtol=1e-3)
