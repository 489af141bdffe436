"""What became of a cell."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from runner.record.journal import End


class Result(NamedTuple):
    """A cell that has ended, or that an earlier sweep had done."""

    cell: int
    """Its number in the sweep, from 0."""
    outcome: str
    run: str = ""
    """Its id in the journal."""
    epochs: int = 0
    final_loss: float = math.nan
    best_loss: float = math.nan
    seconds: float = math.nan
    """Of a stack: the cell's share."""
    reason: str = ""
    """Why it failed, in a line."""
    was_done: bool = False
    metrics: Mapping[str, float] = {}
    """What was recorded at its end, those above among it"""


def result(cell: int, run: str, end: End, *, was_done: bool = False) -> Result:
    """The result of the run that ended so."""
    metrics = end.metrics
    return Result(
        cell,
        end.outcome,
        run,
        int(metrics.get("epochs_run", 0)),
        metrics.get("final_loss", math.nan),
        metrics.get("best_loss", math.nan),
        metrics.get("seconds", math.nan),
        end.brief,
        was_done,
        metrics,
    )
