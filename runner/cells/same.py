"""Cells that would be one run under several names, because nothing uses what differs."""

import json
from collections.abc import Sequence

from runner.cell import NOT_THE_EXPERIMENT, Cell
from runner.cells.compose import shown
from runner.config import ConfigError, Values, leaves

NOT_USED_ITSELF = ("lr", *NOT_THE_EXPERIMENT)
"""What no run reads: lr is there to be referred to, as `${lr}`, and the rest is how it is shown."""


def refuse_the_same(cells: Sequence[Cell]) -> None:
    """Raise ConfigError where cells differ in their values, but in none that a run reads.

    Cells of equal values pass: who types `seed=0,0` gets two runs.
    """
    first: dict[str, Cell] = {}
    told: dict[str, tuple[Cell, Cell]] = {}
    for cell in cells:
        used = {key: value for key, value in cell.values.items() if key not in NOT_USED_ITSELF}
        other = first.setdefault(json.dumps(used, sort_keys=True), cell)
        if cell.values != other.values and _differing(cell.values, other.values):
            told.setdefault(", ".join(_differing(cell.values, other.values)), (other, cell))
    faults = [
        f"{keys}: no part refers to it, so these cells would be the same run: "
        f"{shown(one.overrides)}; {shown(two.overrides)}\n"
        f"sweep a value that a part has (optimizer.lr=..., say), or give one value for {keys}"
        for keys, (one, two) in told.items()
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def _differing(one: Values, two: Values) -> list[str]:
    """The names of the leaves in which the values differ."""
    here, there = dict(leaves(one)), dict(leaves(two))
    return [key for key in here if here[key] != there.get(key)]
