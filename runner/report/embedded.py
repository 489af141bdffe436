"""What the page's scripts know of the runs: one object, as JSON with packed arrays."""

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base import seeds
from runner.base.colour import COLOURS
from runner.report.comparison import Comparison
from runner.report.drawn import DASHES, MARKERS, LegendGroup, label, setting_label
from runner.report.paths import Paths
from runner.report.series import Series
from runner.report.table import as_number, table

MANY = 20_000
"""More numbers than that are packed as float32, which has seven digits."""
LARGEST, SMALLEST = 1e38, 1e-37
"""Of the magnitudes that a float32 has in full precision"""


def embedded(value: Any) -> str:
    """JSON that stands in a page without ending its script."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def known(
    compared: Comparison,
    groups: Sequence[LegendGroup],
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
    numbers = [as_number(one) for one in text]
    is_number = all(isinstance(one, int | float) for one in numbers)
    return {
        "text": text,
        "numbers": packed(numbers) if is_number else None,
        "seed": seeds.is_seed(key),
    }


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
