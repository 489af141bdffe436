"""The page's table: a row for each setting, and for each cell."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from runner.base import seeds
from runner.base.text import number_of
from runner.record.differing import distinct
from runner.report.comparison import Comparison
from runner.report.setting import Setting

LABELS = {
    "rank": "rank",
    "count": "seeds",
    "low": "from",
    "high": "to",
    "diverged": "diverged",
    "outcome": "outcome",
    "epochs": "epochs",
    "final_loss": "final loss",
    "excess": "excess loss",
    "best_loss": "best loss",
    "reached": "to tolerance",
    "distance": "from optimum",
    "seconds": "seconds",
    "reason": "reason",
    "name": "run",
    "id": "id",
}
NOT_FIGURES = ("rank", "problem", "outcome", "reason", "name", "id")


def table(compared: Comparison) -> dict[str, Any]:
    """Columns; a row of plain values for each setting, the best first, and for each cell.

    Where each setting is one cell, there are no rows of settings.
    """
    lines = compared.lines
    figures = ["excess"] if compared.draws else []
    figures += ["final_loss"]
    spread = ["low", "high"] if compared.seeded else []
    figures = [figures[0], *spread, *figures[1:], "epochs", "best_loss", "reached"]
    if any(not math.isnan(line.distance) for line in lines):
        figures.append("distance")
    figures.append("seconds")
    if any(line.reason for line in lines):
        figures.append("reason")
    labels = dict(LABELS)
    if compared.to is not None:
        labels["reached"] = f"to {compared.to:g}"
    counts = ["count", "diverged"] if compared.seeded else []
    measures = compared.measures()
    names = distinct(compared.swept, [*labels.values(), *measures])
    columns = [
        *({"key": k, "label": k} for k in ("problem",) if len(compared.problems()) > 1),
        *({"key": k, "label": labels[k]} for k in ("rank",) if len(lines) > 1),
        *(
            {"key": f"swept {key}", "label": name}
            for key, name in zip(compared.swept, names, strict=True)
        ),
        *({"key": k, "label": labels[k]} for k in ("outcome", *counts, *figures)),
        *({"key": f"measure {k}", "label": k} for k in measures),
        *({"key": k, "label": labels[k]} for k in ("name", "id")),
    ]
    keys = [column["key"] for column in columns]
    cells = [_row(compared, index, measures) for index in range(len(lines))]
    for setting in compared.settings:
        for index in setting.lines:
            cells[index] |= {"rank": setting.rank, "problem": setting.problem}
    of_settings = [
        _of_setting(setting, [cells[index] for index in setting.lines])
        for setting in compared.settings
    ]
    return {
        "columns": columns,
        "cells": [[row.get(key) for key in keys] for row in cells],
        "settings": [[row.get(key) for key in keys] for row in of_settings]
        if compared.seeded
        else None,
        "order": compared.ranked(),
    }


def _row(compared: Comparison, index: int, measures: Sequence[str]) -> dict[str, Any]:
    line = compared.lines[index]
    row = {f"swept {key}": as_number(text) for key, text in line.swept.items()}
    figures = ("outcome", "epochs", "final_loss", "excess", "best_loss", "reached", "distance")
    row |= {key: _value(getattr(line, key)) for key in (*figures, "seconds", "reason", "name")}
    row |= {f"measure {key}": _value(line.measures.get(key, math.nan)) for key in measures}
    return {**row, "id": line.run.id if line.run else ""}


def _of_setting(setting: Setting, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over its cells; a loss that diverged is infinite, other figures are left out."""
    spread, outcomes = setting.spread, [row["outcome"] for row in rows]
    made: dict[str, Any] = {f"swept {k}": as_number(text) for k, text in setting.values.items()}
    counted = {one: outcomes.count(one) for one in dict.fromkeys(outcomes)}
    made["outcome"] = ", ".join(f"{count} {one}" for one, count in counted.items())
    for key in rows[0]:
        if key.startswith("swept") or key in NOT_FIGURES:
            continue
        own = [_ranked(row[key], row["outcome"], key) for row in rows]
        made[key] = _value(seeds.spread(own).middle)
    figures = {"low": spread.low, "high": spread.high, "diverged": spread.diverged}
    made |= {key: _value(value) for key, value in figures.items()}
    return {**made, "rank": setting.rank, "problem": setting.problem, "count": len(rows)}


def _ranked(value: Any, outcome: str, key: str) -> float:
    if outcome == "diverged" and key in ("final_loss", "excess"):
        return math.inf
    return float(value) if isinstance(value, int | float) else math.nan


def _value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def as_number(text: str) -> Any:
    """A swept value as a number, if it is one, so that it is sorted as one."""
    number = number_of(text)
    return text if number is None or not math.isfinite(number) else number
