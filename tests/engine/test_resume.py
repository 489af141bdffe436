"""Runs that were killed, or stopped, go on as if nothing had been: bit for bit, as the same run."""

import os
import random
import shlex
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.base import project
from runner.cli import resume
from runner.cli.alone import carry_out, raise_failure
from runner.cli.find import find_one
from runner.engine import checkpoint
from runner.engine.check import checked
from runner.engine.recording import Recording
from runner.record import journal
from runner.sweeps.carry_out import carry_out as carry_out_sweep
from runner.sweeps.composing import many_cells, one_cell
from runner.tracking.session import Settings, invocation, session
from tests.support.commands import entered
from tests.support.waiting import wait_for

OFF = ("tracking=off", "print_every=0", "tolerance=0")

EXPERIMENTS = {
    "numpy": [
        *("gradient=by_hand", "dataset=noisy_line", "model=linear", "optimizer=adam"),
        *("schedule=cosine", "clip=5", "lr=0.01", "epochs=20000", "checkpoint.every=700"),
        "measure=[cosine,distance]",
    ],
    "autograd": [
        *("dataset=noisy_line", "model=linear", "optimizer=by_hand", "schedule=plateau"),
        *("lr=0.001", "epochs=1500", "checkpoint.every=100"),
    ],
    "module": [
        *("dataset=iris", "model=mlp", "loss=cross_entropy", "optimizer=adam", "batch_size=32"),
        *("validation=0.2", "schedule=one_cycle", "patience=300", "clip=1", "lr=0.01"),
        *("epochs=300", "checkpoint.every=53"),
    ],
    "stack": [
        *("gradient=by_hand", "dataset=noisy_line", "model=linear", "optimizer=momentum"),
        *("schedule=exponential", "schedule.gamma=0.999", "batch_size=3", "lr=0.001,0.01,0.02"),
        *("seed=1,2", "patience=400", "epochs=2500", "checkpoint.every=501"),
    ],
    "pruned": [
        *("gradient=by_hand", "dataset=noisy_line", "model=linear", "lr=0.0001,0.001,0.01,0.02"),
        *("seed=1,2", "epochs=12000", "checkpoint.every=301", "sweep.prune=median"),
    ],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with project.here():
        yield


def execute(words):
    """What the command does, in this process."""
    with invocation():
        if any("," in word for word in words):
            source = many_cells([*words, *OFF], None)
            cells = source.span
            tracked = session(Settings.of(cells[0].spec))
            carry_out_sweep(source, cells[0].spec.sweep, tracked)
        else:
            cell = one_cell([*words, *OFF], None)
            carry_out(cell, checked(cell), session(Settings.of(cell.spec)))


def carry_on(words):
    """Execute it; whatever has ended it is raised."""
    with invocation():
        cell = one_cell([*words, *OFF], None)
        done, _ = carry_out(cell, checked(cell), session(Settings.of(cell.spec)))
        raise_failure(done)


def killed(words, step, while_writing=False):
    """Execute it in another process, which is killed after that step, or in its next checkpoint."""
    child = os.fork()
    if child == 0:
        try:
            add, replace, taken = Recording.add, Path.replace, [0]

            def counted(self, *arguments):
                add(self, *arguments)
                taken[0] += 1
                if taken[0] >= step and not while_writing:
                    os.kill(os.getpid(), signal.SIGKILL)

            def replaced(path, target):
                if taken[0] >= step and path.name == "new":
                    os.truncate(path, random.Random(step).randrange(100))
                    os.kill(os.getpid(), signal.SIGKILL)
                return replace(path, target)

            Recording.add, Path.replace = counted, replaced
            execute(words)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def go_on(word="latest", *changes):
    """What `python -m runner.resume` does."""
    with invocation():
        return resume.resume(find_one(word, None, trust=False), list(changes), None)


def cells(word):
    found = runner.load(word)
    return list(found) if hasattr(found, "cells") else [found]


def longest(runs):
    """The steps of the run with the most."""
    return max(len(run.parameters) for run in runs)


def without_time(run):
    return run.trajectory.drop(columns="time")


def assert_same(ours, theirs):
    """Every number, and what is told of the end."""
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.parameters, two.parameters)
        assert without_time(one).equals(without_time(two))
        figures = [{k: v for k, v in run.figures.items() if k != "seconds"} for run in (one, two)]
        assert figures[0] == figures[1]
        assert one.outcome == two.outcome


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Each experiment, never stopped: its runs, made once."""
    made = {}

    def of(name):
        if name not in made:
            before = os.getcwd()
            os.chdir(tmp_path_factory.mktemp("whole"))
            with project.here():
                execute(EXPERIMENTS[name])
                made[name] = cells("latest")
                assert all(len(run.parameters) > 1000 for run in made[name])
            os.chdir(before)
        return made[name]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("point", range(20))
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_killed_at_any_step_it_goes_on_bit_for_bit(name, point, whole):
    """By SIGKILL: before the first checkpoint too, and in every fifth case while one is written."""
    runs = whole(name)
    at = random.Random(f"{name} {point}").randrange(1, longest(runs) - 600)
    killed(EXPERIMENTS[name], at, while_writing=point % 5 == 0)
    assert go_on() == 0
    assert_same(cells("latest"), runs)


@pytest.mark.bits
@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_last_checkpoint_is_damaged(name, whole):
    runs = whole(name)
    killed(EXPERIMENTS[name], longest(runs) * 9 // 10)
    found = checkpoint.paths(cells("latest")[0].id)
    assert len(found) == checkpoint.KEPT
    content = bytearray(found[0].read_bytes())
    content[len(content) // 2] ^= 1
    found[0].write_bytes(content)
    with pytest.raises(checkpoint.Unreadable, match="damaged"):
        checkpoint.load(found[0])
    assert go_on() == 0
    assert_same(cells("latest"), runs)


@pytest.mark.slow
def test_without_a_checkpoint_it_starts_over(whole):
    """The steps that are recorded are not recorded again."""
    words = [word for word in EXPERIMENTS["module"] if not word.startswith("checkpoint")]
    killed(words, 900)
    assert go_on() == 0
    assert_same(cells("latest"), whole("module"))


def test_one_that_has_ended_says_so(capsys):
    execute(["optimizer=sgd", "lr=0.1", "epochs=7"])
    assert go_on() == 0
    assert "has ended, exhausted after 7 epochs" in capsys.readouterr().out


@pytest.mark.parametrize("every", ["null", "3"])
def test_further_than_was_asked_at_first(every, capsys):
    """With the horizon of the schedule as it was, unless it is given anew."""
    words = ["dataset=iris", "model=mlp", "loss=cross_entropy", "batch_size=50", "lr=0.1"]
    words += ["optimizer=momentum", "schedule=cosine", f"checkpoint.every={every}"]
    execute([*words, "epochs=10"])
    assert go_on("latest", "epochs=25") == 0
    assert ("after step 30" in capsys.readouterr().out) == (every == "3")
    long = cells("latest")
    told = "after step 30 epochs=25" if every == "3" else "after step 0 epochs=25"
    assert long[0].tags["went_on"] == told
    with pytest.raises(runner.ConfigError, match="exhausted after 25 epochs: expected more"):
        go_on("latest", "epochs=25")
    execute([*words, "epochs=25", "schedule.T_max=30"])
    assert_same(long, cells("latest"))
    execute([*words, "epochs=25"])
    assert len(cells("latest")[0].parameters) == 76


def test_what_would_be_another_run_is_refused(capsys):
    execute(["lr=0.1", "epochs=7"])
    with pytest.raises(runner.ConfigError, match="lr: would be another run"):
        go_on("latest", "lr=0.2")
    with pytest.raises(runner.ConfigError, match="expected more epochs"):
        go_on("latest", "epochs=6")
    with pytest.raises(runner.ConfigError, match=r"record.most_bytes: would be another run"):
        go_on("latest", "epochs=9", "record.most_bytes=0")


def test_data_that_have_changed_are_refused(tmp_path):
    np.savez("own.npz", x=[1.0, 2.0], y=[2.0, 4.0])
    words = ["dataset=npz", "dataset.path=own.npz", "lr=0.01", "epochs=9"]
    execute(words)
    np.savez("own.npz", x=[1.0, 2.0], y=[2.0, 5.0])
    with pytest.raises(runner.ConfigError, match="its dataset is not the one it began with"):
        go_on("latest", "epochs=20")


@pytest.mark.slow
def test_ctrl_c_and_on_in_mlflow(tmp_path, environment, store):
    """The same run there: no point twice, FINISHED, and nothing left of the interruption."""
    words = ["dataset=noisy_line", "model=linear", "optimizer=adam", "lr=0.001", "epochs=4000"]
    words += ["tolerance=0", "print_every=0", "checkpoint.every=500", "record.most_bytes=0"]
    command = [sys.executable, "-m", "runner", *words]
    started = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    wait_for(lambda: list(tmp_path.glob("mlruns/journal/checkpoints/*/0*")), started)
    assert started.poll() is None
    started.send_signal(signal.SIGINT)
    started.communicate()
    client, [run] = store(tmp_path)
    assert run.info.status == "KILLED"
    done = subprocess.run(
        [sys.executable, "-m", "runner.resume"], cwd=tmp_path, env=environment, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    client, [run] = store(tmp_path)
    assert run.info.status == "FINISHED"
    assert not run.data.tags.get("reason")
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(steps) == list(range(1, 4001))
    assert journal.paths()[0].parent.name == journal.PUT_AWAY


HORIZON = ["dataset=plane", "model=linear", "lr=0.1", "schedule=cosine"]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("every", ["null", "5", "7"])
@pytest.mark.parametrize("words", [["optimizer=adam"], ["gradient=by_hand"], ["optimizer=by_hand"]])
def test_a_horizon_is_given_anew(words, every):
    """From there on as if it had always been that: once, and once more, and after a kill."""
    words = [*HORIZON, *words, f"checkpoint.every={every}"]
    execute([*words, "epochs=20"])
    word = cells("latest")[0].id
    assert go_on(word, "epochs=40", "schedule.T_max=40") == 0
    assert go_on(word, "epochs=60", "schedule.T_max=null") == 0
    lr = cells(word)[0].trajectory["lr"].to_numpy()
    for begin, end in ((1, 20), (21, 40), (41, 60)):
        execute([*words, f"epochs={end}", f"schedule.T_max={end}"])
        theirs = cells("latest")[0].trajectory["lr"].to_numpy()
        np.testing.assert_array_equal(lr[begin : end + 1], theirs[begin : end + 1])


@pytest.mark.parametrize("words", [["optimizer=adam"], ["gradient=by_hand"]])
def test_a_schedule_of_ours_goes_on(words):
    """Whoever sets the rates of an optimizer of PyTorch's."""
    words = [*HORIZON, *words, "schedule=range_test", "schedule.to=0.3", "checkpoint.every=7"]
    execute([*words, "epochs=20", "schedule.total_steps=30"])
    word = cells("latest")[0].id
    assert go_on(word, "epochs=30") == 0
    execute([*words, "epochs=30", "schedule.total_steps=30"])
    assert_same(cells(word), cells("latest"))


