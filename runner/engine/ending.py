"""The end of a run, as its journal has it, and the file of where it was best."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from runner.base.failure import summary, whole
from runner.engine.patience import Best
from runner.engine.recorder import FinalFigures
from runner.model import Tensors
from runner.record.column import BEST, tensor_edges
from runner.record.journal import End, File


def end(
    outcome: str,
    figures: FinalFigures,
    epoch_steps: int,
    seconds: float,
    predictions: Mapping[str, float],
    reason: str | None,
    failure: BaseException | None,
) -> End:
    """The end of a run that recorded so much."""
    epochs = figures.steps // epoch_steps
    metrics = {"epochs_run": float(epochs), "seconds": seconds, **predictions}
    if figures.steps:
        metrics |= {"final_loss": figures.final_loss, "best_loss": figures.best_loss}
        metrics |= {f"final_{name}": value for name, value in figures.told.items()}
    tags = {"outcome": outcome}
    if outcome == "diverged":
        tags["diverged_at"] = str(figures.steps + 1)
    if failure is None:
        return End(outcome, metrics, tags, reason)
    return End(outcome, metrics, tags, whole(failure), summary=summary(failure))


def best_file(best: Best, tensors: Tensors) -> File:
    """The parameters where it was best, each tensor by its name."""
    parts = np.split(best.parameters, tensor_edges(tensors))
    named = zip(tensors.items(), parts, strict=True)
    return File(BEST, _as_npz({name: part.reshape(shape) for (name, shape), part in named}))


def _as_npz(arrays: Mapping[str, Any]) -> bytes:
    body = io.BytesIO()
    np.savez(body, allow_pickle=False, **arrays)
    return body.getvalue()
