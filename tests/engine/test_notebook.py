"""The notebook's four printed tables, every digit, from standard output and from MLflow."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOK = json.loads((Path(__file__).parent / "notebook.json").read_text())
LOOPS = ("numpy", "autograd", "optimizer", "module")


@pytest.fixture(scope="module", params=LOOPS)
def table(request, tmp_path_factory, runner, store):
    """The notebook's table, what the command printed, and the run that it left."""
    folder = tmp_path_factory.mktemp(request.param)
    printed = runner(folder, f"experiment={request.param}").stdout
    client, [run] = store(folder)
    return NOTEBOOK[request.param], printed, client, run


def test_lines_are_the_notebooks(table):
    """Every line that the notebook printed, letter for letter."""
    golden, printed, _, _ = table
    lines = re.findall(r"epoch .*", printed)
    assert lines == [f"epoch {e}: w = {w}, loss = {loss}" for e, w, loss in golden["rows"]]
    assert f"Prediction before training: f(5) = {golden['before']}\n" in printed
    assert f"Prediction after training: f(5) = {golden['after']}\n" in printed


def test_mlflow_holds_the_same_figures(table):
    """The points that stock MLflow reads back, rounded as the notebook prints them."""
    golden, _, client, run = table
    w = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "w")}
    loss = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "loss")}
    for epoch, printed_w, printed_loss in golden["rows"]:
        digits = len(printed_w.split(".")[1])
        assert f"{w[epoch]:.{digits}f}" == printed_w
        assert f"{loss[epoch]:.8f}" == printed_loss
    assert f"{run.data.metrics['prediction_before']:.3f}" == golden["before"]
    assert f"{run.data.metrics['prediction_after']:.3f}" == golden["after"]


def test_as_many_updates(table):
    """Training stops where the notebook's code stops, and every update is there."""
    golden, printed, client, run = table
    epochs = golden["epochs"]
    assert re.search(rf"^epochs +{epochs}$", printed, re.M)
    assert run.data.metrics["epochs_run"] == epochs
    steps = {
        key: [m.step for m in client.get_metric_history(run.info.run_id, key)]
        for key in ("loss", "grad_norm", "w")
    }
    assert steps["loss"] == steps["grad_norm"] == list(range(1, epochs + 1))
    assert steps["w"] == list(range(epochs + 1))


def test_the_loop_follows_from_the_parts(table):
    """Each experiment runs the loop after which it is named."""
    golden, printed, _, run = table
    name = next(name for name, value in NOTEBOOK.items() if value is golden)
    assert re.search(rf"^loop +{name}$", printed, re.M)
    assert run.data.tags["loop"] == name
