"""The learning rate of each step, as the driver asks for it: constant, by hand, or by PyTorch."""

import copy
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runner import schedule as schedules
from runner.build import build, declared, swapped, target
from runner.config import ConfigError, Values, is_number
from runner.epoch import Seen
from runner.program import CONSTANT
from runner.program.stacked import cut
from runner.schedule import Rule
from runner.setup import Setup

Index = NDArray[np.int64]

EPOCH, STEP = "epoch", "step"
"""How often a schedule goes on"""

LR, EVALUATIONS = "lr", "gradient_evaluations"
"""What columns of a step's learning rate, and of evaluations so far, are called"""


class Rates(Protocol):
    """Of the next step of a run, or of each cell of a stack."""

    @property
    def lr(self) -> Any:
        """A number, or an array (cells,); None where it is the config's at every step."""

    @property
    def given(self) -> Sequence[Any]:
        """What the program is to take the step with, if that is not its own affair."""

    def after(self, seen: Seen) -> None:
        """Go on to the next step."""

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices among the present ones alone."""

    def state(self) -> dict[str, Any]:
        """Where the schedule is."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""


class Constant:
    """The config's learning rate, at every step."""

    lr: Any = None
    given: Sequence[Any] = ()

    def after(self, seen: Seen) -> None:
        pass

    def keep(self, cells: Index) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        pass


class ByRule:
    """A schedule by hand."""

    def __init__(self, rule_of: Callable[[Index], Rule], first: Any, every: str) -> None:
        """`first` is the config's learning rate, a float or (cells,); `every` a step, or an epoch.

        `rule_of` gives the rule for the cells at these indices in the stack.
        """
        self._rule_of, self._first, self._every = rule_of, first, every
        self._cells = np.arange(np.size(first))
        self._rule = rule_of(self._cells)
        self._count, self._epochs = 0, 0
        self._memory: Any = None
        self.lr = first
        self._take(np.nan)

    @property
    def given(self) -> Sequence[Any]:
        return (self.lr,)

    def after(self, seen: Seen) -> None:
        is_end, self._epochs = seen.epochs != self._epochs, seen.epochs
        if is_end or self._every == STEP:
            self._count += 1
            self._take(seen.watched)

    def _take(self, loss: Any) -> None:
        lr, self._memory = self._rule(self._count, self.lr, self._first, loss, self._memory)
        self.lr = lr if isinstance(self._first, np.ndarray) else float(lr)

    def keep(self, cells: Index) -> None:
        self._cells, self._first, self.lr = self._cells[cells], self._first[cells], self.lr[cells]
        self._memory = cut(self._memory, cells)
        self._rule = self._rule_of(self._cells)

    def state(self) -> dict[str, Any]:
        own = {"count": self._count, "epochs": self._epochs, "memory": self._memory}
        return {**own, "lr": self.lr, "first": self._first, "cells": self._cells}

    def restore(self, state: dict[str, Any]) -> None:
        self._count, self._epochs, self._memory = (state[k] for k in ("count", "epochs", "memory"))
        self.lr, self._first, self._cells = (state[k] for k in ("lr", "first", "cells"))
        self._rule = self._rule_of(self._cells)


class ByPyTorch:
    """A scheduler of PyTorch's, of an optimizer whose learning rates it sets."""

    given: Sequence[Any] = ()

    def __init__(self, scheduler: Any, optimizer: Any, every: str) -> None:
        from runner import hooked

        self._scheduler, self._optimizer, self._every = scheduler, optimizer, every
        hooked.take_as_stepped(optimizer)
        takes = inspect.signature(scheduler.step).parameters.get("metrics")
        self._asks_loss = takes is not None and takes.default is takes.empty
        self._epochs = 0

    @property
    def lr(self) -> float:
        """Of the first group, which is that of the parameters no other group names."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after(self, seen: Seen) -> None:
        is_end, self._epochs = seen.epochs != self._epochs, seen.epochs
        if not is_end and self._every != STEP:
            return
        if self._asks_loss:
            self._scheduler.step(seen.watched)
        else:
            self._scheduler.step()

    def keep(self, cells: Index) -> None:
        raise NotImplementedError("a stack's schedules are by hand")

    def state(self) -> dict[str, Any]:
        return {"own": copy.deepcopy(self._scheduler.state_dict()), "epochs": self._epochs}

    def restore(self, state: dict[str, Any]) -> None:
        self._scheduler.load_state_dict(copy.deepcopy(state["own"]))
        self._epochs = state["epochs"]


HORIZONS = ("T_max", "total_iters", "total_steps")
"""Values of schedules that say how far they reach; null: as far as the run may go."""

PLATEAU = "ReduceLROnPlateau"


def node_of(of: Setup) -> tuple[Values, str]:
    """The schedule's node with its horizon, and how often it goes on. Raises ConfigError."""
    node = dict(of.schedule)
    every = node.pop("every", STEP)
    if every not in (STEP, EPOCH):
        raise ConfigError(f"schedule.every: expected step or epoch, got {every}")
    if every == STEP and PLATEAU in str(node.get("_target_")) and of.epoch_steps > 1:
        raise ConfigError("schedule.every: expected epoch, for at its end it looks at the loss")
    reach = of.most_steps if every == STEP else math.ceil(of.most_steps / of.epoch_steps)
    return {k: reach if k in HORIZONS and v is None else v for k, v in node.items()}, every


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
    return ByPyTorch(_scheduler(node, optimizer), optimizer, every)


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
