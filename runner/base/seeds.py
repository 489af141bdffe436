"""Cells that differ in nothing but a seed: one setting, and how sure one can be of it."""

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from runner.base.arrays import Array

Key = TypeVar("Key", bound=Hashable)


def is_seed(key: str) -> bool:
    """Whether the param of that name draws something, and means nothing by its value."""
    last = key.rpartition(".")[2]
    return last == "seed" or last.endswith("_seed")


def settings(values: Sequence[Hashable]) -> list[list[int]]:
    """The cells of each setting, by what each cell has beside its seeds; both in their order."""
    found: dict[Hashable, list[int]] = {}
    for cell, value in enumerate(values):
        found.setdefault(value, []).append(cell)
    return list(found.values())


class Spread(NamedTuple):
    """How the cells of a setting have ended; what diverged has ended in infinity."""

    cells: int
    """So many values there are"""
    middle: float
    """The median; NaN if there are none"""
    low: float
    """The quartiles: of the values that there are, the nearest ones outwards"""
    high: float
    diverged: int


def spread(values: Sequence[float]) -> Spread:
    """Of the values that are there; NaN is none."""
    there = np.sort([value for value in values if not math.isnan(value)])
    if not len(there):
        return Spread(0, math.nan, math.nan, math.nan, 0)
    low, high = quartiles(there)
    return Spread(
        len(there), float(np.median(there)), float(low), float(high), int(np.isinf(there).sum())
    )


def quartiles(ranked: Array) -> tuple[Any, Any]:
    """Along the first axis of sorted values, (values, ...).

    Values that occurred, for nothing lies between a number and infinity.
    """
    last = len(ranked) - 1
    return ranked[math.floor(0.25 * last)], ranked[math.ceil(0.75 * last)]


def order_of(value: float) -> tuple[bool, bool, float]:
    """Return what sorts a value before larger ones, those before infinity, and that before NaN."""
    return not math.isfinite(value), math.isnan(value), 0.0 if math.isnan(value) else value


def least_of_each(values: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    """Return the least value of each key that has one below infinity."""
    least: dict[Key, float] = {}
    for key, value in values:
        if value < least.get(key, math.inf):
            least[key] = value
    return least


class Paired(NamedTuple):
    """Two settings, seed by seed."""

    better: int
    """So often the first was"""
    worse: int
    ties: int
    p: float
    """Of a difference at least so large by chance: the sign test, two-sided"""


def paired(one: Sequence[float], other: Sequence[float]) -> Paired:
    """Values of the same seeds, the less the better; those that tie do not count.

    The sign test: Conover, Practical Nonparametric Statistics, section 3.4.
    """
    pairs = list(zip(one, other, strict=True))
    better, worse = (sum(a < b for a, b in pairs), sum(a > b for a, b in pairs))
    count, most = better + worse, max(better, worse)
    tail = sum(math.comb(count, k) for k in range(most, count + 1))
    ties = sum(a == b for a, b in pairs)
    return Paired(better, worse, ties, min(1.0, 2 * tail / 2**count))
