"""Whatever is killed, and whenever: what was recorded is in MLflow, once, with a truthful status.

Every kill is made with real signals to real processes, at times drawn from a seed.
"""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from runner.base.signals import signals
from runner.record.journal import End, File, Reader, Start
from tests.support.waiting import PATIENCE, wait_for

TRIES = 3  # to kill what may be over before

# Big batches make slow steps: a run of seconds has few enough points to look at each.
LONG = ["gradient=by_hand", "dataset=noisy_line", "dataset.samples=200000", "tolerance=0"]
LONG += ["lr=1e-4", "print_every=0"]
SWEEP = ["-m", "hydra/launcher=basic", "gradient=by_hand", "tolerance=0", "epochs=150"]
SWEEP += ["print_every=0"]

FRAGILE = """
import time
from pathlib import Path
import torch

class Fragile(torch.nn.Linear):
    calls = 0
    def forward(self, x):
        self.calls += self.training
        if self.calls == 5:
            while not Path("go").exists():
                time.sleep(0.05)
            raise ArithmeticError("the fifth step")
        return super().forward(x)
"""

NOTHING = {"epochs_run": 0.0}  # the final metrics of a run that was killed before its first step
STATUS = {"interrupted": "KILLED", "failed": "FAILED"}


def start(folder, environment, *typed, **variables):
    """Start a command in a folder; what it prints goes into a file of its own."""
    out = folder / f"{time.monotonic_ns()}.out"
    with open(out, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *typed],
            cwd=folder,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    process.out = out
    return process


def printed(process):
    """What the command has printed so far."""
    return process.out.read_text(errors="replace")


def publish(folder, environment, *typed, status=0):
    """Run `python -m runner.publish` to its end; what it printed."""
    process = start(folder, environment, "runner.publish", *typed)
    assert process.wait(PATIENCE) == status, printed(process)
    assert "Traceback" not in printed(process)
    return printed(process)


def publisher_of(process):
    """The id of the publisher that the command has started; None as long as there is none."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, parent, args = line.split(None, 2)
        if int(parent) == process.pid and "runner.cli.publish --follow" in args:
            return int(pid)
    return None


def is_there(pid, module="runner.cli.publish"):
    """Whether the process, of that module, is still running."""
    listed = subprocess.run(
        ["ps", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return module in listed.stdout and not listed.stdout.startswith("Z")


# --- What must hold afterwards ---


def journaled(folder):
    """Every run of every journal that is published: its start, all its rows, and its end if any."""
    runs = {}
    for path in (folder / "mlruns" / "journal" / "published").glob("*.db"):
        for record in Reader(path).read(most=10**6):
            if isinstance(record.content, Start):
                runs[record.run] = [record.content, [], None]
            elif isinstance(record.content, End):
                runs[record.run][2] = record.content
            elif not isinstance(record.content, File):
                runs[record.run][1].append(record.content)
    return runs


def points_of(chunks, end):
    """What a run should have in MLflow by its journal: each metric's steps and values."""
    if not chunks:
        return {name: [(0, value)] for name, value in (end.metrics if end else NOTHING).items()}
    rows = np.concatenate(chunks)
    made = rows[1:]  # the start has parameters only
    columns = {"w": (rows, rows["parameters"][:, 0])}
    final = NOTHING
    if len(made):
        columns |= {name: (made, made[name]) for name in ("loss", "grad_norm")}
        final = {"epochs_run": len(made), "final_loss": made["loss"][-1]}
        final["best_loss"] = made["loss"].min()
    points = {
        name: list(zip(some["step"].tolist(), values.tolist(), strict=True))
        for name, (some, values) in columns.items()
    }
    return points | {name: [(0, value)] for name, value in (end.metrics if end else final).items()}


def assert_truthful(folder, store):
    """MLflow has what the journals have, each point once, and says how each run ended.

    Returns the runs by their id, with what their journal has of them.
    """
    expected = journaled(folder)
    if not expected:
        assert not (folder / "mlruns" / "mlflow.db").exists() or not store(folder)[1]
        return {}
    client, runs = store(folder)
    assert Counter(run.info.run_id for run in runs) == Counter(expected.keys())
    for run in runs:
        start, chunks, end = expected[run.info.run_id]
        steps = [step for rows in chunks for step in rows["step"].tolist()]
        assert steps == list(range(len(steps)))
        outcome = end.outcome if end else "interrupted"
        assert run.data.tags["outcome"] == outcome
        assert run.info.status == STATUS.get(outcome, "FINISHED")
        assert run.info.end_time >= run.info.start_time
        assert start.params.items() <= run.data.params.items()
        if end is None:
            assert "killed" in run.data.tags["reason"]
        wanted = points_of(chunks, end)
        assert run.data.metrics.keys() == wanted.keys()
        for name, points in wanted.items():
            history = client.get_metric_history(run.info.run_id, name)
            assert sorted((m.step, m.value) for m in history) == points, name
        place = Path(run.info.artifact_uri.removeprefix("file://"))
        assert (place / "config.yaml").exists() == bool(start.config)  # a sweep's own has none
        if steps:
            assert pq.read_table(place / "trajectory.parquet")["step"].to_pylist() == steps
    return {run.info.run_id: (run, *expected[run.info.run_id]) for run in runs}


