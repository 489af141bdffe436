"""The house: which rooms there are, which may import which, and what only one of them may use."""

import ast
import subprocess
import sys

import pytest

from docs import house
from docs.house import PARTS, ROOMS, ROOT, RUNNER, arrows, files, imported, room_of

AT_THE_ROOT = {
    *("__init__", "__main__", "api", "results", "errors"),
    *("loss", "optimizer", "schedule", "device"),
}

ONLY = {
    "mlflow": ("tracking",),
    "bokeh": ("report",),
    "matplotlib": ("report",),
    "jinja2": ("report",),
    "optuna": ("config/samplers.py", "sweeps"),
    "ray": ("sweeps",),
    "submitit": ("sweeps",),
    "sqlalchemy": ("tracking",),
    "hydra": ("config", "sweeps", "cli"),
    "argparse": ("cli",),
}
"""The rooms or files that alone may import a library."""

PROGRAMS_KNOW = ("errors", "base", "engine/program", "engine/measure", *PARTS)
"""What a loop's program may import of ours."""


def name_of(path):
    """The file within the package: `sweeps/plan.py`."""
    return path.relative_to(RUNNER).as_posix()


def ours(path):
    """Every file of the package that a file imports."""
    for name in imported(path):
        there = RUNNER.joinpath(*name.split(".")[1:]) if name.startswith("runner.") else None
        if there and there.with_suffix(".py").is_file():
            yield name_of(there.with_suffix(".py"))
        elif there and (there / "__init__.py").is_file():
            yield name_of(there / "__init__.py")


def is_in(name, rooms):
    return any(f"{name}/".startswith((f"{room}/", f"{room}.py/")) for room in rooms)


def test_the_rooms_are_those_of_the_picture():
    """Nothing lies at the root, and no package beside those, but for what is named."""
    assert {path.stem for path in RUNNER.glob("*.py")} == AT_THE_ROOT
    packages = {path.name for path in RUNNER.iterdir() if (path / "__init__.py").is_file()}
    assert packages == set(ROOMS) - AT_THE_ROOT - {"root"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room):
    """The root as well; also within functions."""
    below = set(ROOMS[: ROOMS.index(room)])
    above = {
        f"{name_of(path)} imports {name}"
        for path in files()
        if room_of(path) == room
        for name in ours(path)
        if room_of(RUNNER / name) not in below | {room}
    }
    assert not above
    assert arrows()[room] <= below


def test_every_group_of_parts_is_a_room():
    """Under its own name; but `measure`, which the engine takes, is in the engine."""
    groups = {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()}
    assert groups - {"tracking", "study", "experiment", "grid"} == {*PARTS, "measure"}
    assert (RUNNER / "engine" / "measure" / "__init__.py").is_file()


@pytest.mark.parametrize("path", [path for path in files() if room_of(path) in PARTS], ids=name_of)
def test_parts_know_no_configuration(path):
    """They are mathematics: neither Hydra nor any room of ours but errors, base and other parts."""
    assert {name.partition(".")[0] for name in imported(path)}.isdisjoint({"hydra", "omegaconf"})
    assert all(is_in(name, ("errors", "base", *PARTS)) for name in ours(path))


@pytest.mark.parametrize(
    "path", [path for path in files() if is_in(name_of(path), ["engine/program"])], ids=name_of
)
def test_programs_know_no_configuration_and_no_recording(path):
    """A loop's body is mathematics: who drives it records, stops and shows."""
    assert {name.partition(".")[0] for name in imported(path)}.isdisjoint({"hydra", "omegaconf"})
    others = {name for name in ours(path) if not is_in(name, PROGRAMS_KNOW)}
    assert others <= {"engine/__init__.py", "engine/hooked.py"}


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_used_in_its_rooms_alone(library):
    """Each of which does, so that a room that is renamed cannot slip through."""
    users = {name_of(p) for p in files() if library in {n.partition(".")[0] for n in imported(p)}}
    assert {name for name in users if not is_in(name, ONLY[library])} == set()
    for room in ONLY[library]:
        assert any(is_in(name, [room]) for name in users), room


def test_the_page_shows_the_house_as_it_is():
    """Its picture and its list are written by `python -m docs.house`."""
    assert house.page() == house.PAGE.read_text()


OF_THE_PROCESS = {
    "api.py": {"_one_at_a_time"},
    "tracking/background.py": {"_publishers", "_leaving"},
}
"""What is one for a whole process that calls `runner.run`: its lock, and its publishers."""


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_no_module_keeps_what_changes(path):
    """Nothing empty that would be filled, and no name that a function sets anew."""
    tree = ast.parse(path.read_text())
    found = {word for node in ast.walk(tree) if isinstance(node, ast.Global) for word in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_empty(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets}
    assert found == OF_THE_PROCESS.get(name_of(path), set())


def _is_empty(value):
    """Whether it is written as an empty list or dictionary."""
    parts = {ast.List: "elts", ast.Dict: "keys"}
    return type(value) in parts and not getattr(value, parts[type(value)])


@pytest.mark.parametrize(
    ("gradient", "found"), [("by_hand", "[]"), ("autograd", "['torch']")], ids=str
)
def test_a_run_imports_what_it_needs(gradient, found, tmp_path, environment):
    """No torch with NumPy, never mlflow, nor the compiler of PyTorch: asked after a whole run."""
    program = (
        "import atexit, runpy, sys\n"
        "heavy = 'torch', 'torch._dynamo', 'mlflow', 'sqlalchemy', 'pandas'\n"
        "heavy += 'bokeh', 'matplotlib'\n"
        "@atexit.register\n"
        "def show():\n"
        "    sys.stderr.write(str([name for name in heavy if name in sys.modules]))\n"
        "runpy.run_module('runner', run_name='__main__', alter_sys=True)\n"
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
