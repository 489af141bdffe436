"""Builds the rates of a run, or of all cells of a stack, from the node of its schedule."""

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from runner import schedule as schedules
from runner.base.arrays import Index
from runner.config.build import build, declared, known_as, swapped, target
from runner.config.schema import Values, is_number
from runner.engine.program import CONSTANT
from runner.engine.program import SCHEDULES as OURS
from runner.engine.rates import (
    EPOCH,
    STEP,
    ByRule,
    ByScheduler,
    Changed,
    Constant,
    OfGroups,
    Rates,
    SetByRule,
    loaded_pytorch,
)
from runner.engine.setup import Setup, refused
from runner.errors import ConfigError
from runner.schedule import Rule

HORIZONS = ("T_max", "total_iters", "total_steps")
"""Values of schedules that say how far they reach; null: as far as the run may go."""

CYCLE = "torch.optim.lr_scheduler.OneCycleLR"


def node_of(of: Setup) -> tuple[Values, str]:
    """Return the schedule's node with its horizon, and `step` or `epoch`: see `_how_often`.

    A scheduler of PyTorch's is asked once it is built, by `by_pytorch`. Raises ConfigError.
    """
    node = dict(of.schedule)
    if node.get("_target_") == CONSTANT and len(node) > 1:
        if "every" in node:
            raise ConfigError("schedule.every", "a constant rate never changes; name a schedule")
        build("schedule", node)  # which refuses the other keys
    every = node.pop("every", None)
    if every not in (STEP, EPOCH, None):
        raise ConfigError("schedule.every", expected="step or epoch", got=every)
    every = _how_often(every, of.epoch_steps, asks_loss=_rule_asks_loss(node))
    reach = reach_of(of, every)
    made = {k: reach if k in HORIZONS and v is None else v for k, v in node.items()}
    check_reach(made, reach)
    return made, every


def _how_often(every: str | None, epoch_steps: int, *, asks_loss: bool) -> str:
    """Return `every`; where it is None, what suits a schedule that asks for a loss, or for none.

    Within an epoch of several steps there is no loss to look at. Raises ConfigError.
    """
    if every == STEP and asks_loss and epoch_steps > 1:
        raise ConfigError("schedule.every", "expected epoch, for at its end it looks at the loss")
    return every or (EPOCH if asks_loss else STEP)


def _rule_asks_loss(node: Values) -> bool:
    """Return whether the schedule has a rule by hand, and that looks at the loss."""
    by_hand = swapped(node, schedules.BY_HAND)
    name = str(by_hand["_target_"])
    return name.startswith(OURS) and target("schedule", by_hand) in schedules.ASK_LOSS


def reach_of(of: Setup, every: str) -> int:
    """How often a schedule may go on, before the run is over."""
    return of.most_steps if every == STEP else math.ceil(of.most_steps / of.epoch_steps)


def check_reach(node: Values, reach: int) -> None:
    """Refuse a cycle that is over before the run may be. Raises ConfigError."""
    most = node.get("total_steps")
    if str(node.get("_target_")) == CYCLE and isinstance(most, int) and 0 < most < reach:
        raise ConfigError("schedule.total_steps", expected=f"{reach} or more, all steps", got=most)


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
    if not is_number(lr := node.get("lr", default)):
        raise ConfigError(
            "optimizer.lr",
            f"expected a number, with which the schedule begins, got {lr}: "
            f"schedule=constant, or let {known_as(node)} take lr",
        )
    return float(lr)


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
    scheduler = _scheduler(node, optimizer)
    with refused("schedule: "):
        asks_loss = loaded_pytorch().takes_loss(scheduler)
    every = _how_often(of.schedule.get("every"), of.epoch_steps, asks_loss=asks_loss)
    with refused("schedule: "):
        loaded_pytorch().check_cycle(scheduler, reach_of(of, every))
    return ByScheduler(scheduler, optimizer, every, asks_loss=asks_loss)


def changed(rates: Rates, of: Setup, optimizer: Any, at: int, taken: int) -> Rates:
    """The same with the horizon that the setup has now, after so many steps. Raises ConfigError.

    `optimizer` is PyTorch's, or None where updates are by hand; so many steps are `taken`.
    """
    node, every = node_of(of)
    if node["_target_"] not in schedules.BY_HAND:
        raise ConfigError(
            "schedule", f"{node['_target_']} takes no other horizon once it has begun"
        )
    rule = build("schedule", swapped(node, schedules.BY_HAND))
    if optimizer is not None:
        return Changed(rates, OfGroups(rule, optimizer, every), at, taken)
    return Changed(rates, ByRule(lambda _: rule, first_of(of.optimizer), every), at, taken)


def _scheduler(node: Values, optimizer: Any) -> Any:
    """The scheduler that the node describes, with those that it is put together of, if it is."""
    if not isinstance(node, dict):
        raise ConfigError("schedule.schedulers", expected="a node with _target_", got=repr(node))
    target("schedule", node)
    node, given = dict(node), {"optimizer": optimizer}
    if isinstance(parts := node.pop("schedulers", None), list):
        given["schedulers"] = [_scheduler(part, optimizer) for part in parts]
    names = [parameter.name for parameter in declared(node["_target_"]) or ()]
    order = sorted(given, key=lambda name: names.index(name) if name in names else len(names))
    made = build("schedule", node, *(given[name] for name in order))
    if not callable(getattr(made, "step", None)):
        kind = type(made).__name__
        raise ConfigError("schedule", expected="one of torch.optim.lr_scheduler", got=kind)
    return made


def sets_rates(node: Values) -> bool:
    """Return whether the schedule begins with a rate of its own, whatever the optimizer's is.

    It is asked what it makes of two rates; what cannot be asked so is refused where it is built.
    """
    node = {k: 100 if k in HORIZONS and v is None else v for k, v in node.items() if k != "every"}
    by_hand = swapped(node, schedules.BY_HAND)
    try:
        if str(by_hand["_target_"]).startswith(OURS):
            rule = build("schedule", by_hand)
            first, second = (rule(0, lr, lr, math.nan, None)[0] for lr in (1.0, 2.0))
        else:
            first, second = loaded_pytorch().first_rates(partial(_scheduler, node))
    except Exception:  # whatever a schedule of the user's raises
        return False
    return bool(first == second)


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
