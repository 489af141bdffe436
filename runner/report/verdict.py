"""Which setting is best, and how sure that is, in sentences."""

import math
from collections.abc import Iterator, Sequence

from runner.base.text import counted
from runner.report.comparison import Comparison
from runner.report.drawn import setting_label
from runner.report.setting import Setting

MOST_PROBLEMS = 6
MOST_NAMED = 3


def verdict(compared: Comparison) -> Iterator[str]:
    """A few sentences, for the head of the page and the end of a table."""
    problems = compared.problems()
    if len(problems) > 1:
        yield (
            "Not all fit the same data by the same loss: settings are ranked within each of "
            f"{len(problems)} problems, and not across them."
        )
    for number, (problem, settings) in enumerate(problems.items()):
        if number == MOST_PROBLEMS:
            yield f"And {len(problems) - number} problems more."
            break
        of = f"Of {problem}: " if len(problems) > 1 else ""
        yield from _best(compared, settings, of)
    if compared.seeded and compared.draws:
        yield f"The seeds draw the data as well, so what is compared is {_what(compared)}."
    yield from _chance(compared)


def _best(compared: Comparison, settings: Sequence[Setting], of: str) -> Iterator[str]:
    """Which setting of a problem is best, and against the next."""
    ended = [one for one in settings if one.spread.cells]
    lost = [setting for setting in settings if setting not in ended]
    pruned = [one for one in lost if any(_is_pruned(compared, index) for index in one.lines)]
    if pruned:
        yield f"{of}{counted(len(pruned), 'setting')} were pruned, and are not ranked."
    if count := len(lost) - len(pruned):
        yield f"{of}{counted(count, 'setting')} ended in no number: see what failed."
    if not ended:
        return
    if not math.isfinite(ended[0].spread.middle):
        all_of_them = all(one.spread.diverged == one.spread.cells for one in ended)
        yield f"{of}None is best: {'all' if all_of_them else 'most'} of what ran has diverged."
        return
    best, *others = ended
    alike = [one for one in others if _is_alike(compared, one, best)]
    if alike:
        names = [_name(compared, one) for one in (best, *alike)]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        subject = f"{', '.join(names[:MOST_NAMED])}{more} are equally good: "
    else:
        subject = f"{'Best is ' if others else ''}{_name(compared, best)}: "
    yield f"{of}{subject}{_ended(compared, best)}."
    if others and not alike and compared.seeded and not _is_constant(compared):
        yield _against(compared, best, others[0])


def _is_pruned(compared: Comparison, index: int) -> bool:
    return compared.lines[index].outcome == "pruned"


def _is_alike(compared: Comparison, one: Setting, other: Setting) -> bool:
    """Whether each cell of the one ends as the other's does."""
    own, theirs = (sorted(map(compared.value, setting.lines)) for setting in (one, other))
    return own == theirs


def _is_constant(compared: Comparison) -> bool:
    """Whether seeds make no difference: all cells of each setting end alike."""
    ends = [{compared.value(index) for index in one.lines} for one in compared.settings]
    repeated = any(len(one.lines) > 1 for one in compared.settings)
    return repeated and all(len(own) == 1 for own in ends)


def _chance(compared: Comparison) -> Iterator[str]:
    """What can be said of chance."""
    if compared.seeded and _is_constant(compared):
        yield "The seed makes no difference here: all cells of a setting end alike."
    elif not compared.seeded and len(compared.lines) > 1:
        yield (
            "Each setting was run once. Where the seed plays a part, a sweep over it would tell "
            "merit from chance."
        )


def _against(compared: Comparison, best: Setting, following: Setting) -> str:
    pairs = compared.paired(best, following)
    name, count = _name(compared, following), pairs.better + pairs.worse + pairs.ties
    if not pairs.better + pairs.worse:
        return f"The next, {name}, is as good on every seed."
    ties = f", as good on {pairs.ties}" if pairs.ties else ""
    return (
        f"Against the next, {name}, it is better on {pairs.better} of {counted(count, 'seed')}, "
        f"worse on {pairs.worse}{ties} (sign test: p = {pairs.p:.2g})."
    )


def _ended(compared: Comparison, best: Setting) -> str:
    spread = best.spread
    if not compared.seeded:
        line = compared.lines[best.lines[0]]
        after = counted(line.epochs, "epoch")
        return f"{compared.by} {spread.middle:.6g} after {after}, {line.outcome}"
    diverged = f"{spread.diverged} of them diverged" if spread.diverged else "none diverged"
    lost = len(best.lines) - spread.cells
    more = f", {lost} ended in no number" if lost else ""
    return (
        f"median {compared.by} {spread.middle:.6g} over {counted(spread.cells, 'seed')}, half of "
        f"them from {spread.low:.6g} to {spread.high:.6g}, {diverged}{more}"
    )


def _name(compared: Comparison, setting: Setting) -> str:
    return setting_label(compared, compared.settings.index(setting))


def _what(compared: Comparison) -> str:
    """Of what the excess is, and since which least loss."""
    exact = {line.is_exact for line in compared.lines if line.has_curve}
    least = {
        frozenset({True}): "in closed form",
        frozenset({False}): "the best seen on it",
    }.get(frozenset(exact), "in closed form, or the best seen on it")
    return (
        "the excess loss, seed by seed: the loss less the least there is on the same data "
        f"({least})"
    )
