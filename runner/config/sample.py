"""Which values of what is swept go together in a cell: all with all, in pairs, or a sample.

An interval has no end of values: so many of it are taken, evenly spaced or by their logarithm, or
drawn. What is drawn follows from `sweep.seed` alone.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from hydra.core.override_parser.types import IntervalSweep, Override
from numpy.typing import NDArray

from runner.base.seeds import is_seed
from runner.config.samplers import sampler as sampler_of
from runner.config.settings import SAMPLERS
from runner.errors import ConfigError

DIGITS = 3
"""So many significant digits a value of an interval has, as a person would write it."""
ALL_DIGITS = 17
LOG = "log"


class Sampling(NamedTuple):
    """What a sweep says of it."""

    sampler: str
    samples: int | None
    zipped: list[list[str]]
    """Keys whose values go together, one after another"""
    seed: int
    batch: int | None = None
    """So many does a search ask for at once"""

    @property
    def is_search(self) -> bool:
        """Whether what comes next depends on what came of those before."""
        return self.sampler not in SAMPLERS


class Axis(NamedTuple):
    """An override of a sweep, in its place."""

    place: int
    key: str
    element: str
    """The key as it was typed, with what stands before it"""
    texts: Sequence[str]
    """Of each of its values, the override; none of an interval"""
    interval: IntervalSweep | None = None


def sampling(chosen: Mapping[str, Any]) -> Sampling:
    """From the settings of the sweep. Raises ConfigError."""
    sampler, samples = chosen["sampler"], chosen["samples"]
    zipped, seed, batch = chosen["zip"], chosen["seed"], chosen["batch"]
    if sampler not in SAMPLERS:
        sampler_of(str(sampler), 0)
    if samples is not None and (not isinstance(samples, int) or samples < 1):
        raise ConfigError("sweep.samples", expected="1 or more, or null", got=samples)
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise ConfigError("sweep.batch", expected="1 or more, or null", got=batch)
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError("sweep.seed", expected="0 or more", got=seed)
    groups = zipped if isinstance(zipped, list) else [] if zipped is None else [zipped]
    groups = groups if groups and isinstance(groups[0], list) else [groups] if groups else []
    if any(not isinstance(one, list) or len(one) < 2 for one in groups):
        raise ConfigError(
            "sweep.zip", "expected two keys or more, [lr,batch_size], or several such"
        )
    named = [[str(key) for key in own] for own in groups]
    return Sampling(str(sampler), samples, named, seed, batch)


def cells(how: Sampling, axes: Sequence[Axis], most: int) -> Iterator[list[tuple[int, str]]]:
    """Of each cell, the override at each place of an axis. Raises ConfigError."""
    if how.sampler == "grid":
        wheels = _wheels(how, [_spaced(axis, how.samples) for axis in axes])
        if how.batch:
            raise ConfigError("sweep.batch", "is of a search: sweep.sampler=tpe, say")
        if how.samples is not None and not any(axis.interval for axis in axes):
            raise ConfigError("sweep.samples", "expected an interval(...) of which to take them")
        _count([len(wheel) for wheel in wheels], most)
        yield from (_flat(turn) for turn in itertools.product(*wheels))
        return
    if how.batch:
        raise ConfigError("sweep.batch", f"is of a search, and {how.sampler} learns nothing")
    of = space(how, axes)
    _count([how.samples or 0, *(len(wheel) for wheel in of.seeds)], most)
    for shares in _shares(how, len(of.scales) + len(of.wheels)):
        texts = [scale.at(share) for scale, share in zip(of.scales, shares, strict=False)]
        positions = [
            min(int(share * len(wheel)), len(wheel) - 1)
            for wheel, share in zip(of.wheels, shares[len(of.scales) :], strict=True)
        ]
        yield from of.sample(texts, positions)


Turn = list[tuple[int, str]]
"""Of some places, the override at each"""


class Space(NamedTuple):
    """What is drawn of, and the seeds that each sample has."""

    scales: list["Scale"]
    wheels: list[list[Turn]]
    """Of each, one turn is taken"""
    keys: list[str]
    """What the wheels turn"""
    seeds: list[list[Turn]]
    """Of each, every turn is taken"""

    def sample(self, texts: Sequence[str], positions: Sequence[int]) -> list[Turn]:
        """The sample with these values of the scales and wheels, with every seed."""
        own = [
            [(scale.axis.place, f"{scale.axis.element}={text}")]
            for scale, text in zip(self.scales, texts, strict=True)
        ]
        own += [wheel[at] for wheel, at in zip(self.wheels, positions, strict=True)]
        return [_flat([*own, *turn]) for turn in itertools.product(*self.seeds)]


def _flat(turn: Sequence[Turn]) -> Turn:
    return sorted(itertools.chain(*turn))


def _count(sizes: Sequence[int], most: int) -> None:
    if (count := math.prod(sizes)) > most:
        raise ConfigError(f"the sweep has {count} cells: expected {most} at most")


def _wheels(how: Sampling, axes: Sequence[Axis]) -> list[list[Turn]]:
    """What turns by itself: an axis, or those that are zipped, each a list of its positions."""
    by_key = {axis.key: axis for axis in axes}
    told = [key for group in how.zipped for key in group]
    if twice := [key for key in told if told.count(key) > 1]:
        raise ConfigError("sweep.zip", f"{twice[0]} is named twice")
    if missing := [key for key in told if key not in by_key]:
        raise ConfigError("sweep.zip", f"{missing[0]} is not swept")
    wheels: dict[int, list[Turn]] = {
        axis.place: [[(axis.place, text)] for text in axis.texts]
        for axis in axes
        if axis.key not in told
    }
    for group in how.zipped:
        own = [by_key[key] for key in group]
        if len({len(axis.texts) for axis in own}) > 1:
            sizes = ", ".join(f"{axis.key} has {len(axis.texts)}" for axis in own)
            raise ConfigError("sweep.zip", f"expected as many values of each, but {sizes}")
        rows = zip(*(axis.texts for axis in own), strict=True)
        places = [axis.place for axis in own]
        wheels[min(places)] = [list(zip(places, row, strict=True)) for row in rows]
    return [wheels[place] for place in sorted(wheels)]


def _spaced(axis: Axis, samples: int | None) -> Axis:
    """The axis with values of its interval, both ends among them."""
    if axis.interval is None:
        return axis
    if samples is None:
        raise ConfigError(
            f"{axis.key}: an interval has no end of values: expected sweep.samples, so many of it, "
            "or a choice(...) or a range(...)"
        )
    if samples == 1:
        raise ConfigError("sweep.samples", "expected 2 or more, for both ends of the interval")
    scale, shares = Scale(axis), np.linspace(0, 1, samples)
    for digits in range(DIGITS, ALL_DIGITS + 1):
        values = [scale.at(share, digits) for share in shares]
        if len(set(values)) == samples:  # of whole numbers there may be fewer
            break
    return axis._replace(texts=[f"{axis.element}={text}" for text in dict.fromkeys(values)])


def space(how: Sampling, axes: Sequence[Axis]) -> Space:
    """What is drawn of; what is zipped is drawn as one. Raises ConfigError."""
    if how.samples is None:
        raise ConfigError("sweep.samples", f"expected how many cells {how.sampler} is to draw")
    drawn = [axis for axis in axes if not is_seed(axis.key)]
    crossed = [axis for axis in axes if is_seed(axis.key)]
    if endless := [axis.key for axis in crossed if axis.interval]:
        raise ConfigError(f"{endless[0]}: expected a range(...), for each sample has every seed")
    zipped = {key for group in how.zipped for key in group}
    if bad := [axis.key for axis in drawn if axis.interval and axis.key in zipped]:
        raise ConfigError("sweep.zip", f"{bad[0]} is an interval, of which {how.sampler} draws")
    of_seeds = [group for group in how.zipped if all(map(is_seed, group))]
    others = how._replace(zipped=[group for group in how.zipped if group not in of_seeds])
    scales = [Scale(axis) for axis in drawn if axis.interval]
    finite = [axis for axis in drawn if not axis.interval]
    wheels, keys = _wheels(others, finite), {axis.place: axis.key for axis in finite}
    if not scales and not wheels:
        raise ConfigError(f"sweep.sampler={how.sampler}: nothing but seeds is swept")
    named = [",".join(keys[place] for place, _ in wheel[0]) for wheel in wheels]
    return Space(scales, wheels, named, _wheels(how._replace(zipped=of_seeds), crossed))


def _shares(how: Sampling, dimensions: int) -> NDArray[np.float64]:
    """(samples, dimensions), from 0 to 1."""
    rng = np.random.default_rng(how.seed)
    assert how.samples is not None
    if how.sampler == "random":
        return rng.random((how.samples, dimensions))
    from scipy.stats.qmc import Sobol  # now that it is worth its import

    made: Any = Sobol(dimensions, rng=rng)
    # Of the powers of two that it is balanced for, the next one, cut off.
    points: NDArray[np.float64] = made.random_base2(math.ceil(math.log2(how.samples)))
    return points[: how.samples]


class Scale:
    """An interval, whose values are even on a linear or on a logarithmic scale."""

    def __init__(self, axis: Axis) -> None:
        assert axis.interval is not None
        low, high = axis.interval.start, axis.interval.end
        self.axis, self.is_whole = axis, isinstance(low, int) and isinstance(high, int)
        unknown = sorted(set(axis.interval.tags) - {LOG})
        if unknown:
            raise ConfigError(f"{axis.key}: expected no tag but {LOG}, got {', '.join(unknown)}")
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            raise ConfigError(f"{axis.key}: expected finite ends of the interval")
        if low >= high:
            raise ConfigError(f"{axis.key}: expected an interval from less to more")
        self.is_log = LOG in axis.interval.tags
        if self.is_log and low <= 0:
            raise ConfigError(f"{axis.key}: expected ends above 0 for a logarithmic scale")
        self.low, self.high = low, high

    def at(self, share: float, digits: int = DIGITS) -> str:
        """The value at a share of the way, in so many digits; the ends as they are."""
        low, high = float(self.low), float(self.high)
        if self.is_log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        if share in (0.0, 1.0):
            value = (low, high)[int(share)]
        return self.written(value, digits)

    def written(self, value: float, digits: int = DIGITS) -> str:
        """The value in so many digits; the ends as they are."""
        low, high = self.low, self.high
        if self.is_whole:
            return str(min(max(round(value), int(low)), int(high)))
        if value in (low, high):
            return repr(float(value))
        rounded = float(f"{value:.{digits}g}")
        return repr(min(max(rounded, float(low)), float(high)))


def axis(place: int, one: Override, texts: Sequence[str]) -> Axis:
    """The axis of an override that sweeps."""
    value = one.value()
    interval = value if isinstance(value, IntervalSweep) else None
    return Axis(place, one.key_or_group, one.get_key_element(), texts, interval)
