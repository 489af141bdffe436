"""A sweep over seeds as a person reads it at its end: a line a setting, not a cell."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runner.base import seeds
from runner.base.console import WIDTH
from runner.engine.stop import is_ranked

MOST = 20
"""So many settings are told."""


class EndedCell(NamedTuple):
    """A cell that has ended."""

    problem: str
    """Which data and loss, as far as cells differ in it, as text"""
    setting: str
    """What else was swept but for the seeds, as text"""
    data: str
    """What tells its data from those of others; empty if that is not known"""
    outcome: str
    final_loss: float
    best_loss: float


def lines(ended: Sequence[EndedCell]) -> Iterator[str]:
    """The settings of each problem, the best first: medians and quartiles over their seeds.

    Where seeds draw different data, a loss is told over the least that was seen on the same data:
    else the data with the least noise would decide.
    """
    groups = seeds.settings([(cell.problem, cell.setting) for cell in ended])
    draws = any(len({ended[at].data for at in own} - {""}) > 1 for own in groups)
    is_over = draws and len(groups) > 1
    least: dict[tuple[str, str], float] = {}
    for cell in ended:
        there = least.get((cell.problem, cell.data), math.inf)
        least[cell.problem, cell.data] = min(there, _known(cell.best_loss))

    def value(cell: EndedCell) -> float:
        if cell.outcome == "diverged":
            return math.inf
        if not is_ranked(cell.outcome, cell.final_loss):
            return math.nan
        return cell.final_loss - (least[cell.problem, cell.data] if is_over else 0.0)

    found = [(seeds.spread([value(ended[at]) for at in own]), ended[own[0]]) for own in groups]
    order = list(dict.fromkeys(cell.problem for cell in ended))
    found.sort(key=lambda one: (order.index(one[1].problem), *_rank(one[0])))
    what = "above best" if is_over else "final loss"
    room = WIDTH - 44
    yield f"{'medians of':<{room}}{what:>12}{'from':>11}{'to':>11}{'diverged':>10}"
    without = sum(not spread.cells for spread, _ in found)
    found = [one for one in found if one[0].cells]
    for number, (spread, cell) in enumerate(found[:MOST]):
        if len(order) > 1 and (number == 0 or cell.problem != found[number - 1][1].problem):
            yield f"of {cell.problem}"
        told = "".join(f"{one:>11.5g}" for one in (spread.low, spread.high))
        share = f"{spread.diverged} of {spread.cells}"
        name = cell.setting or "all seeds"
        short = name if len(name) < room else f"{name[: room - 4]}..."
        yield f"{short:<{room}}{spread.middle:>12.6g}{told}{share:>10}"
    if len(found) > MOST:
        yield f"and {len(found) - MOST} more settings: see the report"
    if without:
        yield f"and {without} that ended in no number: pruned, or failed"
    if is_over:
        yield "The seeds draw the data: losses are told less the best one seen on the same"
        yield "data. The report has the excess loss."


def _rank(spread: seeds.Spread) -> tuple[bool, float, int]:
    return math.isnan(spread.middle), spread.middle, spread.diverged


def _known(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss
