"""How each converges: the plots over the steps, and what can be chosen there."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runner.config.cell import TARGET
from runner.record.column import EVALUATIONS, LOSS, MEASURE, SCHEDULE, VALIDATION
from runner.report import figures
from runner.report.comparison import Comparison
from runner.report.drawn import is_wide
from runner.report.series import EXCESS, SECONDS, Key, Series

MOST_PLOTS = 6
RANGE_TEST = "runner.schedule.range_test"
"""A schedule whose loss is looked at over the learning rate"""


def convergence(
    compared: Comparison, told: Series, drawn: Sequence[int], made: dict[str, Any]
) -> dict[str, Any]:
    """The plots over the steps, and what can be chosen for the largest of them."""
    keys = list(told.curves)
    made["converge"] = figures.curves("converge", "loss", named=True)
    beside = [key for role in (VALIDATION, MEASURE) for key in keys if key.role == role]
    beside = beside[:MOST_PLOTS]
    below = [key for key in keys if key.role == SCHEDULE][:MOST_PLOTS]
    panels = []
    for number, key in enumerate([*beside, *below]):
        made[f"panel{number}"] = figures.curves(f"panel{number}", key.name, small=True)
        panels.append({"plot": f"panel{number}", "quantity": keys.index(key)})
    names = [panel["plot"] for panel in panels]
    exact = {line.is_exact for line in compared.lines if line.has_curve}
    first = Key(EXCESS, "excess loss")
    if exact != {True} or first not in told.curves:
        first = Key(LOSS, "loss")
    along = ["step", "epoch", "gradient evaluations"]
    along += ["seconds"] if any(key.role == SECONDS for key in keys) else []
    along += ["learning rate"] if any(key.role == SCHEDULE for key in keys) else []
    is_range_test = _schedules(compared) == {RANGE_TEST}
    values = np.concatenate([curve.values for curve in told.curves[first]])
    return {
        "quantities": [key.name for key in keys if key.role not in (SECONDS, EVALUATIONS)],
        "first": first.name,
        "log": is_wide(values),
        "along": along,
        "over": "learning rate" if is_range_test else "epoch",
        "log_over": is_range_test,
        "beside": names[: len(beside)],
        "below": names[len(beside) :],
        "panels": panels,
        "words": list(_of_curves(compared, told, drawn, exact)),
    }


def _schedules(compared: Comparison) -> set[str]:
    """The functions, or classes, of the runs' schedules."""
    return {line.run.params.get(f"schedule{TARGET}", "") for line in compared.lines if line.run}


def _of_curves(
    compared: Comparison, told: Series, drawn: Sequence[int], exact: set[bool]
) -> Iterator[str]:
    """What a reader of the curves should know."""
    if Key(EXCESS, "excess loss") in told.curves:
        least = "in closed form" if exact == {True} else "the best seen on the same data"
        if len(exact) > 1:
            least = "in closed form, or the best seen on the same data where there is none"
        yield f"Excess loss is the loss less the least there is, {least}."
    if any(line.outcome == "diverged" for line in compared.lines):
        yield "An axis of losses ends at 100 times the largest one at the start."
    if len(drawn) < (there := len(compared.settings)):
        yield (
            f"Drawn are {len(drawn)} of {there} settings: the best and the worst of all and of "
            "each optimizer, and between them evenly spaced ones. What is marked is drawn as well."
        )
    if compared.seeded:
        yield (
            "A line is the median over the seeds, the band from a quarter to three quarters; a "
            "cell that has stopped goes on with its last value, one that diverged as infinite."
        )