@pytest.mark.slow
@pytest.mark.parametrize("words", [["optimizer=sgd"], ["gradient=by_hand"]])
def test_a_cycle_that_is_over_is_refused_and_then_given_anew(words):
    words = [*HORIZON, *words, "schedule=one_cycle", "checkpoint.every=5"]
    execute([*words, "epochs=20"])
    before = without_time(cells("latest")[0])
    with pytest.raises(runner.ConfigError, match=r"total_steps: expected 30 or more"):
        go_on("latest", "epochs=30")
    with pytest.raises(runner.ConfigError, match=r"total_steps: expected 30 or more"):
        go_on("latest", "epochs=30", "schedule.total_steps=25")
    assert without_time(cells("latest")[0]).equals(before)
    assert go_on("latest", "epochs=30", "schedule.total_steps=30") == 0
    assert go_on("latest", "epochs=45", "schedule.total_steps=null") == 0
    with pytest.raises(runner.ConfigError, match=r"total_steps: expected 50 or more"):
        go_on("latest", "epochs=50")
    [run] = cells("latest")
    assert (run.outcome, run.epochs) == ("exhausted", 45)


def test_a_name_may_be_like_a_change(monkeypatch):
    name = "lr=0.01 epochs=20 tolerance=0"
    execute(["epochs=20"])
    monkeypatch.setattr(sys, "argv", ["runner.resume", name, "epochs=30"])
    execute(["lr=0.01", "epochs=20"])
    execute(["dataset=plane", "model=linear", "epochs=5"])
    assert resume.main() == 0
    assert runner.load(name).epochs == 30
    monkeypatch.setattr(sys, "argv", ["runner.resume", "latest", "epochs=9"])
    assert resume.main() == 0
    assert cells("latest")[0].epochs == 9


