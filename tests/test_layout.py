"""The floors of the house: which module may import which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parents[1] / "runner"
PARTS = {"dataset", "model", "loss", "optimizer", "device"}


def imported(path):
    """Every module that a file imports, at its top or anywhere else."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floors(name, path):
    """Prefixes that the module `name` must not import."""
    if name.split(".")[0] != "tracking":
        yield "mlflow"
    if not name.startswith("report."):
        yield from ("bokeh", "matplotlib", "jinja2")
    if name in PARTS:
        yield from ("hydra", "omegaconf", "runner")
    if name.startswith("program."):
        yield from ("hydra", "omegaconf", "runner.drive", "runner.experiment", "runner.tracking")
        yield from (
            "runner.console",
            "runner.trajectory",
            "runner.recorder",
            "runner.config",
            "runner.build",
        )


@pytest.mark.parametrize("path", sorted(RUNNER.rglob("*.py")), ids=lambda p: p.stem)
def test_imports_point_down(path):
    """Loops know no configuration, parts know nothing of us, only tracking knows MLflow."""
    name = ".".join(path.relative_to(RUNNER).with_suffix("").parts)
    for module in imported(path):
        for floor in floors(name, path):
            assert not f"{module}.".startswith(f"{floor}."), f"{name}: {module}"


def test_every_floor_is_stood_on():
    """The floors name modules that exist, so that a renamed one cannot slip through."""
    there = {p.stem for p in RUNNER.glob("*.py")} | {p.name for p in RUNNER.iterdir() if p.is_dir()}
    named = {"drive", "experiment", "tracking", "console", "trajectory", "config", "build"}
    assert PARTS | named <= there
    for room, *heavy in (("tracking", "mlflow"), ("report", "bokeh", "matplotlib", "jinja2")):
        found = {m.split(".")[0] for p in RUNNER.glob(f"{room}/*.py") for m in imported(p)}
        assert found.issuperset(heavy)


@pytest.mark.parametrize(
    ("gradient", "found"), [("by_hand", "[]"), ("autograd", "['torch']")], ids=str
)
def test_a_run_imports_what_it_needs(gradient, found, tmp_path, environment):
    """No torch with NumPy, never mlflow, nor the compiler of PyTorch: asked after a whole run."""
    program = (
        "import runpy, sys\n"
        "runpy.run_module('runner', run_name='__main__', alter_sys=True)\n"
        "heavy = 'torch', 'torch._dynamo', 'mlflow', 'sqlalchemy', 'pandas'\n"
        "heavy += 'bokeh', 'matplotlib'\n"
        "sys.stderr.write(str([name for name in heavy if name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "epochs=2", "optimizer=adam", f"gradient={gradient}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == found
