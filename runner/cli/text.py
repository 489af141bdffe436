"""A comparison as text: a table for a terminal or a log file, and all of it as CSV."""

import csv
import io
import math
import re
from collections.abc import Iterator
from textwrap import wrap

from runner.base.console import WIDTH, painted
from runner.base.text import shorten
from runner.record.differing import distinct
from runner.report.comparison import Comparison
from runner.report.drawn import label, setting_label
from runner.report.line import Line
from runner.report.verdict import verdict

FEW = 40
"""So many lines are printed."""

FIGURES = "{:<11} {:>6} {:>9} {:>8} {:>6} {:>6} {:>6}"
SPREAD = "{:>5} {:>8} {:>11} {:>10} {:>10}"
"""Of a setting: how many seeds, how many diverged, the median and the quartiles."""


def printed(compared: Comparison) -> str:
    """The best first, within 80 columns: a line a setting, where there are several seeds."""
    lines = _settings(compared) if compared.seeded else _runs(compared)
    return "\n".join([*lines, *compared.left_out])


def _settings(compared: Comparison) -> Iterator[str]:
    """Medians over the seeds, and what they say."""
    indices = [i for i, own in enumerate(compared.settings) if own.lines][:FEW]
    labels = [setting_label(compared, index) for index in indices]
    names = _shortened(labels, SPREAD.format(*[""] * 5))
    room = max(map(len, [*names, "setting"]))
    figures = SPREAD.format("seeds", "diverged", compared.by, "from", "to")
    yield f"{'setting':<{room}}  {figures}"
    for index, name in zip(indices, names, strict=True):
        own = compared.settings[index].spread
        told = (_number(value, 4) for value in (own.middle, own.low, own.high))
        yield f"{name:<{room}}  {SPREAD.format(own.cells, own.diverged, *told)}"
    if more := len(compared.settings) - len(indices):
        yield f"and {more} more: see the report"
    yield ""
    for sentence in verdict(compared):
        yield from wrap(sentence, WIDTH)


def _runs(compared: Comparison) -> Iterator[str]:
    """A line each; `off` is the distance from the optimum."""
    indices = compared.ranked()[:FEW]
    labels = [label(compared, index) for index in indices]
    names = _shortened(labels, FIGURES.format(*[""] * 7))
    room = max(map(len, [*names, "run"]))
    reached = "to tol" if compared.to is None else f"<{_number(compared.to, 1)}"
    figures = ("outcome", "epochs", "final", "best", reached, "off", "sec")
    yield f"{'run':<{room}}  {FIGURES.format(*figures)}"
    for index, name in zip(indices, names, strict=True):
        line = compared.lines[index]
        outcome, rest = _figures(line)
        yield f"{name:<{room}}  {painted(outcome, line.outcome)}{rest}"
    if more := len(compared.lines) - len(indices):
        yield f"and {more} more: see the report"


def _shortened(names: list[str], figures: str) -> list[str]:
    """The names without the words that all have, in the room beside these figures."""
    shared = set.intersection(*(set(name.split()) for name in names)) if len(names) > 1 else set()
    own = [" ".join(word for word in name.split() if word not in shared) for name in names]
    kept = [short or name for short, name in zip(own, names, strict=True)]
    return [shorten(name, WIDTH - len(figures) - 2) for name in kept]


def _figures(line: Line) -> tuple[str, str]:
    """The outcome and what follows it."""
    reached = "-" if line.reached is None else str(line.reached)
    losses = _number(line.final_loss, 4), _number(line.best_loss, 3)
    last = _number(line.distance, 2), _number(line.seconds, 2)
    text = FIGURES.format(line.outcome, line.epochs, *losses, reached, *last)
    return text[:11], text[11:]


def _number(value: float, digits: int) -> str:
    """`4.4e-6`: so many digits, and no zeros or pluses that say nothing."""
    if math.isnan(value):
        return "-"
    return re.sub(r"e([-+])0*", lambda sign: "e" + sign[1].strip("+"), f"{value:.{digits}g}")


def as_csv(compared: Comparison) -> str:
    """A row for each line, the best first, every figure in full precision."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    figures = (
        *("outcome", "epochs", "final_loss", "excess", "best_loss"),
        *("reached", "distance", "seconds"),
    )
    measures = compared.measures()
    fixed = ("run", "name", *figures, *measures, "reason")
    more = [key for key in compared.varying() if key not in compared.swept]
    params = distinct([*compared.swept, *more], fixed)
    table.writerow(["run", "name", *params, *figures, *measures, "reason"])
    for index in compared.ranked():
        line = compared.lines[index]
        own = [_exact(getattr(line, name)) for name in figures]
        own += [_exact(line.measures.get(name)) for name in measures]
        run = line.run.id if line.run else ""
        others = [line.run.params.get(key, "") if line.run else "" for key in more]
        table.writerow([run, line.name, *line.swept.values(), *others, *own, line.reason])
    return out.getvalue()


def _exact(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