def dump(folder):
    """Every row of the store, as SQLite writes them down."""
    path = folder / "mlruns" / "mlflow.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def assert_recovered(folder, environment, store):
    """After one `python -m runner.publish`: everything is there, and a second changes nothing."""
    publish(folder, environment)
    assert "everything is published" in publish(folder, environment, "--status")
    runs = assert_truthful(folder, store)
    before = dump(folder)
    assert "nothing was left" in publish(folder, environment)
    assert dump(folder) == before
    left = {path.name for path in (folder / "mlruns" / "journal").glob("*")}
    assert left <= {"published", "store.opening"}
    return runs


# --- Kills ---


class Victim:
    """One invocation, and the plan of how it is killed."""

    def __init__(self, seed, delay=None, phase=None):
        rng = random.Random(seed)
        self.seed = seed
        self.sweep = rng.random() < 0.4
        self.whom = rng.choice(["run", "run run", "publisher", "run publisher", "publisher run"])
        self.phase = rng.choice(["start-up", "run", "publish"])
        self.signals = rng.choices(["SIGKILL", "SIGTERM", "SIGINT"], [2, 1, 1], k=2)
        self.delay = rng.uniform(0, {"start-up": 1.5, "run": 2.0, "publish": 0.1}[self.phase])
        self.gap = rng.choice([0, 0, rng.uniform(0, 0.3)])  # between two kills
        more = rng.choice([[], ["tracking.live=false"], ["tracking.wait=false"]])
        if self.sweep:
            rates = ",".join(f"0.00{i}" for i in range(1, rng.randint(4, 9)))
            self.typed = [*SWEEP, f"lr={rates}", *more]
            self.runs = rates.count(",") + 1
        else:
            self.typed, self.runs = [*LONG, f"epochs={rng.randint(1000, 4000)}", *more], 1
        self.delay = self.delay if delay is None else delay
        self.phase = phase or self.phase
        self.killed = []

    def __str__(self):
        return (
            f"seed {self.seed}: {' '.join(self.typed)}; {self.whom} in {self.phase} after "
            f"{self.delay:.3f} s (+{self.gap:.3f} s): {self.killed}"
        )

    def start(self, folder, environment):
        """Start the command, which starts its publisher."""
        self.process = start(folder, environment, "runner", *self.typed)
        self.publisher = wait_for(lambda: publisher_of(self.process), self.process)

    def kill(self):
        """Wait for the time, and kill what is still there."""
        if self.phase == "run":
            wait_for(lambda: "Prediction before" in printed(self.process), self.process)
        if self.phase == "publish":
            ended = self.runs
            wait_for(lambda: printed(self.process).count("\noutcome") >= ended, self.process)
        time.sleep(self.delay)
        at = {"run": self._kill_run, "publisher": self._kill_publisher}
        for who, number in zip(self.whom.split(), self.signals, strict=False):
            if at[who](getattr(signal, number)):
                self.killed.append(f"{number} to the {who}")
            time.sleep(self.gap)

    def _kill_run(self, number):
        if self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    def _kill_publisher(self, number):
        if not self.publisher or not is_there(self.publisher):
            return False
        os.kill(self.publisher, number)
        return True

    def end(self):
        """Wait for its end. How it ended must fit what was done to it."""
        status = self.process.wait(PATIENCE)
        if self.is_spared():
            assert status == 0, printed(self.process)
            assert "Traceback" not in printed(self.process)

    def is_spared(self):
        """Whether the run itself, whatever became of its publisher, was left alone."""
        return not any(kill.endswith("the run") for kill in self.killed)


def crash(seeds, folder, environment, store):
    """Kill one invocation for each seed, one after the other; then bring everything in."""
    victims = []
    try:
        for seed in seeds:
            delay = phase = None
            for left in reversed(range(TRIES)):
                victims.append(victim := Victim(seed, delay, phase))
                victim.start(folder, environment)
                victim.kill()
                if victim.killed:
                    break
                delay = victim.delay / 4  # it was over before; earlier, then
                phase = None if left > 1 else "run"
            assert victims[-1].killed
        for victim in victims:
            victim.end()
        runs = assert_recovered(folder, environment, store)
        wait_for(lambda: not any(v.publisher and is_there(v.publisher) for v in victims))
        finished = [run for run, *_ in runs.values() if run.info.status == "FINISHED"]
        assert len(finished) >= sum(victim.runs for victim in victims if victim.is_spared())
    except Exception as error:
        error.add_note("\n".join(map(str, victims)))
        raise
    finally:
        for victim in victims:
            victim.process.kill()
            victim.process.wait()


