"""The wheel: installed elsewhere, it runs from any folder."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_wheel_carries_conf_and_runs_anywhere(tmp_path, environment, store):
    """Built by pip, unpacked, and run where nothing of the checkout is in reach."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    shipped = {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    conf = tmp_path / "site" / "runner" / "conf"
    assert {path.relative_to(conf) for path in conf.rglob("*.yaml")} == shipped
    own = ROOT / "runner" / "report" / "page_files"
    there = tmp_path / "site" / "runner" / "report" / "page_files"
    assert {path.name for path in there.iterdir()} == {path.name for path in own.iterdir()}
    assert (there / "page.html").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "runner", "experiment=module"],
        cwd=elsewhere,
        env={**environment, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Prediction after training: f(5) = 9.838" in done.stdout
    _, [run] = store(elsewhere)
    assert "git_commit" not in run.data.tags  # it is no checkout
