"""A sweep over seeds as a person reads it at its end: a line a setting, not a cell."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runner import seeds
from runner.console import WIDTH
from runner.stop import is_ranked

MOST = 20
"""So many settings are told."""


class Ended(NamedTuple):
    """A cell that has ended."""

    setting: str
    """What was swept but for the seeds, as text"""
    data: str
    """What tells its data from those of others; empty if that is not known"""
    outcome: str
    final_loss: float
    best_loss: float


def lines(ended: Sequence[Ended]) -> Iterator[str]:
    """The settings, the best first: medians and quartiles over their seeds, what diverged last.

    Where seeds draw different data, a loss is told over the least that was seen on the same data:
    else the data with the least noise would decide.
    """
    groups = seeds.settings([cell.setting for cell in ended])
    draws = any(len({ended[at].data for at in own} - {""}) > 1 for own in groups)
    is_over = draws and len(groups) > 1
    least: dict[str, float] = {}
    for cell in ended:
        least[cell.data] = min(least.get(cell.data, math.inf), _known(cell.best_loss))

    def value(cell: Ended) -> float:
        if cell.outcome == "diverged":
            return math.inf
        if not is_ranked(cell.outcome, cell.final_loss):
            return math.nan
        return cell.final_loss - (least[cell.data] if is_over else 0.0)

    found = [
        (seeds.spread([value(ended[at]) for at in own]), ended[own[0]].setting) for own in groups
    ]
    found.sort(key=lambda one: (math.isnan(one[0].middle), one[0].middle, one[0].diverged))
    what = "above best" if is_over else "final loss"
    yield f"{'medians':<14}{what:>12}{'from':>11}{'to':>11}{'diverged':>10}  setting"
    for spread, name in found[:MOST]:
        told = "".join(f"{one:>11.5g}" for one in (spread.low, spread.high))
        share = f"{spread.diverged} of {spread.cells}"
        room = WIDTH - 60
        short = name if len(name) <= room else f"{name[: room - 3]}..."
        yield f"{'':<14}{spread.middle:>12.6g}{told}{share:>10}  {short}"
    if len(found) > MOST:
        yield f"{'':<14}and {len(found) - MOST} more settings: see the report"
    if is_over:
        yield "The seeds draw the data: told is by how much a final loss is above the best one seen"
        yield "on the same data. The report has the excess loss."


def _known(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss
