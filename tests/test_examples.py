"""The notebook in examples/, executed in a fresh kernel."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TABLES = json.loads((ROOT / "tests" / "notebook.json").read_text())
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
    NotebookClient(notebook, timeout=300, resources=resources).execute()
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


def test_the_notebook_is_stored_without_outputs():
    """What it shows is what it shows today."""
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])
