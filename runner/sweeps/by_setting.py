"""A sweep over seeds as a person reads it at its end: a line a setting, not a cell."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runner.base import seeds
from runner.base.console import WIDTH
from runner.base.text import shorten
from runner.engine.stop import ranked_value

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
    least = seeds.least_of_each(((cell.problem, cell.data), cell.best_loss) for cell in ended)

    def value(cell: EndedCell) -> float:
        over = least.get((cell.problem, cell.data), math.inf) if is_over else 0.0
        return ranked_value(cell.outcome, cell.final_loss, cell.final_loss - over)

    found = [(seeds.spread([value(ended[at]) for at in own]), ended[own[0]]) for own in groups]
    order = list(dict.fromkeys(cell.problem for cell in ended))
    found.sort(
        key=lambda one: (
            order.index(one[1].problem),
            *seeds.order_of(one[0].middle),
            one[0].diverged,
        )
    )
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
        name = shorten(cell.setting or "all seeds", room - 1)
        yield f"{name:<{room}}{spread.middle:>12.6g}{told}{share:>10}"
    if len(found) > MOST:
        yield f"and {len(found) - MOST} more settings: see the report"
    if without:
        yield f"and {without} that ended in no number: pruned, or failed"
    if is_over:
        yield "The seeds draw the data: losses are told less the best one seen on the same"
        yield "data. The report has the excess loss."