@pytest.mark.slow
# Of the kills below, a few that leave a run without an end, and a part of one in the store.
@pytest.mark.parametrize("seeds", [(84, 16, 95)], ids=str)
def test_some_kills(seeds, tmp_path, environment, store):
    """Kills in the middle of a run, of a sweep and of publishing."""
    crash(seeds, tmp_path, environment, store)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 108, 9))
def test_many_kills(first, tmp_path, environment, store):
    """Of runs, publishers and both, while they start, run and publish, one and several."""
    crash(range(first, first + 9), tmp_path, environment, store)


# --- What a person can choose ---


@pytest.fixture
def running(tmp_path, environment):
    """Start a run that goes on until it is stopped, and see that it does not outlive the test."""
    started = []

    def begin(*typed, **variables):
        # All of it is recorded and published, however long it might become.
        whole = ["tracking.points=null", "record.most_bytes=8000000000"]
        own = ["epochs=1000000000", *whole, *typed]
        started.append(start(tmp_path, environment, "runner", *LONG, *own, **variables))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def stop(process):
    """Stop it politely; what it has printed."""
    process.terminate()
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM, printed(process)
    return printed(process)


def chunks_in(folder):
    """How many chunks of rows the journals hold that are not published."""
    paths = list((folder / "mlruns" / "journal").glob("*.db"))
    return sum(
        isinstance(record.content, np.ndarray) for path in paths for record in Reader(path).read()
    )


@pytest.mark.slow
def test_points_appear_while_the_run_goes_on(running, tmp_path, store):
    """The curve grows in MLflow, and what was once there stays as it is."""
    process = running()
    wait_for(lambda: (tmp_path / "mlruns" / "mlflow.db").exists(), process)

    def history():
        client, runs = store(tmp_path)
        if not runs or process.poll() is not None:
            return []
        assert runs[0].info.status == "RUNNING"
        points = client.get_metric_history(runs[0].info.run_id, "loss")
        return sorted((m.step, m.value) for m in points)

    seen = [wait_for(history, process)]
    for _ in range(3):
        seen.append(wait_for(lambda: (new := history()) != seen[-1] and new, process))
        assert seen[-1][: len(seen[-2])] == seen[-2]
    assert process.poll() is None
    stop(process)
    [(run, _, _, end)] = assert_truthful(tmp_path, store).values()
    assert (run.info.status, end.outcome) == ("KILLED", "interrupted")


@pytest.mark.slow
def test_live_false_writes_nothing_before_the_end(running, tmp_path, store):
    """However much is in the journal; and everything afterwards."""
    process = running("tracking.live=false")
    wait_for(lambda: chunks_in(tmp_path) >= 10, process)
    assert process.poll() is None
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
    stop(process)
    assert len(assert_truthful(tmp_path, store)) == 1


def test_wait_false_returns_at_once(runner, tmp_path, environment, store):
    """The command has ended while its publisher waits for the store; that ends by itself."""
    runner(tmp_path, "gradient=by_hand", "epochs=2")
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        process = start(tmp_path, environment, "runner", "gradient=by_hand", "tracking.wait=false")
        publisher = wait_for(lambda: publisher_of(process))
        assert process.wait(PATIENCE) == 0, printed(process)
        assert "goes on by itself" in printed(process)
        assert is_there(publisher)
        other.rollback()
    wait_for(lambda: not is_there(publisher))
    assert {run.info.status for run, *_ in assert_truthful(tmp_path, store).values()} == {
        "FINISHED"
    }
    assert "everything is published" in publish(tmp_path, environment, "--status")


def test_keep_journal_false_deletes_it(runner, tmp_path, store):
    """Once it is published, nothing of it is left."""
    runner(tmp_path, "gradient=by_hand", "tracking.keep_journal=false")
    _, [run] = store(tmp_path)
    assert run.info.status == "FINISHED"
    assert [path.name for path in (tmp_path / "mlruns" / "journal").iterdir()] == ["store.opening"]


def test_off_leaves_a_journal_that_can_be_published(runner, tmp_path, environment, store):
    """Into any store, later; until then there is none."""
    said = runner(tmp_path, "gradient=by_hand", "tracking=off").stdout
    assert "kept        mlruns/journal/" in said
    assert [path.name for path in (tmp_path / "mlruns").iterdir()] == ["journal"]
    assert "no store" in publish(tmp_path, environment, "--status")
    assert "for no store; --uri" in publish(tmp_path, environment)
    assert "1 run(s)" in publish(tmp_path, environment, "--uri", "sqlite:///mlruns/mlflow.db")
    assert "everything is published" in publish(tmp_path, environment, "--status")
    [(run, *_)] = assert_truthful(tmp_path, store).values()
    assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "converged")


