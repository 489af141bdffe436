"""From what was typed for a sweep to the overrides of each cell, in their order."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from runner.base.overrides import parse
from runner.base.text import beginning_of
from runner.config import sample
from runner.config.refused import message
from runner.config.sample import Axis, Sampling
from runner.config.schema import Values
from runner.config.settings import DEFAULTS
from runner.errors import ConfigError

MOST_CELLS = 10**6
"""More of them would not fit in memory."""


class Split(NamedTuple):
    """What was typed for a sweep: what every cell has, and what is swept."""

    how: Sampling
    axes: Sequence[Axis]
    plain: Mapping[int, str]
    """Of the places without an axis, the override there"""

    def overrides(self, turn: Iterable[tuple[int, str]]) -> list[str]:
        """Those of the cell with these at the places of axes."""
        own = {**self.plain, **dict(turn)}
        return [own[place] for place in sorted(own)]

    def cells(self) -> list[list[str]]:
        """The overrides of each cell. Raises ConfigError."""
        if self.how.is_search:
            which = f"sweep.sampler={self.how.sampler}"
            raise ConfigError(which, "only hydra/launcher=stacks, the default, can search")
        return [self.overrides(turn) for turn in sample.cells(self.how, self.axes, MOST_CELLS)]


def split(overrides: Sequence[Override], chosen: Values = DEFAULTS) -> Split:
    """What is swept, and how: by the settings that are `chosen`. Raises ConfigError.

    A cell has every override in its place, as its lone run would. A sweep gives way to a later
    value for its key: so the command line has its way with the values of a grid.
    """
    kept = [
        one
        for number, one in enumerate(overrides)
        if not (
            one.is_sweep_override() and any(_replaces(two, one) for two in overrides[number + 1 :])
        )
    ]
    how = sample.sampling(chosen)
    plain = {place: str(one.input_line) for place, one in enumerate(kept) if not _is_swept(one)}
    axes = [
        sample.axis(place, one, _choices(one)) for place, one in enumerate(kept) if _is_swept(one)
    ]
    return Split(how, axes, plain)


def batches(cells: Sequence[list[str]], most: int | None) -> list[list[list[str]]]:
    """Cells in batches of `most` cells. Raises ConfigError."""
    if most is not None and most < 1:
        raise ConfigError("hydra.sweeper.max_batch_size", expected="1 or more, or null", got=most)
    size = most or len(cells)
    return [list(cells[at : at + size]) for at in range(0, len(cells), size)]


def with_their_options(words: Sequence[str]) -> list[str]:
    """The words of a command line, with what is set in an option that is swept swept as well.

    For `optimizer=adam,adamw optimizer.betas=[0.8,0.99]`: Hydra first composes what is not swept by
    itself, and its own option, `sgd`, has no betas. A choice of one value is left for the cells.
    """
    parser = OverridesParser.create()
    parsed: list[Override | None] = []
    for word in words:
        try:
            parsed += parser.parse_overrides([word]) if "=" in word and word[0] != "-" else [None]
        except HydraException:  # which Hydra will say itself
            parsed.append(None)
    known = [one for one in parsed if one is not None]
    swept = {one.key_or_group for one in known if one.is_sweep_override() and not _merges(one)}
    often = Counter(one.key_or_group for one in known)
    made = []
    for word, one in zip(words, parsed, strict=True):
        typed = parse(word)
        own = one.key_or_group if one and not one.is_sweep_override() else ""
        is_within = own.split(".")[0] in swept - {own} and often[own] == 1
        wrap = is_within and typed.value and not typed.removes
        made.append(f"{typed.written_key}=choice({typed.value})" if wrap else word)
    return made


def _is_swept(one: Override) -> bool:
    return bool(one.is_sweep_override())


def _replaces(later: Override, sweep: Override) -> bool:
    """Whether nothing is left of the sweep: as of a value that another one takes the place of.

    A mapping is merged, into whatever option is chosen; `~key=value` only takes that one value.
    """
    same = (later.key_or_group, later.package) == (sweep.key_or_group, sweep.package)
    takes_one = later.is_delete() and later.value() is not None
    return same and not takes_one and not _merges(later) and not _merges(sweep)


def _merges(one: Override) -> bool:
    """Whether it has a mapping among its values."""
    value = one.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    return any(isinstance(each, dict) for each in values)


def _choices(one: Override) -> list[str]:
    """The override for each of its values; none for an interval. Raises ConfigError."""
    line = beginning_of(str(one.input_line))
    if one.key_or_group == "grid":
        raise ConfigError(line, "a grid is a sweep by itself: expected one, without a comma")
    if isinstance(one.value(), IntervalSweep):
        return []
    if not one.is_discrete_sweep():
        raise ConfigError(line, "has no end of values: expected a choice(...) or a range(...)")
    _check_range(one, line)
    try:
        texts = list(one.sweep_string_iterator())
    except Exception as error:  # of Hydra's, or of Python's range
        raise ConfigError(line, f"{message(error)}") from error
    if not texts:
        raise ConfigError(line, f"has no value, so that the sweep has no cell{_instead(one)}")
    return [f"{one.get_key_element()}={text}" for text in texts]


def _check_range(one: Override, line: str) -> None:
    """Refuse a range that Hydra would go through for ever."""
    swept = one.value()
    if not isinstance(swept, RangeSweep):
        return
    bounds = [float(bound) for bound in (swept.start, swept.stop, swept.step) if bound is not None]
    if not all(map(math.isfinite, bounds)):
        raise ConfigError(line, "expected finite bounds and a finite step")
    start, stop, step = swept.start or 0, swept.stop or 0, swept.step
    if step == 0:
        raise ConfigError(line, "expected a step other than 0")
    if (stop - start) / step > MOST_CELLS:
        raise ConfigError(line, f"has more than {MOST_CELLS} values, which is the most")


def _instead(one: Override) -> str:
    """What a group has to choose from."""
    loader = one.config_loader
    options = loader.get_group_options(one.key_or_group) if loader else []
    return f": expected some of {', '.join(options)}" if options else ""
