"""What the page's scripts know of the runs: one object, as JSON with packed arrays."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import seeds
from runner.colour import COLOURS
from runner.differing import distinct
from runner.report.comparison import Comparison
from runner.report.drawn import DASHES, MARKERS, Group, label, setting_label
from runner.report.paths import Paths
from runner.report.series import Series
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
LARGEST, SMALLEST = 1e38, 1e-37
"""Of the magnitudes that a float32 has in full precision"""


def embedded(value: Any) -> str:
    """JSON that stands in a page without ending its script."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def known(
    compared: Comparison,
    groups: Sequence[Group],
    drawn: Sequence[int],
    told: Series | None,
    paths: Paths | None,
) -> dict[str, Any]:
    """All that the scripts ask for; cells by their index in the comparison."""
    of_setting = {s: number for number, own in enumerate(groups) for s in own.settings}
    settings = compared.settings
    return {
        "by": compared.by,
        "problems": len(compared.problems()),
        "cells": _cells(compared),
        "swept": {key: _swept(compared, key) for key in compared.swept},
        "settings": [
            {"label": setting_label(compared, i), "cells": s.lines, "group": of_setting[i]}
            for i, s in enumerate(settings)
        ],
        "groups": [
            {"label": one.label, "colour": one.colour, "dash": one.dash, "marker": one.marker}
            for one in groups
        ],
        "colours": COLOURS,
        "looks": [
            {"dash": dash, "marker": marker} for dash, marker in zip(DASHES, MARKERS, strict=True)
        ],
        "drawn": list(drawn),
        "table": table(compared),
        "quantities": _quantities(told) if told else [],
        "paths": _paths(paths) if paths else None,
    }


def _cells(compared: Comparison) -> dict[str, Any]:
    """What there is of each cell, as columns."""
    lines = compared.lines
    setting = {line: number for number, own in enumerate(compared.settings) for line in own.lines}
    return {
        "label": [label(compared, index) for index in range(len(lines))],
        "name": [line.name for line in lines],
        "outcome": [line.outcome for line in lines],
        "setting": [setting[index] for index in range(len(lines))],
        "steps": [line.epoch_steps for line in lines],
        "final loss": packed([line.value(draws=False) for line in lines]),
        "excess loss": packed([line.value(draws=True) for line in lines]),
        "epochs to tolerance": packed(
            [math.nan if line.reached is None else line.reached for line in lines]
        ),
        "edge": packed([line.edge or math.nan for line in lines]),
    }


def _swept(compared: Comparison, key: str) -> dict[str, Any]:
    """The values of what was swept, by cell, as text; and as numbers if they are."""
    text = [line.swept[key] for line in compared.lines]
    numbers = [_number(one) for one in text]
    is_number = all(isinstance(one, int | float) for one in numbers)
    return {
        "text": text,
        "numbers": packed(numbers) if is_number else None,
        "seed": seeds.is_seed(key),
    }


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
    row = {f"swept {key}": _number(text) for key, text in line.swept.items()}
    figures = ("outcome", "epochs", "final_loss", "excess", "best_loss", "reached", "distance")
    row |= {key: _value(getattr(line, key)) for key in (*figures, "seconds", "reason", "name")}
    row |= {f"measure {key}": _value(line.measures.get(key, math.nan)) for key in measures}
    return {**row, "id": line.run.id if line.run else ""}


def _of_setting(setting: Setting, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over its cells; a loss that diverged is infinite, other figures are left out."""
    spread, outcomes = setting.spread, [row["outcome"] for row in rows]
    made: dict[str, Any] = {f"swept {k}": _number(text) for k, text in setting.values.items()}
    counted = {one: outcomes.count(one) for one in dict.fromkeys(outcomes)}
    made["outcome"] = ", ".join(f"{count} {one}" for one, count in counted.items())
    for key in rows[0]:
        if key.startswith("swept") or key in NOT_FIGURES:
            continue
        own = [_as_number(row[key], row["outcome"], key) for row in rows]
        there = [value for value in own if not math.isnan(value)]
        made[key] = _value(float(np.median(there))) if there else None
    figures = {"low": spread.low, "high": spread.high, "diverged": spread.diverged}
    made |= {key: _value(value) for key, value in figures.items()}
    return {**made, "rank": setting.rank, "problem": setting.problem, "count": len(rows)}


def _as_number(value: Any, outcome: str, key: str) -> float:
    if outcome == "diverged" and key in ("final_loss", "excess"):
        return math.inf
    return float(value) if isinstance(value, int | float) else math.nan


def _quantities(told: Series) -> list[dict[str, Any]]:
    found = []
    for key, curves in told.curves.items():
        values = np.concatenate([curve.values for curve in curves])
        found.append(
            {
                "role": key.role,
                "name": key.name,
                "cells": packed([curve.line for curve in curves], np.int32),
                "counts": packed([len(curve.steps) for curve in curves], np.int32),
                "steps": packed(np.concatenate([curve.steps for curve in curves]), np.int32),
                "values": packed(values),
                "bands": [
                    {
                        "setting": band.setting,
                        "steps": packed(band.steps, np.int32),
                        **{k: packed(getattr(band, k)) for k in ("low", "middle", "high")},
                    }
                    for band in told.bands.get(key, [])
                ],
            }
        )
    return found


def _paths(paths: Paths) -> dict[str, Any]:
    own = paths.paths
    return {
        "first": paths.first,
        "cells": packed([path.line for path in own], np.int32),
        "counts": packed([len(path.steps) for path in own], np.int32),
        "steps": packed(np.concatenate([path.steps for path in own]), np.int32),
        "x": packed(np.concatenate([path.x for path in own])),
        "y": packed(np.concatenate([path.y for path in own])),
    }


def packed(values: Sequence[float] | NDArray[Any], dtype: Any = None) -> dict[str, str]:
    """An array as base64, little-endian: of float32, unless some are too large or small for it."""
    own = np.asarray(values)
    if dtype is None:
        own = own.astype(np.float64)
        size = np.abs(own[np.isfinite(own) & (own != 0)])
        fits = bool(((size > SMALLEST) & (size < LARGEST)).all()) and len(own) > MANY
        dtype = np.float32 if fits else np.float64
    kind = np.dtype(dtype).newbyteorder("<")
    with np.errstate(over="ignore"):
        content = base64.b64encode(own.astype(kind).tobytes()).decode()
    return {"type": kind.str[1:], "content": content}


MANY = 20_000
"""More numbers than that are packed as float32, which has seven digits."""


def _value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _number(text: str) -> Any:
    """A swept value as a number, if it is one, so that it is sorted as one."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
