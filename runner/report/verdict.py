"""Which setting is best, and how sure that is, in sentences."""

import math
from collections.abc import Iterator

from runner.report.comparison import Comparison, Setting
from runner.report.drawn import setting_label


def verdict(compared: Comparison) -> Iterator[str]:
    """A few sentences, for the head of the page and the end of a table."""
    settings = [(i, s) for i, s in enumerate(compared.settings) if s.spread.cells]
    if not settings or not math.isfinite(settings[0][1].spread.middle):
        if settings:
            yield "None is best: most of what ran has diverged."
        return
    (at, best), *others = settings
    yield f"{_ended(compared, at, best)}."
    if not compared.seeded:
        if others:
            yield (
                "Each setting was run once, so merit is not told from chance: a sweep with "
                "seed=range(10) would tell."
            )
        return
    if compared.draws:
        yield f"The seed draws the data as well, so what is compared is {_what(compared)}."
    if not others:
        return
    next_at, following = others[0]
    name = setting_label(compared, next_at)
    pairs = compared.paired(best, following)
    if not pairs.better + pairs.worse:
        yield f"The next, {name}, is as good on every seed."
        return
    ties = f" and as good on {pairs.ties}" if pairs.ties else ""
    yield (
        f"Against the next, {name}, it is better on {pairs.better} seeds, worse on {pairs.worse}"
        f"{ties} (sign test: p = {pairs.p:.2g})."
    )


def _ended(compared: Comparison, at: int, best: Setting) -> str:
    name, spread = setting_label(compared, at), best.spread
    subject = f"Best is {name}: " if len(compared.settings) > 1 else f"{name}: "
    if not compared.seeded:
        line = compared.lines[best.lines[0]]
        epochs = f"{line.epochs} epoch{'s' if line.epochs != 1 else ''}"
        return f"{subject}{compared.by} {spread.middle:.6g} after {epochs}, {line.outcome}"
    diverged = f"{spread.diverged} of them diverged" if spread.diverged else "none diverged"
    return (
        f"{subject}median {compared.by} {spread.middle:.6g} over {spread.cells} seeds, half of "
        f"them from {spread.low:.6g} to {spread.high:.6g}, {diverged}"
    )


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
