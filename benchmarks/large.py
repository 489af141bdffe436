"""A network of a million parameters, default settings, against the same loop written bare."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch

from benchmarks.startup import MIB, environment

EPOCHS, SAMPLES, WIDTH, LR = 100, 1000, 1000, 1e-3
REPEATS = 5
MODEL = f"""
_target_: torch.nn.Sequential
_args_:
  - {{_target_: torch.nn.Linear, in_features: 2, out_features: {WIDTH}}}
  - {{_target_: torch.nn.Tanh}}
  - {{_target_: torch.nn.Linear, in_features: {WIDTH}, out_features: {WIDTH}}}
  - {{_target_: torch.nn.Tanh}}
  - {{_target_: torch.nn.Linear, in_features: {WIDTH}, out_features: 1}}
"""
TYPED = ["--config-dir=conf", "model=large", "dataset=plane", f"dataset.samples={SAMPLES}"]
TYPED += ["optimizer=adam", f"lr={LR}", f"epochs={EPOCHS}", "tolerance=0", "print_every=0"]


def rows() -> Iterator[tuple[str, ...]]:
    """The loop's own time, and what it leaves on disk."""
    with tempfile.TemporaryDirectory() as below:
        folder = Path(below)
        (folder / "conf" / "model").mkdir(parents=True)
        (folder / "conf" / "model" / "large.yaml").write_text(MODEL)
        recorded(folder), bare()  # warm up
        before = size(folder)
        pairs = [(recorded(folder), bare()) for _ in range(REPEATS)]
        left = (size(folder) - before) / REPEATS / MIB
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(a / b for a, b in pairs)
    what, times = f"{EPOCHS} epochs, 1,000,000 parameters", (f"{ours:.1f} s", f"{theirs:.1f} s")
    yield what, "the same loop written bare", *times, f"{ratio:.2f}", "<= 1.10"
    yield what, "on disk", f"{left:.0f} MiB", "", "", "<= 47"


def recorded(folder: Path) -> float:
    """Seconds that the loop says it took, its recording included."""
    command = [sys.executable, "-m", "runner", *TYPED]
    done = subprocess.run(
        command, cwd=folder, env=environment(), check=True, capture_output=True, text=True
    )
    [seconds] = re.findall(r"^seconds +([\d.]+)$", done.stdout, re.M)
    return float(seconds)


def bare() -> float:
    """Seconds of the loop, nothing recorded."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(2, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, WIDTH)]
    model = torch.nn.Sequential(*layers, torch.nn.Tanh(), torch.nn.Linear(WIDTH, 1))
    x, y = torch.randn(SAMPLES, 2), torch.randn(SAMPLES, 1)
    optimizer, criterion = torch.optim.Adam(model.parameters(), lr=LR), torch.nn.MSELoss()
    started = time.perf_counter()
    for _ in range(EPOCHS):
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss < 0:
            break
    return time.perf_counter() - started


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
