"""Refuses values that the user typed and no run uses, alone and in a sweep.

A value of the config's own is there for whoever needs it, so only what was typed counts; of a sweep
only what none of its cells uses, and cells that differ in nothing that they use.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from runner.base.overrides import keys_with_value, without_tracking
from runner.base.text import beginning_of
from runner.config.cell import NOT_THE_EXPERIMENT, Cell
from runner.config.schema import Values, leaves
from runner.engine import parts, scheduled
from runner.engine.program import CONSTANT
from runner.errors import ConfigError
from runner.objective.minimised import MODEL

LR = "lr"
RATES = (LR, "optimizer.lr")

NOT_USED_ITSELF = (LR, *NOT_THE_EXPERIMENT)
"""What no run reads: lr is there to be referred to, as `${lr}`, and the rest is how it is shown."""


def refuse_unused(cells: Sequence[Cell]) -> None:
    """Raise ConfigError for what was typed, and none of the cells would use.

    Also where cells of a sweep differ in their values, but in none that they use. Cells of equal
    values pass: who types `seed=0,0` gets two runs.
    """
    typed = keys_with_value(cells[0].overrides)
    reasons = [_reasons(cell, typed) for cell in cells]
    everywhere = [key for key in reasons[0] if all(key in others for others in reasons)]
    if faults := [f"{key}: {reasons[0][key]}" for key in everywhere]:
        raise ConfigError("\n".join(faults))
    if len(cells) > 1:
        _refuse_the_same(cells, reasons)


def _reasons(cell: Cell, typed: set[str]) -> dict[str, str]:
    """Return why each of the typed keys would not be used, for those that would not."""
    values = cell.values
    every_measure = all(node.get("every") for node in _measures(values["measure"]))
    validated = values["validation"] or False
    reasons = {
        "shuffle": values["batch_size"] is None
        and values["shuffle"] is not False
        and "all samples are one batch, so there is no order: batch_size=... makes several",
        "split_seed": not validated
        and "is for a share that is not trained on: validation=0.2, say",
        "measure.every": every_measure
        and "no measure is chosen that it is for: measure=[sharpness], say",
        "report.pictures": values["report"]["pictures"] and _not_drawn(values),
        "report.page": values["report"]["page"] and _not_drawn(values),
        "tracking.live": values["tracking"]["live"] and _not_published(values),
        "tracking.wait": values["tracking"]["wait"] and _not_published(values),
    }
    unused = {key: str(why) for key, why in reasons.items() if key in typed and why}
    if "tolerance" in typed and _never_below(values):
        unused["tolerance"] = (
            "the least value of this objective is not known, so no loss is near it: patience=..., "
            "or a runner.objective.Objective with least=..."
        )
    return {**unused, **_unused_rates(cell, typed)} if typed & {*RATES, GROUPS} else unused


GROUPS = "optimizer.groups"


def _unused_rates(cell: Cell, typed: set[str]) -> dict[str, str]:
    """Return why typed learning rates would not be used, for those that would not."""
    if cell.follows is None:
        return {}
    values = cell.values
    unused = {}
    if LR in typed and not cell.follows and values["optimizer"].get(LR) != values[LR]:
        has_lr = LR in values["optimizer"]
        instead = "optimizer.lr=..., say" if has_lr else "let the optimizer take lr as an argument"
        unused[LR] = f"no part refers to it, so the run would train at another rate: {instead}"
    schedule = values["schedule"]
    if schedule.get("_target_") != CONSTANT and scheduled.sets_rates(schedule):
        name = str(schedule.get("kind") or schedule["_target_"]).rpartition(".")[2]
        why = f"{name} sets every rate itself, so it would not be used: schedule.max_lr=..., say"
        if LR in typed and "schedule" not in cell.follows:
            unused.setdefault(LR, why)
        if "optimizer.lr" in typed:
            unused["optimizer.lr"] = why
        groups = values["optimizer"].get("groups")
        named = groups if isinstance(groups, list) else []
        if GROUPS in typed and any(isinstance(one, Mapping) and LR in one for one in named):
            unused[GROUPS] = f"the lr of a group: {why}"
    return unused


def _measures(node: Values) -> list[Mapping[str, Any]]:
    return [one for one in node.values() if isinstance(one, Mapping)]


def _not_published(values: Values) -> str | None:
    return "nothing is published with tracking=off" if values["tracking"]["uri"] is None else None


def _not_drawn(values: Values) -> str | None:
    return "nothing is drawn with tracking=off" if values["tracking"]["uri"] is None else None


def _never_below(values: Values) -> bool:
    """Return whether no loss is ever known to be within the tolerance."""
    if not values["objective"] or not values["tolerance"] > 0:
        return False
    return math.isnan(parts.least({"_target_": MODEL, "objective": values["objective"]}))


def _refuse_the_same(cells: Sequence[Cell], reasons: Sequence[Mapping[str, str]]) -> None:
    """Raise ConfigError where cells differ in their values, but in none that a run uses."""
    first: dict[str, Cell] = {}
    pairs: dict[str, tuple[Cell, Cell]] = {}
    for cell, unused in zip(cells, reasons, strict=True):
        left_out = {*NOT_USED_ITSELF, *unused}
        used = {key: value for key, value in cell.values.items() if key not in left_out}
        other = first.setdefault(json.dumps(used, sort_keys=True), cell)
        if cell.values != other.values and _differing(cell.values, other.values):
            pairs.setdefault(", ".join(_differing(cell.values, other.values)), (other, cell))
    faults = [
        f"{keys}: no part refers to it, so these cells would be the same run: "
        f"{shown(one.overrides)}; {shown(two.overrides)}\n"
        f"sweep a value that a part has (optimizer.lr=..., say), or give one value for {keys}"
        for keys, (one, two) in pairs.items()
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def _differing(one: Values, two: Values) -> list[str]:
    """Return the names of the leaves in which the values differ."""
    first, second = dict(leaves(one)), dict(leaves(two))
    return [key for key in first if first[key] != second.get(key)]


def shown(overrides: Sequence[str]) -> str:
    """Return the overrides as text, without those of tracking."""
    return " ".join(map(beginning_of, without_tracking(overrides)))
