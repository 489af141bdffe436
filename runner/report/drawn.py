"""Which runs of a comparison are drawn, in which colours, and with how many points."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.colour import colour
from runner.report.comparison import Comparison, Line

MOST_CURVES = 60
MOST_GROUPS = 8
MOST_POINTS = 240
LONGEST_LABEL = 40
DECADES = 2  # from so many on, an axis is logarithmic

# Two that share one have colours that stay far apart for everybody.
DASHES = ("solid", "dashed", "dotted", "dotdash", "dotted", "dashed", "dotdash", "solid")


class Group(NamedTuple):
    """Runs that share a colour and an entry in the legend."""

    label: str
    colour: str
    dash: str
    indices: tuple[int, ...]
    """Of the lines in the comparison."""


def choose(compared: Comparison) -> list[int]:
    """The indices of the lines to draw: all, or a sample, in the comparison's order.

    A sample holds the best and the worst of all and of each optimizer, and is otherwise evenly
    spaced from the best to the worst.
    """
    there = [index for index in compared.ranked() if compared.lines[index].has_curve]
    if len(there) <= MOST_CURVES:
        return sorted(there)
    chosen = {there[0], there[-1]}
    for optimizer in dict.fromkeys(_optimizer(compared.lines[index]) for index in there):
        own = [index for index in there if _optimizer(compared.lines[index]) == optimizer]
        chosen |= {own[0], own[-1]}
    left = [index for index in there if index not in chosen]
    count = max(0, MOST_CURVES - len(chosen))
    even = np.linspace(0, len(left) - 1, count).round().astype(int)
    return sorted({*chosen, *(left[number] for number in even)})


def _optimizer(line: Line) -> str:
    return line.run.params.get("optimizer", "") if line.run else ""


def groups(compared: Comparison, indices: Sequence[int]) -> list[Group]:
    """A few runs each for itself; more by the optimizer, or by what else has a few values."""
    if len(indices) <= MOST_GROUPS:
        named = [(label(compared, index), [index]) for index in indices]
    else:
        key = _grouping(compared, indices)
        by_value: dict[str, list[int]] = {}
        for index in indices:
            value = compared.lines[index].swept[key] if key else "all"
            by_value.setdefault(value, []).append(index)
        named = [
            (_said(key, value) if key else f"{len(indices)} cells", own)
            for value, own in by_value.items()
        ]
    return [
        Group(name, colour(number), DASHES[number % len(DASHES)], tuple(own))
        for number, (name, own) in enumerate(named)
    ]


def _grouping(compared: Comparison, indices: Sequence[int]) -> str | None:
    for key in sorted(compared.swept, key=lambda key: key != "optimizer"):
        values = {compared.lines[index].swept[key] for index in indices}
        if 2 <= len(values) <= MOST_GROUPS:
            return key
    return None


def label(compared: Comparison, index: int) -> str:
    """What tells a sweep's cell from the others, `sgd lr=0.1`; other runs by their names."""
    line = compared.lines[index]
    words = [_said(key, value) for key, value in line.swept.items() if value]
    text = " ".join(words) if compared.sweep and words else line.name
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 3]}..."


def _said(key: str, value: str) -> str:
    """An option that says it all by its name alone, anything else as `key=value`."""
    return value if key in ("optimizer", "experiment") else f"{key}={tidy(value)}"


def tidy(value: str) -> str:
    """A number without the digits that only rounding has made: 0.07100000000000001."""
    try:
        return f"{float(value):.12g}"
    except ValueError:
        return value


def thin(values: NDArray[np.floating[Any]], most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Places of at most so many of the values: the first, the last, and the extremes between.

    Of each of a number of even stretches, the least and the largest value are kept.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    kept = {0, count - 1}
    for stretch in np.array_split(np.arange(count), (most - 2) // 2):
        own = values[stretch]
        kept |= {int(stretch[own.argmin()]), int(stretch[own.argmax()])}
    return np.array(sorted(kept))


def is_wide(values: NDArray[np.floating[Any]]) -> bool:
    """Whether the positive values span enough for a logarithmic axis."""
    shown = values[np.isfinite(values) & (values > 0)]
    return len(shown) > 0 and bool(np.log10(shown.max()) - np.log10(shown.min()) >= DECADES)


def positive(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The values that a logarithmic axis can show, NaN for the others."""
    return np.where(values > 0, values, np.nan)
