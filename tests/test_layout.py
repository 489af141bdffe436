"""The floors of the house: which module may import which."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNNER = Path(__file__).resolve().parents[1] / "runner"
PARTS = {"dataset", "model", "loss", "optimizer", "device"}
FOUNDATIONS = {"dataset", "project", "rows", "start"}
"""What of us a part may stand on."""


def imported(path):
    """Every module that a file imports, at its top or anywhere else."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(path):
    """`cells.plan` for `runner/sweeps/plan.py`, `cells` for the package itself."""
    return ".".join(path.relative_to(RUNNER).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in RUNNER.rglob("*.py") if path != RUNNER / "__init__.py"}
ALOFT = {"tracking", "report"}
BELOW_NONE = {"cells", "executor", "drive", "api", "command", "publish", "follow", "show", "ui"}
"""What neither of these two may stand on."""


def rooms():
    """Of each package, and each module that is in none, what it imports of the others.

    A package's `__main__` is a command, and a room of its own.
    """
    found = {}
    for name, path in MODULES.items():
        of = name if name.endswith("__main__") else name.partition(".")[0]
        own = found.setdefault(of, set())
        for imported_name in imported(path):
            inner = imported_name.removeprefix("runner.")
            if inner != imported_name and (there := inner.partition(".")[0]) != of:
                own |= {there} & {module.partition(".")[0] for module in MODULES}
    return found


def test_packages_depend_in_one_direction():
    """There is an order in which each stands on those before it."""
    assert [*TopologicalSorter(rooms()).static_order()]


def test_tracking_and_report_stand_beside_one_another():
    """On the journal and on what a run is; not on each other, a sweep's cells or the commands."""
    stands_on = rooms()
    for room in ALOFT:
        seen, waiting = set(), [room]
        while waiting:
            new = stands_on.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        assert seen.isdisjoint(BELOW_NONE | ALOFT), room
        assert {"journal", "recorded"} <= seen


def test_the_packages_are_drawn_as_they_are():
    """The picture in docs/inside.md has an arrow for each package that imports another."""
    picture = (ROOT / "docs/inside.md").read_text().split("```mermaid")[2].split("```")[0]
    drawn = set(re.findall(r"(\w+) --> (\w+)", picture))
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    packages |= {path.parent.name for path in RUNNER.glob("*/*.py")}
    found = {(a, b) for a, own in rooms().items() for b in own if {a, b} <= packages}
    assert drawn == found


OF_THE_PROCESS = {"api": {"_one_at_a_time"}, "tracking.background": {"_publishers", "_leaving"}}
"""What is one for a whole process that calls `runner.run`: its lock, and its publishers."""


@pytest.mark.parametrize("name", MODULES)
def test_no_module_keeps_what_changes(name):
    """Nothing empty that would be filled, and no name that a function sets anew."""
    tree = ast.parse(MODULES[name].read_text())
    found = {word for node in ast.walk(tree) if isinstance(node, ast.Global) for word in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_empty(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets}
    assert found == OF_THE_PROCESS.get(name, set())


def _is_empty(value):
    """Whether it is written as an empty list or dictionary."""
    parts = {ast.List: "elts", ast.Dict: "keys"}
    return type(value) in parts and not getattr(value, parts[type(value)])


def test_every_file_is_short():
    """A file holds one idea."""
    assert {
        name for name, path in MODULES.items() if len(path.read_text().splitlines()) > 300
    } == set()


def floors(name, path):
    """Prefixes that the module `name` must not import."""
    if name.split(".")[0] != "tracking":
        yield "mlflow"
    if not name.startswith("report."):
        yield from ("bokeh", "matplotlib", "jinja2")
    if name.partition(".")[0] in PARTS:
        rooms = {module.partition(".")[0] for module in MODULES} - FOUNDATIONS
        yield from ("hydra", "omegaconf", *(f"runner.{room}" for room in sorted(rooms)))
    if name.startswith("program."):
        yield from (
            "hydra",
            "omegaconf",
            "runner.engine.drive",
            "runner.engine.experiment",
            "runner.tracking",
        )
        yield from (
            "runner.base.console",
            "runner.record.trajectory",
            "runner.engine.recorder",
            "runner.config.schema",
            "runner.config.build",
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
    named = {
        "drive",
        "experiment",
        "tracking",
        "console",
        "recorded",
        "recorder",
        "config",
        "build",
    }
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
