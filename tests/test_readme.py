"""The commands of the README and of the pages in docs/, as they stand there, in a copy."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    """Every block of that language: the page's name and the text."""
    return [
        (page.stem, block)
        for page in PAGES
        for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)
    ]


COPIED = (
    *("conf", "docs", "examples", "hydra_plugins", "runner", "tests", "mlruns/.gitignore"),
    *("CONTRIBUTING.md", "Makefile", "README.md"),
)
STAMPED = ("pyproject.toml", "constraints.txt")


@pytest.fixture
def copy(tmp_path):
    """A copy whose `.venv` is the one that `make` has set up here."""
    if not (Path(sys.prefix) / "installed").exists():
        pytest.skip("the README's commands need the environment that `make` sets up")
    for name in (*COPIED, *STAMPED):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2  # keeps its time
        copied(ROOT / name, target)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({page for page, _ in blocks("bash")}))
def test_commands_work_as_they_stand(page, copy):
    """A page's blocks of commands one after another, in the environment that it activates."""
    for block in [block for name, block in blocks("bash") if name == page]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=copy,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "MAKE"))},
                "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
                "PYTEST_ADDOPTS": "-k test_value_and_slope_are_torchs",  # what `make test` runs
            },
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout


def test_sample_output_is_what_comes_out(tmp_path, runner):
    """The lines shown under the first run, but for what tells that the machine is slow."""
    [shown, again] = [block for _, block in blocks("text") if block.startswith("Prediction")]
    assert shown == again  # in the README and in the first steps
    path = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"
    printed = runner(tmp_path, "optimizer=sgd", "lr=0.1", PATH=path).stdout
    seconds = re.compile(r"seconds +[\d.]+|publishing .*\n")
    assert seconds.sub("", printed) == seconds.sub("", shown)


def test_tree_names_every_option():
    """What is where, with nothing missing and nothing that is gone."""
    [tree] = [block for _, block in blocks("text") if block.startswith("conf/")]
    for folder in (ROOT / "conf").iterdir():
        if folder.is_dir() and folder.name != "experiment":
            line = re.search(rf"^  {folder.name}/ +(.*)$", tree, re.M)[1]
            assert sorted(line.split(", ")) == sorted(path.stem for path in folder.iterdir())


def test_pictures_are_there():
    """Those that it shows, and none that is slow to load."""
    shown = {
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"!\[[^]]+\]\((.*?)\)", page.read_text())
    }
    assert shown == {*ROOT.glob("docs/*.png"), *ROOT.glob("docs/*.gif")}
    most = {".png": 300_000, ".gif": 600_000}  # bytes
    assert all(path.stat().st_size < most[path.suffix] for path in shown)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "block"), blocks("python"), ids=lambda text: text.splitlines()[0][:60]
)
def test_calls_work_as_they_stand(page, block, tmp_path, environment):
    """Each block of Python, as a script in a folder of its own."""
    (tmp_path / "script.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