@pytest.mark.parametrize(
    "typed",
    [
        ["epochs=30"],
        ["epochs=3", "epochs=12"],
        ["tolerance=0 lr=0.5", "epochs=30"],
        ["lr=", "epochs=9"],
    ],
    ids=str,
)
def test_a_name_that_no_run_has_is_not_the_latest(typed):
    """Though it may be read as a change: the run that is there stays as it is."""
    execute(["epochs=5"])
    status, _, err = entered(resume.main, *typed)
    assert status == 1
    assert cells("latest")[0].epochs == 5
    assert f"{typed[0]}: no such run, by id or by name" in err
    assert f"python -m runner.resume latest {shlex.join(typed)}" in err


def test_a_sweep_that_resumes_counts_runs_by_themselves(capsys):
    """As they are: one that was taken further is another run, and so is one that was cut off."""
    words = ["gradient=by_hand", "optimizer=adam", "schedule=step", "epochs=20"]
    for lr in ("0.1", "0.2", "0.3"):
        execute([*words, f"lr={lr}"])
    assert go_on("latest", "epochs=30") == 0
    killed([*words, "lr=0.4", "checkpoint.every=5"], 7)
    capsys.readouterr()
    sweep = [*words, "lr=0.1,0.2,0.3,0.4", "sweep.resume=true"]
    execute(sweep)
    assert "2 already done" in capsys.readouterr().out
    ended = cells("latest")
    assert [(run.outcome, run.epochs) for run in ended] == [("exhausted", 20)] * 4
    alone, stacked = (
        [run for run in ended if ("cell" in run.tags) == is_cell] for is_cell in (False, True)
    )
    assert [run.params["lr"] for run in alone] == ["0.1", "0.2"]
    assert [run.params["lr"] for run in stacked] == ["0.3", "0.4"]
    execute(sweep)
    assert "4 already done" in capsys.readouterr().out


def test_it_begins_where_the_other_run_was_then():
    """The other run has gone on since, and what is the latest is another one."""
    words = ["dataset=plane", "model=linear", "lr=0.1"]
    execute([*words, "epochs=20"])
    other = cells("latest")[0].id
    execute([*words, "epochs=10", "model.initial=run:latest"])
    word = cells("latest")[0].id
    execute([*words, "epochs=30", f"model.initial=run:{other}"])
    whole = cells("latest")
    assert go_on(other, "epochs=50") == 0
    assert go_on(word, "epochs=30") == 0
    assert_same(cells(word), whole)


def test_what_has_failed_can_go_on(monkeypatch):
    """From its checkpoint, once what failed has been mended."""
    words = [*EXPERIMENTS["module"]]
    kept, taken = Recording.add, [0]

    def failing(self, *arguments):
        kept(self, *arguments)
        taken[0] += 1
        if taken[0] == 600:
            raise OSError("no network")

    with monkeypatch.context() as patched:
        patched.setattr(Recording, "add", failing)
        with pytest.raises(OSError, match="no network"):
            carry_on(words)
    assert cells("latest")[0].outcome == "failed"
    assert go_on() == 0
    assert cells("latest")[0].outcome == "exhausted"
