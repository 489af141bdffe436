"""Mini-batches of a small network: a step recorded, and a hundred seeds in a stack."""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from sklearn.datasets import load_digits

from benchmarks.loops import recorded_steps
from benchmarks.startup import environment
from runner.device import use_threads

EPOCHS, SIZE, LR, WIDTH = 40, 64, 0.1, 32
REPEATS = 7
SEEDS = 100
SEEDED = ["dataset=moons", "model=mlp", "model.widths=[16]", "loss=cross_entropy", "batch_size=20"]
SEEDED += [f"seed=range({SEEDS})", "epochs=200", f"lr={LR}", "tolerance=0", "print_every=0"]
TYPED = ["dataset=digits", "model=mlp", "loss=cross_entropy", f"batch_size={SIZE}", f"lr={LR}"]
TYPED += ["tolerance=0", "print_every=0"]


def rows() -> Iterator[tuple[str, ...]]:
    """The step against the bare loop and, where it is installed, Lightning; the stack."""
    use_threads(1)
    overrides = [*TYPED, f"epochs={EPOCHS}"]
    recorded_steps(overrides), bare()  # warm up
    pairs = [(recorded_steps(overrides), bare()) for _ in range(REPEATS)]
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(a / b for a, b in pairs)
    what, times = "a mini-batch step, recorded", (f"{ours * 1e6:.0f} us", f"{theirs * 1e6:.0f} us")
    yield what, "the same loop written bare", *times, f"{ratio:.2f}", "<= 1.10"
    steps = -(-len(data()[0]) // SIZE)
    safe = [*overrides, f"checkpoint.every={steps}"]
    pairs = [(recorded_steps(safe), recorded_steps(overrides)) for _ in range(REPEATS)]
    own, without = (median(column) for column in zip(*pairs, strict=True))
    both = f"{own * 1e6:.0f} us", f"{without * 1e6:.0f} us"
    ratio = median(a / b for a, b in pairs)
    yield "the same, a checkpoint every epoch", "none", *both, f"{ratio:.2f}", "<= 1.05"
    if importlib.util.find_spec("lightning"):
        theirs = lightning()
        own = f"{ours * 1e6:.0f} us", f"{theirs * 1e6:.0f} us"
        yield what, "Lightning, MLflow at each step", *own, f"{theirs / ours:.1f}", ">= 10"
    for kept, typed in (("in a journal", ["tracking=off"]), ("in MLflow", [])):
        pairs = [(sweep(*typed), sweep(*typed, "sweep.stack=false")) for _ in range(3)]
        ours, theirs = (median(column) for column in zip(*pairs, strict=True))
        ratio = median(b / a for a, b in pairs)
        what = f"{SEEDS} seeds stacked, {kept}"
        own = f"{ours:.1f} s", f"{theirs:.1f} s"
        yield what, "alone, in a pool of all cores", *own, f"{ratio:.1f}", ">= 5"


def data() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)


def network() -> torch.nn.Sequential:
    layers = [torch.nn.Linear(64, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 10)]
    return torch.nn.Sequential(*layers)


def bare() -> float:
    """Seconds a step of the loop as anybody would write it, nothing recorded."""
    torch.manual_seed(0)
    model, (x, y) = network(), data()
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=LR), torch.nn.CrossEntropyLoss()
    started = time.perf_counter()
    steps = 0
    for epoch in range(1, EPOCHS + 1):
        order = np.random.default_rng([0, epoch]).permutation(len(x))
        for start in range(0, len(x), SIZE):
            batch = order[start : start + SIZE]
            optimizer.zero_grad()
            value = loss(model(x[batch]), y[batch])
            value.backward()
            optimizer.step()
            steps += 1
            if value < 0:
                break
    return (time.perf_counter() - started) / steps


def lightning() -> float:
    """Seconds a step of Lightning's Trainer, which tells MLflow the loss of each."""
    with tempfile.TemporaryDirectory() as folder:
        rival = Path(__file__).parent / "rivals" / "lightning_fit.py"
        done = subprocess.run(
            [sys.executable, rival],
            cwd=folder,
            env=environment(),
            check=True,
            capture_output=True,
            text=True,
        )
    return float(done.stdout.split()[-1])


def sweep(*more: str) -> float:
    """Seconds of the command."""
    typed = [*SEEDED, *more]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "runner", "-m", *typed]
        subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
        return time.perf_counter() - started