@pytest.mark.slow
def test_an_exception_is_told_although_its_publisher_was_killed(tmp_path, environment, store):
    """FAILED with its reason and its traceback, by whoever publishes it."""
    (tmp_path / "fragile.py").write_text(FRAGILE)
    own = ["model=linear", "model._target_=fragile.Fragile", "~model.initial"]
    process = start(tmp_path, environment, "runner", *own)
    publisher = wait_for(lambda: publisher_of(process))
    os.kill(publisher, signal.SIGKILL)
    (tmp_path / "go").touch()
    assert process.wait(PATIENCE) == 1
    assert "ArithmeticError: the fifth step" in printed(process)
    assert "-m runner.publish" in printed(process)
    publish(tmp_path, environment)
    client, [run] = store(tmp_path)
    assert (run.info.status, run.data.tags["outcome"]) == ("FAILED", "failed")
    assert run.data.tags["reason"] == "ArithmeticError: the fifth step"
    path = client.download_artifacts(run.info.run_id, "traceback.txt", str(tmp_path))
    assert "fragile.py" in Path(path).read_text()
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3, 4]


# --- What somebody deletes in MLflow meanwhile ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "for_good"), [("file", False), ("file", True), ("server", False)]
)
def test_a_run_deleted_while_it_goes_on(
    place, for_good, running, runner, tmp_path, environment, store, request
):
    """It goes on, ends, and counts as done: told once, put away, never brought back."""
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    if place == "server":
        uri = request.getfixturevalue("new_server").start().uri
    process = running(MLFLOW_TRACKING_URI=uri)

    def begun():
        if "sqlite" in uri and not (tmp_path / "mlruns" / "mlflow.db").exists():
            return None
        from mlflow import MlflowClient

        if not MlflowClient(uri).get_experiment_by_name("gradient descent"):
            return None
        client, runs = store(tmp_path, uri)
        return runs and client.get_metric_history(runs[0].info.run_id, "loss") and runs[0]

    run = wait_for(begun, process)
    client, _ = store(tmp_path, uri)
    client.delete_run(run.info.run_id)
    if for_good:
        gone = ["gc", "--backend-store-uri", uri, "--run-ids", run.info.run_id]
        done = start(tmp_path, environment, "mlflow", *gone, MLFLOW_TRACKING_URI=uri)
        assert done.wait(PATIENCE) == 0, printed(done)
    so_far = chunks_in(tmp_path)
    wait_for(lambda: chunks_in(tmp_path) > so_far + 3, process)
    said = stop(process)
    assert len(re.findall("^deleted", said, re.M)) == 1
    assert "kept" not in said
    log = (tmp_path / "mlruns" / "publish.log").read_text()
    assert run.info.run_id in log
    journals = tmp_path / "mlruns" / "journal"
    assert not list(journals.glob("*.db"))
    assert len(list((journals / "published").glob("*.db"))) == 1
    assert "nothing was left" in publish(tmp_path, environment)
    after = runner(tmp_path, "gradient=by_hand", MLFLOW_TRACKING_URI=uri).stdout
    assert not re.findall("^(deleted|kept)", after, re.M)
    assert (tmp_path / "mlruns" / "publish.log").read_text() == log
    _, [other] = store(tmp_path, uri)
    assert other.info.run_id != run.info.run_id
    if not for_good:
        assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"


@pytest.mark.slow
def test_what_is_refused_for_another_reason_is_kept(runner, tmp_path, environment, store):
    """An experiment that is deleted takes no run; once it is restored, none is missing."""
    runner(tmp_path, "gradient=by_hand", "seed=1")
    client, [run] = store(tmp_path)
    client.delete_experiment(run.info.experiment_id)
    for seed in (2, 3):
        said = runner(tmp_path, "gradient=by_hand", f"seed={seed}").stdout
        assert len(re.findall("^kept .*deleted", said, re.M)) == 1
    assert "kept" in publish(tmp_path, environment, status=1)
    client.restore_experiment(run.info.experiment_id)
    assert "2 run(s)" in publish(tmp_path, environment)
    _, runs = store(tmp_path)
    assert sorted(run.data.params["seed"] for run in runs) == ["1", "2", "3"]
    assert "nothing was left" in publish(tmp_path, environment)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back")
def test_two_signals_at_once(monkeypatch):
    """The first asks, the second does what it would have done by itself; Python drops neither."""
    dropped, both = [], {signal.SIGINT, signal.SIGTERM}
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals(*both) as received:
            signal.pthread_sigmask(signal.SIG_BLOCK, both)
            for number in both:
                signal.raise_signal(number)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
        assert (received, dropped) == (["SIGINT"], [])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, former)
