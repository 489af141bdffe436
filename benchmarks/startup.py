"""One run from command to published, and what a long one takes of memory."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.loops import bare_numpy

REPEATS = 7
IMPORTS = [[sys.executable, "-c", f"import {library}"] for library in ("torch", "hydra", "mlflow")]
RUN = [sys.executable, "-m", "runner", "optimizer=sgd", "lr=0.1"]
RUNS = {"by hand": ([*RUN, "gradient=by_hand"], 0.35), "by autograd": (RUN, 0.55)}
LONG = 1_000_000
LONG_RUN = [*RUN[:3], "gradient=by_hand", f"epochs={LONG}", "tolerance=0", "print_every=0"]
ROOT = Path(__file__).resolve().parents[1]
MIB = 2**20


def rows() -> Iterator[tuple[str, ...]]:
    """One run, and a long one: its time, its memory and what it leaves in the store."""
    with tempfile.TemporaryDirectory() as folder:
        seconds(RUN, folder)  # creates the store, once
        for how, (command, wanted) in RUNS.items():
            pairs = [
                (seconds(command, folder), sum(seconds(one, folder) for one in IMPORTS))
                for _ in range(REPEATS)
            ]
            ours, theirs = (median(column) for column in zip(*pairs, strict=True))
            yield (
                f"one run {how}, to published",
                "importing torch, hydra, mlflow",
                f"{ours:.2f} s",
                f"{theirs:.2f} s",
                f"{median(a / b for a, b in pairs):.2f}",
                f"<= {wanted}",
            )
    with tempfile.TemporaryDirectory() as folder:
        seconds([*RUN, "gradient=by_hand"], folder)
        store = Path(folder) / "mlruns" / "mlflow.db"
        before, started = store.stat().st_size, time.perf_counter()
        peaks = peak_memory(LONG_RUN, folder)
        took, bare = time.perf_counter() - started, bare_numpy(LONG) * LONG
        grown = (store.stat().st_size - before) / MIB
    times = f"{took:.1f} s", f"{bare:.1f} s", f"{took / bare:.2f}", "<= 1.5"
    yield f"{LONG:,} steps, to published", "the notebook's bare loop", *times
    yield f"{LONG:,} steps: the store grows by", "", f"{grown:.0f} MiB", "", "", "<= 28"
    for process, peak in peaks.items():
        yield f"{LONG:,} steps: memory of", process, f"{peak:.0f} MiB", "", "", ""


def seconds(command: list[str], folder: str) -> float:
    """How long the command takes."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - started


def peak_memory(command: list[str], folder: str) -> dict[str, float]:
    """Peak resident memory in MiB of the run and of its publisher, looked at ten times a second."""
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    peaks: dict[str, float] = {}
    while process.poll() is None:
        for name, pid in {"the run": process.pid, "the publisher": child(process.pid)}.items():
            peaks[name] = max(peaks.get(name, 0), peak(pid))
        time.sleep(0.1)
    assert process.returncode == 0
    return peaks


def child(pid: int) -> int:
    """The first child of a process; 0 if it has none."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0


def peak(pid: int) -> float:
    """Peak resident memory of a process in MiB, 0 where there is none (or no /proc)."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) / 1024 if found else 0


def environment() -> dict[str, str]:
    """Of a process that runs this checkout from whichever folder, and draws nothing."""
    draw_nothing = {"RUNNER_PICTURES": "false", "RUNNER_PAGE": "false"}
    return {**os.environ, "PYTHONPATH": str(ROOT), **draw_nothing}
