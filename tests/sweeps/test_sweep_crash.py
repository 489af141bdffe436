"""Sweeps that are killed again and again, and resumed: every cell is finished once, nothing lost.

Every kill is made with real signals to real processes, at times drawn from a seed.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.support.waiting import PATIENCE, wait_for
from tests.tracking.test_crash import assert_recovered, is_there, publisher_of

CELLS = 8  # of the first attempt; each further one has as many more
EPOCHS = 40
TRIES = 6  # to kill what may be over before

# What Python's own says of a leader that is killed as it asks for a fork.
FORK_SERVER = re.compile(
    r'Traceback \(most recent call last\):\n  File "<string>", line 1, in <module>\n'
    r'  File "\S+/multiprocessing/forkserver.py", line \d+, in main\n    fds = [^\n]+\n'
    r"(?: +\^+\n)?"
    r'  File "\S+/multiprocessing/reduction.py", line \d+, in recvfds\n'
    r"    raise EOFError\nEOFError\n"
)

# Big batches make slow steps: a sweep of seconds has few enough points to look at each.
SWEEP = ["-m", "gradient=by_hand", "dataset=noisy_line", "dataset.samples=400000", "tolerance=0"]
SWEEP += [f"epochs={EPOCHS}", "lr=1e-4", "sweep.resume=true"]
HOW = [[], ["sweep.workers=2"], ["sweep.workers=2", "sweep.stack=false"], ["sweep.stack=false"]]


class Attempt:
    """One invocation of the sweep, and the plan of how it is killed."""

    def __init__(self, seed, delay=None):
        rng = random.Random(seed)
        self.seed = seed
        how = rng.choice(HOW)
        self.typed = [*how, *rng.choice([[], [], ["tracking.live=false"]])]
        pool = ["worker", "worker"] if "sweep.workers=2" in how else []
        self.whom = rng.choice(["leader", "publisher", "all", *pool])
        self.signals = rng.choices(["SIGKILL", "SIGTERM", "SIGINT"], [3, 1, 1], k=2)
        self.phase = rng.choice(["start-up", "cells", "cells"])
        self.delay = rng.uniform(0, 2.0 if self.phase == "start-up" else 1.5)
        self.delay = self.delay if delay is None else delay
        self.killed = []

    def __str__(self):
        return f"seed {self.seed}: {' '.join(self.typed)}; after {self.delay:.3f} s: {self.killed}"

    def execute(self, folder, environment, cells):
        """Start it, kill it or a part of it at its time, and wait until all of it is gone."""
        process = begin(folder, environment, cells, *self.typed)
        try:
            publisher = wait_for(lambda: publisher_of(process), process)
            if self.phase == "cells":
                wait_for(lambda: "cells:" in process.out.read_text(), process)
            if self.whom == "worker":
                wait_for(lambda: self.victims(process, publisher), process)
            time.sleep(self.delay)
            for number in self.signals:
                for pid in self.victims(process, publisher):
                    self.kill(pid, number)
                time.sleep(0.1)
            status = process.wait(PATIENCE)
            printed = process.out.read_text()
            assert "Traceback" not in FORK_SERVER.sub("", printed), printed
            if not self.killed or self.whom == "publisher":
                assert status == 0, printed
        finally:
            process.kill()
            process.wait()
        wait_for(lambda: not group_of(process.pid))

    def victims(self, process, publisher):
        """Whom the next signal is for."""
        workers = [pid for pid in group_of(process.pid) if pid != process.pid]
        if self.whom == "leader":
            return [process.pid]
        if self.whom == "publisher":
            return [publisher] if publisher and is_there(publisher) else []
        if self.whom == "worker":
            return workers[-1:]
        return [*workers, process.pid]

    def kill(self, pid, number):
        """Send one signal to what may be gone by now."""
        try:
            os.kill(pid, getattr(signal, number))
        except ProcessLookupError:
            return
        self.killed.append(f"{number} to {self.whom}")


def begin(folder, environment, cells, *typed):
    """Start the sweep of so many cells in a process group of its own."""
    out = folder / f"{time.monotonic_ns()}.out"
    with open(out, "wb") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "runner",
                *SWEEP,
                f"model.initial.w=range(1,{cells + 1})",
                *typed,
            ],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.out = out
    return process


def group_of(leader):
    """The processes of that group that are not over."""
    command = ["ps", "-A", "-o", "pid=,pgid=,stat="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, group, state in rows if int(group) == leader and state[0] != "Z"]


def assert_done_once(folder, environment, store, cells):
    """In MLflow each cell is finished once, each child has its parent, and the last one has all."""
    runs = [run for run, *_ in assert_recovered(folder, environment, store).values()]
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    known = {parent.info.run_id for parent in parents}
    assert {child.data.tags["mlflow.parentRunId"] for child in children} <= known
    finished = [child for child in children if child.info.status == "FINISHED"]
    done = Counter(int(child.data.params["model.initial.w"]) for child in finished)
    assert done == dict.fromkeys(range(1, cells + 1), 1)
    assert {child.data.metrics["epochs_run"] for child in finished} == {EPOCHS}
    assert {child.info.status for child in children} <= {"FINISHED", "KILLED", "FAILED"}
    for parent in parents:
        own = [c for c in finished if c.data.tags["mlflow.parentRunId"] == parent.info.run_id]
        if parent.info.status == "FINISHED":
            assert parent.data.tags["cells.exhausted"] == parent.data.tags["cells"]
        else:
            assert int(parent.data.tags.get("cells.exhausted", cells)) >= len(own)


def crash(seeds, folder, environment, store):
    """Kill the sweep once for each seed, resuming it each time; then let it come to its end."""
    attempts, cells = [], 0
    try:
        for seed in seeds:
            delay = None
            for _ in range(TRIES):
                cells += CELLS  # so that there is something to do
                attempts.append(attempt := Attempt(seed, delay))
                attempt.execute(folder, environment, cells)
                if attempt.killed:
                    break
                delay = attempt.delay / 2  # it was over before; earlier, then
            assert attempts[-1].killed
        last = begin(folder, environment, cells)
        assert last.wait(PATIENCE) == 0, last.out.read_text()
        again = begin(folder, environment, cells)
        assert again.wait(PATIENCE) == 0
        assert f"{cells} already done" in again.out.read_text()
        assert_done_once(folder, environment, store, cells)
    except Exception as error:
        error.add_note("\n".join(map(str, attempts)))
        raise


@pytest.mark.slow
def test_some_kills_of_a_sweep(tmp_path, environment, store):
    """The leader, a worker and the publisher, while cells run."""
    crash((3, 8, 10), tmp_path, environment, store)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 104, 8))
def test_many_kills_of_a_sweep(first, tmp_path, environment, store):
    """Of stacks, pools and lone cells, at any moment."""
    crash(range(first, first + 8), tmp_path, environment, store)
