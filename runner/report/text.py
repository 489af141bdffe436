"""A comparison as text: a table for a terminal or a log file, and all of it as CSV."""

import csv
import io
import math

from runner.report.comparison import Comparison, Line
from runner.report.drawn import label

WIDTH = 80
FEW = 40
"""So many lines are printed."""


def printed(compared: Comparison) -> str:
    """The best first, within 80 columns."""
    head = f"{'outcome':<11} {'epochs':>7} {'final loss':>11} {'best loss':>11} "
    reached = "to toler." if compared.to is None else f"to {compared.to:g}"
    head += f"{reached:>9} {'distance':>9} {'sec':>7}  run"
    lines = [head]
    ranked = compared.ranked()
    for place in ranked[:FEW]:
        lines.append(_line(compared.lines[place], label(compared, place)))
    if len(ranked) > FEW:
        lines.append(f"and {len(ranked) - FEW} more: see the report")
    return "\n".join([*lines, *compared.left_out])


def _line(line: Line, name: str) -> str:
    reached = "-" if line.reached is None else str(line.reached)
    figures = (
        f"{line.outcome:<11} {line.epochs:>7} {_short(line.final_loss):>11} "
        f"{_short(line.best_loss):>11} {reached:>9} {_brief(line.distance):>9} "
        f"{_brief(line.seconds):>7}  "
    )
    return figures + name


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.5g}"


def _brief(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2g}"


def as_csv(compared: Comparison) -> str:
    """A row for each line, the best first, every figure in full precision."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    figures = ("outcome", "epochs", "final_loss", "best_loss", "reached", "distance", "seconds")
    table.writerow(["run", "name", *compared.swept, *figures, "reason"])
    for place in compared.ranked():
        line = compared.lines[place]
        own = [_exact(getattr(line, name)) for name in figures]
        run = line.run.id if line.run else ""
        table.writerow([run, line.name, *line.swept.values(), *own, line.reason])
    return out.getvalue()


def _exact(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
