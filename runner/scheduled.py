"""From a setup to the learning rate of each step: schedules, built from their node."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import schedule as schedules
from runner.build import build, declared, swapped, target
from runner.config import ConfigError, Values, is_number
from runner.program import CONSTANT
from runner.program import SCHEDULES as OURS
from runner.rates import (
    EPOCH,
    STEP,
    ByPyTorch,
    ByRule,
    Changed,
    Constant,
    OfGroups,
    Rates,
    SetByRule,
)
from runner.schedule import Rule
from runner.setup import Setup

Index = NDArray[np.int64]

HORIZONS = ("T_max", "total_iters", "total_steps")
"""Values of schedules that say how far they reach; null: as far as the run may go."""

PLATEAU = "ReduceLROnPlateau"
CYCLE = "torch.optim.lr_scheduler.OneCycleLR"


def node_of(of: Setup) -> tuple[Values, str]:
    """The schedule's node with its horizon, and how often it goes on. Raises ConfigError."""
    node = dict(of.schedule)
    every = node.pop("every", STEP)
    if every not in (STEP, EPOCH):
        raise ConfigError(f"schedule.every: expected step or epoch, got {every}")
    if every == STEP and PLATEAU in str(node.get("_target_")) and of.epoch_steps > 1:
        raise ConfigError("schedule.every: expected epoch, for at its end it looks at the loss")
    reach = reach_of(of, every)
    made = {k: reach if k in HORIZONS and v is None else v for k, v in node.items()}
    check_reach(made, reach)
    return made, every


def reach_of(of: Setup, every: str) -> int:
    """How often a schedule may go on, before the run is over."""
    return of.most_steps if every == STEP else math.ceil(of.most_steps / of.epoch_steps)


def check_reach(node: Values, reach: int) -> None:
    """Refuse a cycle that is over before the run may be. Raises ConfigError."""
    most = node.get("total_steps")
    if str(node.get("_target_")) == CYCLE and isinstance(most, int) and 0 < most < reach:
        raise ConfigError(f"schedule.total_steps: expected {reach} or more, all steps, got {most}")


def by_hand(of: Setup) -> Rates:
    """Those of a loop whose updates are by hand. Raises ConfigError."""
    node, every = node_of(of)
    if node["_target_"] == CONSTANT:
        return Constant()
    rule = build("schedule", swapped(node, schedules.BY_HAND))
    return ByRule(lambda _: rule, first_of(of.optimizer), every)


def first_of(node: Values) -> float:
    """The learning rate that an optimizer's node gives its rule by hand, or that is its default."""
    [default] = [p.default for p in declared(node["_target_"]) or () if p.name == "lr"] or [None]
    return float(node.get("lr", default))


def by_pytorch(of: Setup, optimizer: Any) -> Rates:
    """Those of an optimizer of PyTorch's, which its scheduler sets. Raises ConfigError."""
    node, every = node_of(of)
    if node["_target_"] == CONSTANT:
        return Constant()
    if rule := schedules.BY_HAND.get(node["_target_"]):  # it says what PyTorch only runs into
        takes = inspect.signature(rule).parameters.keys() - {"cycle_momentum"} | {"_target_"}
        own = {key: value for key, value in node.items() if key in takes}
        build("schedule", swapped(own, schedules.BY_HAND))
    if node["_target_"].startswith(OURS):
        rule_of_ours = build("schedule", swapped(node, schedules.BY_HAND))
        return SetByRule(rule_of_ours, optimizer, every)
    return ByPyTorch(_scheduler(node, optimizer), optimizer, every)


def changed(rates: Rates, of: Setup, optimizer: Any, at: int, taken: int) -> Rates:
    """The same with the horizon that the setup has now, after so many steps. Raises ConfigError.

    `optimizer` is PyTorch's, or None where updates are by hand; so many steps are `taken`.
    """
    node, every = node_of(of)
    if node["_target_"] not in schedules.BY_HAND:
        raise ConfigError(f"schedule: {node['_target_']} takes no other horizon once it has begun")
    rule = build("schedule", swapped(node, schedules.BY_HAND))
    if optimizer is not None:
        return Changed(rates, OfGroups(rule, optimizer, every), at, taken)
    return Changed(rates, ByRule(lambda _: rule, first_of(of.optimizer), every), at, taken)


def _scheduler(node: Values, optimizer: Any) -> Any:
    """The scheduler that the node describes, with those that it is put together of, if it is."""
    if not isinstance(node, dict):
        raise ConfigError(f"schedule.schedulers: expected a node with _target_, got {node!r}")
    target("schedule", node)
    node, given = dict(node), {"optimizer": optimizer}
    if isinstance(parts := node.pop("schedulers", None), list):
        given["schedulers"] = [_scheduler(part, optimizer) for part in parts]
    names = [parameter.name for parameter in declared(node["_target_"]) or ()]
    order = sorted(given, key=lambda name: names.index(name) if name in names else len(names))
    made = build("schedule", node, *(given[name] for name in order))
    if not callable(getattr(made, "step", None)):
        kind = type(made).__name__
        raise ConfigError(f"schedule: expected one of torch.optim.lr_scheduler, got {kind}")
    return made


def of_cells(node: Values) -> tuple[dict[str, float], Values]:
    """Of a schedule's node, the numbers that each cell of a stack may have for itself; the rest."""
    own = {k: v for k, v in node.items() if k in schedules.OF_CELLS and is_number(v)}
    return own, {key: value for key, value in node.items() if key not in own}


def stacked(of: Sequence[Setup], numbers: Sequence[Mapping[str, float]]) -> Rates:
    """Those of the cells of a stack, whose numbers are as `of_cells` has them."""
    node, every = node_of(of[0])
    if node["_target_"] == CONSTANT:
        return Constant()
    _, options = of_cells(node)
    factory = schedules.BY_HAND[options.pop("_target_")]
    columns = {key: np.array([own[key] for own in numbers], np.float64) for key in numbers[0]}

    def rule(cells: Index) -> Rule:
        return factory(**options, **{key: column[cells] for key, column in columns.items()})

    return ByRule(rule, np.array([first_of(one.optimizer) for one in of]), every)
