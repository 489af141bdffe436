"""`python -m runner.show`: one screen about a run or a sweep, from the journals."""

import subprocess
import sys

import pytest

from runner.cli import show
from tests.support.commands import entered


@pytest.fixture
def screen(monkeypatch):
    """What the command shows in a folder: the exit status, the screen, the complaint."""

    def shown(folder, *typed):
        from runner.base import project

        project.forget()
        monkeypatch.chdir(folder)
        return entered(show.main, *typed)

    return shown


def test_a_run_in_a_screen(runner, tmp_path, environment):
    """Parts, loop, outcome, figures, files and a curve, within a terminal's width."""
    runner(tmp_path, "optimizer=sgd", "lr=0.1", "tracking=off")
    done = subprocess.run(
        [sys.executable, "-m", "runner.show"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in (
        "run         sgd lr=0.1\n",
        "parts       dataset=line model=scalar loss=mse optimizer=sgd device=cpu\n",
        "loop        optimizer\n",
        "outcome     converged: the loss fell below tolerance\n",
        "epochs      19\n",
        "final loss  4.3655746e-10\n",
        "prediction  0 before, 10.000019 after\n",
        "files       mlruns/journal/",
        "(log10 loss)",
    ):
        assert line in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("⠀" in line for line in lines) == 12  # of the curve
    assert len(lines) <= 30


def test_a_sweep_in_a_screen(runner, tmp_path, screen):
    """What is common once, the best cells, and without colours the curve of the best alone."""
    runner(tmp_path, "-m", "optimizer=sgd,adam", "lr=0.1,0.2,3", "tracking=off", "tolerance=0")
    status, said, _ = screen(tmp_path, "latest")
    assert status == 0
    assert "sweep       sweep of 6 cells over optimizer, lr\n" in said
    assert "in common   dataset=line model=scalar loss=mse device=cpu epochs=100" in said
    assert "outcome     4 exhausted, 2 diverged\n" in said
    best = said.partition("best        ")[2].splitlines()
    assert best[0].endswith("exhausted     sgd lr=0.1")
    assert len([line for line in best[:6] if "lr=" in line]) == 4
    assert "Legend" not in said
    assert "(log10 loss)" in said  # although the last losses are 0


def test_what_has_no_curve_has_figures(runner, tmp_path, screen):
    """A run without two steps, one that diverges at once, one whose loss does not change."""
    for typed in (["epochs=1"], ["lr=1e30"], ["model.initial.w=2", "tolerance=0", "epochs=9"]):
        runner(tmp_path, *typed, "tracking=off", "gradient=by_hand")
        status, said, complaint = screen(tmp_path)
        assert (status, complaint) == (0, "")
        assert "epochs  " in said


def test_what_is_not_there_is_one_message(tmp_path, screen):
    assert screen(tmp_path, "nothing") == (1, "", "nothing: no run is recorded here yet\n")
    assert screen(tmp_path, "--uri", "nonsense")[0] == 2


def test_names_with_controls_are_escaped(runner, tmp_path, screen):
    runner(tmp_path, "-m", "+optimizer.maximize=false", "lr=0.1,0.2", "tracking=off", "epochs=3")
    status, said, _ = screen(tmp_path)
    assert status == 0
    assert "\033" not in said
