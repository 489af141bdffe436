"""Which runs of a comparison are drawn, in which colours, and with how many points."""

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.base.colour import colour
from runner.base.text import shorten
from runner.record.differing import said, short
from runner.report.comparison import Comparison
from runner.report.setting import Setting

MOST_CURVES = 60
MOST_BANDS = 12
"""So many settings at most are drawn where each is one curve, or a median and a band."""
MOST_GROUPS = 8
MOST_POINTS = 160
LONGEST_LABEL = 60
DECADES = 2  # from so many on, an axis is logarithmic

# Two that share one have colours that stay far apart for everybody.
DASHES = ("solid", "dashed", "dotted", "dotdash", "dotted", "dashed", "dotdash", "solid")
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus")


class LegendGroup(NamedTuple):
    """Settings that share a colour and an entry in the legend."""

    label: str
    colour: str
    dash: str
    marker: str
    settings: tuple[int, ...]
    """Their indices in the comparison's"""


def choose(compared: Comparison) -> list[int]:
    """The indices of the settings to draw: all, or a sample, the best first.

    A sample holds the best and the worst of all and of each optimizer, and is otherwise evenly
    spaced from the best to the worst.
    """
    settings = compared.settings
    there = [
        index
        for index, setting in enumerate(settings)
        if any(compared.lines[line].has_curve for line in setting.lines)
    ]
    most = MOST_BANDS if compared.seeded else MOST_CURVES
    if len(there) <= most:
        return there
    chosen = {there[0], there[-1]}
    optimizers = {index: _optimizer(compared, settings[index]) for index in there}
    for optimizer in dict.fromkeys(optimizers.values()):
        own = [index for index in there if optimizers[index] == optimizer]
        if len(chosen | {own[0], own[-1]}) <= most:
            chosen |= {own[0], own[-1]}
    left = [index for index in there if index not in chosen]
    even = np.linspace(0, len(left) - 1, most - len(chosen)).round().astype(int)
    return sorted({*chosen, *(left[number] for number in even)})


def _optimizer(compared: Comparison, setting: Setting) -> str:
    run = compared.lines[setting.lines[0]].run
    return run.params.get("optimizer", "") if run else ""


def groups(compared: Comparison) -> list[LegendGroup]:
    """A few settings each for itself; more by the optimizer, or by what else has a few values."""
    settings = compared.settings
    if len(settings) <= MOST_GROUPS:
        named = [(setting_label(compared, index), [index]) for index in range(len(settings))]
    else:
        key = _grouping(compared)
        by_value: dict[str, list[int]] = {}
        order = sorted(range(len(settings)), key=lambda index: settings[index].lines[0])
        for index in order:
            setting = settings[index]
            by_value.setdefault(setting.values[key] if key else "all", []).append(index)
        named = [
            (said(short(compared.swept)[key], value) if key else f"{len(settings)} settings", own)
            for value, own in by_value.items()
        ]
    return [
        LegendGroup(name, colour(number), DASHES[number % 8], MARKERS[number % 8], tuple(own))
        for number, (name, own) in enumerate(named)
    ]


def _grouping(compared: Comparison) -> str | None:
    for key in sorted(compared.settings[0].values, key=lambda key: key != "optimizer"):
        values = {setting.values[key] for setting in compared.settings}
        if 2 <= len(values) <= MOST_GROUPS:
            return key
    return None


def setting_label(compared: Comparison, index: int) -> str:
    """What tells a setting from the others, `sgd lr=0.1`; a run of no sweep by its name."""
    setting = compared.settings[index]
    if compared.sweep or compared.seeded:
        return shorten(_words(compared, setting.values) or "all seeds", LONGEST_LABEL)
    return shorten(compared.lines[setting.lines[0]].name, LONGEST_LABEL)


def label(compared: Comparison, index: int) -> str:
    """What tells a sweep's cell from the others, `sgd lr=0.1`; other runs by their names."""
    line = compared.lines[index]
    return shorten((compared.sweep and _words(compared, line.swept)) or line.name, LONGEST_LABEL)


def _words(compared: Comparison, values: Mapping[str, str]) -> str:
    known = short(compared.swept)
    return " ".join(said(known[key], value) for key, value in values.items() if value)


@lru_cache(maxsize=256)
def grid(last: int, most: int) -> NDArray[np.int64]:
    """Up to so many steps from 0 to the last, denser at the beginning, where most happens."""
    if last < 1:
        return np.zeros(1, np.int64)
    half = max(2, most // 2)
    both = np.concatenate([[0], np.geomspace(1, last, half), np.linspace(0, last, half)])
    steps: NDArray[np.int64] = np.unique(both.round().astype(np.int64))
    return steps


def thin(values: NDArray[np.floating[Any]], most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Places of at most so many of the values: the first, the last, and the extremes between.

    Of each of a number of stretches, the least and the largest value are kept; the stretches are
    even on a linear and on a logarithmic scale.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    kept = {0, count - 1}
    edges = grid(count, (most - 2) // 2)
    for first, after in pairwise(edges):
        own = values[first:after]
        kept |= {int(first + own.argmin()), int(first + own.argmax())}
    return np.array(sorted(kept))


def is_wide(values: NDArray[np.floating[Any]]) -> bool:
    """Whether the positive values span enough for a logarithmic axis."""
    shown = values[np.isfinite(values) & (values > 0)]
    return len(shown) > 0 and bool(np.log10(shown.max()) - np.log10(shown.min()) >= DECADES)


def positive(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The values that a logarithmic axis can show, NaN for the others."""
    return np.where(values > 0, values, np.nan)
