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

REPEATS = 7
IMPORTS = [sys.executable, "-c", "import torch, hydra, mlflow"]
RUN = [sys.executable, "-m", "runner", "optimizer=sgd", "lr=0.1"]
LONG = 1_000_000
LONG_RUN = [*RUN[:3], "gradient=by_hand", f"epochs={LONG}", "tolerance=0", "print_every=0"]
ROOT = Path(__file__).resolve().parents[1]


def rows() -> Iterator[tuple[str, ...]]:
    """The comparison, then the largest memory of the two processes of a run of 1,000,000 steps."""
    with tempfile.TemporaryDirectory() as folder:
        seconds(RUN, folder)  # creates the store, once
        seconds(IMPORTS, folder)
        pairs = [(seconds(RUN, folder), seconds(IMPORTS, folder)) for _ in range(REPEATS)]
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(a / b for a, b in pairs)
    yield (
        "one run, command to published",
        "import torch, hydra, mlflow",
        f"{ours:.2f} s",
        f"{theirs:.2f} s",
        f"{ratio:.2f}",
        "<= 1",
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        peaks = peak_memory(folder)
        took = time.perf_counter() - started
    for process, peak in peaks.items():
        yield f"{LONG:,} steps: memory of", process, f"{peak:.0f} MiB", "", "", ""
    yield f"{LONG:,} steps: command to published", "", f"{took:.0f} s", "", "", ""


def seconds(command: list[str], folder: str) -> float:
    """How long the command takes."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - started


def peak_memory(folder: str) -> dict[str, float]:
    """Peak resident memory in MiB of the run and of its publisher, looked at ten times a second."""
    process = subprocess.Popen(LONG_RUN, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
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
