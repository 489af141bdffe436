"""Sweeps on Ray and on SLURM: equal to the local one, whatever is lost in the middle.

On two machines that share no folder, with an MLflow server on PostgreSQL that is reached by HTTP,
all started by what `deploy/` starts them with.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest

from runner.record.journal import paths, summaries
from runner.record.journals import Journals
from runner.sweeps.executors.remote import LOST
from tests.conftest import ROOT, TrackingServer, unused_port
from tests.support.cluster import Machines
from tests.support.waiting import PATIENCE, recorded_steps, wait_for

pytestmark = pytest.mark.slow

SWEEP = ("-m", "optimizer=sgd,adam", "lr=0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.3,0.4")
SWEEP += ("seed=range(20)", "dataset=noisy_line", "model=linear", "epochs=60")
ALONE = ("sweep.stack=false", "print_every=0")
CELLS = 400


@pytest.fixture(scope="module")
def machines(tmp_path_factory, environment):
    pytest.importorskip("ray")
    with Machines(tmp_path_factory.mktemp("cluster"), environment, unused_port()) as started:
        yield started


@pytest.fixture(scope="module")
def tracking(tmp_path_factory, environment, postgres, machines):
    """An MLflow server on PostgreSQL, where both machines reach it."""
    folder = tmp_path_factory.mktemp("mlflow")
    server = TrackingServer(folder, environment, postgres(), host=machines.here).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def local(tmp_path_factory, environment):
    """The same sweep on this machine, into no store: what each cell has recorded."""
    folder = tmp_path_factory.mktemp("local")
    command = [sys.executable, "-m", "runner", *SWEEP, *ALONE, "sweep.workers=2", "tracking=off"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return recorded(folder)[0]


def recorded(folder, key=lambda run: run.name):
    """By name, the end and the trajectory of each cell that has ended by itself; and the others."""
    os.chdir(folder)
    known = [
        run for path in paths() for run, own in summaries(path).items() if "cell" in own.start.tags
    ]
    found, cut = {}, []
    for run in Journals().by_id(known):
        if run.outcome in ("interrupted", "running", "failed"):
            cut.append(run)
            continue
        assert key(run) not in found
        rows = run.trajectory().rows
        columns = {name: rows[name].tobytes() for name in rows.dtype.names if name != "time"}
        figures = {key: repr(value) for key, value in run.figures.items() if key != "seconds"}
        found[key(run)] = (run.outcome, figures, columns)
    return found, cut


def assert_same(found, local):
    """Each cell, to the last bit."""
    assert found.keys() == local.keys()
    different = [name for name, own in found.items() if own != local[name]]
    assert different == []


class Driver:
    """A sweep that is led from the head, in a folder of its own."""

    def __init__(self, machines, folder, *typed, store=None, engine="ray"):
        self.folder, self._machines = folder, machines
        where = [f"tracking.uri={store.uri}", "tracking=server"] if store else ["tracking=off"]
        how = [f"hydra/launcher={engine}", f"hydra.launcher.address={machines.address}"]
        self.command = [*machines.on("head"), sys.executable, "-m", "runner"]
        self.command += [*SWEEP, *ALONE, *how, *where, *typed]
        self.process = None

    def start(self, *typed):
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "said").open("w") as said:
            self.process = subprocess.Popen(
                [*self.command, *typed],
                cwd=self.folder,
                env=self._machines.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        return self

    def after(self, cells):
        """Wait until so many cells have ended."""

        def ended():
            os.chdir(self.folder)
            own = [found for path in paths() for found in summaries(path).values()]
            return sum(found.end is not None for found in own) >= cells

        assert wait_for(ended, self.process), self.said

    @property
    def said(self):
        return (self.folder / "said").read_text()

    def end(self, status=0):
        """Wait for it; what it printed."""
        assert self.process.wait(PATIENCE) == status, self.said
        return self.said


def test_a_cluster_does_what_this_machine_does(machines, tracking, local, tmp_path, store):
    """Cell by cell, to the last bit, and stock MLflow has each of them once.

    Over HTTP, although the server is killed in the middle and started again.
    """
    driver = Driver(machines, tmp_path / "led", store=tracking).start()
    driver.after(CELLS // 4)
    tracking.kill()
    driver.after(CELLS // 2)
    tracking.start()
    assert "400 cells: 0 stacks (0), 400 alone, 0 already done" in driver.end()
    found, lost = recorded(tmp_path / "led")
    assert_same(found, local)
    assert lost == []
    publish = [*machines.on("head"), sys.executable, "-m", "runner.publish"]
    how = {"cwd": tmp_path / "led", "env": machines.environment, "capture_output": True}
    subprocess.run(publish, check=True, **how)
    _, runs = store(None, tracking.uri)
    cells = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert Counter(run.data.tags["cell"] for run in cells) == Counter(map(str, range(CELLS)))
    assert {run.info.status for run in cells} == {"FINISHED"}
    # Neither machine has kept anything of it.
    for name in ("head", "worker"):
        assert not list((machines.folder / name).iterdir())


def test_a_machine_is_lost(machines, local, tmp_path):
    """With all that runs there: its units are done elsewhere, and the lost attempts are told."""
    driver = Driver(machines, tmp_path / "led").start()
    driver.after(CELLS // 4)
    machines.kill("worker")
    try:
        driver.end()
    finally:
        machines.start("worker")
    found, lost = recorded(tmp_path / "led")
    assert_same(found, local)
    assert {run.tags.get(LOST) for run in lost} <= {"true"}
    assert {run.outcome for run in lost} <= {"interrupted"}


def test_a_process_is_lost(machines, local, tmp_path):
    """By SIGKILL, again and again, of whatever carries out a unit."""
    driver = Driver(machines, tmp_path / "led", "hydra.launcher.max_retries=20").start()
    for cells in (20, 60, 100):
        driver.after(cells)
        [first, *_] = wait_for(machines.units, driver.process)
        os.kill(first, signal.SIGKILL)
    driver.end()
    assert_same(recorded(tmp_path / "led")[0], local)


def test_the_driver_is_cut_off(machines, local, tmp_path):
    """By SIGKILL; what it had is kept, and the rest is done when it goes on."""
    driver = Driver(machines, tmp_path / "led").start()
    driver.after(CELLS // 4)
    os.killpg(driver.process.pid, signal.SIGKILL)
    driver.process.wait()
    out = driver.start("sweep.resume=true").end()
    [line] = [line for line in out.splitlines() if "already done" in line]
    assert CELLS // 4 <= int(line.split(", ")[-1].split()[0]) < CELLS
    assert_same(recorded(tmp_path / "led")[0], local)


def test_a_signal_stops_it(machines, tmp_path):
    """What runs ends after its step, no more is begun, and what was recorded is there."""
    driver = Driver(machines, tmp_path / "led", "epochs=20000", "tolerance=0").start()
    wait_for(lambda: any(recorded_steps(driver.folder)), driver.process)
    children = subprocess.run(
        ["pgrep", "-f", "runner -m optimizer"], capture_output=True, text=True
    )
    os.kill(int(children.stdout.split()[0]), signal.SIGTERM)
    out = driver.end(status=128 + signal.SIGTERM)
    assert "stopped     go on with: sweep.resume=true" in out
    assert "interrupted" in out
    assert "not run" in out


def test_what_a_worker_has_otherwise_is_named(machines, tmp_path):
    """Before anything runs: the code of the project, of another version there."""
    led = tmp_path / "led"
    for name in ("runner", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, led / name)
    with (led / "runner" / "stop.py").open("a") as changed:
        changed.write("# another version")
    other = {**machines.environment, "PYTHONPATH": str(led)}
    command = [*machines.on("head"), sys.executable, "-m", "runner", *SWEEP, "hydra/launcher=ray"]
    command += [f"hydra.launcher.address={machines.address}", "tracking=off"]
    command += ["hydra.launcher.runtime_env={working_dir: /usr/share/doc/base-files}"]
    done = subprocess.run(command, cwd=tmp_path, env=other, capture_output=True, text=True)
    assert done.returncode == 1
    assert "machines of the cluster are unlike this one:" in done.stderr
    assert "gradient-descent-runner" in done.stderr
    assert not (tmp_path / "mlruns" / "journal").exists()


def test_the_users_project_travels(machines, tmp_path):
    """A model of the user's own, in a module that no other machine has."""
    led = tmp_path / "led"
    led.mkdir()
    (led / "parts" / "model").mkdir(parents=True)
    (led / "parts" / "model" / "mine.yaml").write_text("_target_: mine.Own\n")
    (led / "mine.py").write_text(
        "import torch\n\n\nclass Own(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(1, 1)\n"
    )
    command = [*machines.on("head"), sys.executable, "-m", "runner", "-m", "--config-dir", "parts"]
    command += ["hydra/launcher=ray", f"hydra.launcher.address={machines.address}", "tracking=off"]
    command += ["model=mine", "lr=0.01,0.1", "epochs=3"]
    how = {"cwd": led, "env": machines.environment, "capture_output": True, "text": True}
    done = subprocess.run(command, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exhausted     2" in done.stdout
