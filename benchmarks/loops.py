"""A step of each loop with its whole trajectory recorded, against the notebook's bare loop."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from statistics import median

import numpy as np
import torch
from hydra import compose as compose_config
from hydra import initialize_config_dir

from runner.base import project
from runner.cli.run_lines import Console
from runner.config.cell import Cell
from runner.config.schema import plain, register
from runner.device import use_threads
from runner.engine import drive, experiment, stop
from runner.engine.check import checked
from runner.engine.recording import FinishedRun
from runner.record.journal import Journal, Start

CONF = Path(__file__).resolve().parents[1] / "conf"
EPOCHS = {"numpy": 50_000, "autograd": 5_000, "optimizer": 5_000, "module": 5_000}
REPEATS = 7
LR = 0.01
TOLERANCE = 0.0  # never reached; the notebook looks at it after each update, as we do


def rows() -> Iterator[tuple[str, ...]]:
    """One row for each loop."""
    use_threads(1)
    register()
    for loop, bare in BARE.items():
        epochs = EPOCHS[loop]
        recorded(loop, 100), bare(100)  # warm up
        pairs = [(recorded(loop, epochs), bare(epochs)) for _ in range(REPEATS)]
        ours, theirs = (median(column) for column in zip(*pairs, strict=True))
        ratio = median(a / b for a, b in pairs)
        yield (
            f"{loop} loop, a step recorded",
            "the notebook's bare loop",
            f"{ours * 1e6:.1f} us",
            f"{theirs * 1e6:.1f} us",
            f"{ratio:.2f}",
            "<= 1.10",
        )


def recorded(loop: str, epochs: int) -> float:
    """Seconds a step, as the command takes it: finite, recorded in a journal, looked at."""
    overrides = [f"experiment={loop}", f"epochs={epochs}", "tolerance=0", "print_every=0"]
    return recorded_steps(overrides)


def recorded_steps(overrides: list[str]) -> float:
    """The same of that config, all of whose epochs are used; with its checkpoints."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = plain(compose_config("config", overrides))
    spec = checked(Cell(config, {}, overrides))
    ready = experiment.compose(spec)
    with tempfile.TemporaryDirectory() as folder, chdir(folder), project.here():
        journal = Journal(Path(folder) / "journal.db")
        limits, look = stop.limits_of(spec), Console(spec, ready.tensors)
        ended: list[FinishedRun] = []
        started = time.perf_counter()
        drive.execute(
            ready,
            [Start("", "", "")],
            limits,
            journal,
            [],
            lambda _, run: ended.append(run),
            look,
            every=config["checkpoint"]["every"],
        )
        seconds = time.perf_counter() - started
        journal.close()
    assert ended[0].end.outcome == "exhausted"
    steps: int = config["epochs"] * len(ready.batches.sizes)
    return seconds / steps


def bare_numpy(epochs: int) -> float:
    """The notebook's first loop: a float w, gradient and update by hand."""
    x = np.array([1, 2, 3, 4], dtype=np.float32)
    y = np.array([2, 4, 6, 8], dtype=np.float32)
    w = 0.0
    started = time.perf_counter()
    for _ in range(epochs):
        prediction = w * x
        loss = ((prediction - y) ** 2).mean()
        gradient = np.dot(2 * x, prediction - y).mean()
        w -= LR * gradient
        if loss < TOLERANCE:
            break
    return (time.perf_counter() - started) / epochs


def bare_autograd(epochs: int) -> float:
    """Its second: a tensor w, gradient by PyTorch, update by hand."""
    x = torch.tensor([1, 2, 3, 4], dtype=torch.float32)
    y = torch.tensor([2, 4, 6, 8], dtype=torch.float32)
    w = torch.tensor(0.0, requires_grad=True)
    started = time.perf_counter()
    for _ in range(epochs):
        prediction = w * x
        loss = ((y - prediction) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= LR * w.grad  # type: ignore[operator]
        w.grad.zero_()  # type: ignore[union-attr]
        if loss < TOLERANCE:
            break
    return (time.perf_counter() - started) / epochs


def bare_optimizer(epochs: int) -> float:
    """Its third: loss and update by PyTorch as well."""
    x = torch.tensor([1, 2, 3, 4], dtype=torch.float32)
    y = torch.tensor([2, 4, 6, 8], dtype=torch.float32)
    w = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=LR)
    return _bare_torch(epochs, lambda: w * x, y, optimizer)


def bare_module(epochs: int) -> float:
    """Its fourth: and the model."""
    x = torch.tensor([[1], [2], [3], [4]], dtype=torch.float32)
    y = torch.tensor([[2], [4], [6], [8]], dtype=torch.float32)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    return _bare_torch(epochs, lambda: model(x), y, optimizer)


def _bare_torch(
    epochs: int,
    predict: Callable[[], torch.Tensor],
    y: torch.Tensor,
    optimizer: torch.optim.Optimizer,
) -> float:
    criterion = torch.nn.MSELoss()
    started = time.perf_counter()
    for _ in range(epochs):
        loss = criterion(y, predict())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss < TOLERANCE:
            break
    return (time.perf_counter() - started) / epochs


BARE = {
    "numpy": bare_numpy,
    "autograd": bare_autograd,
    "optimizer": bare_optimizer,
    "module": bare_module,
}
