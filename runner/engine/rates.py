"""The learning rate of the next step, of a run or of each cell of a stack: what the driver asks."""

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from runner.base.arrays import Index, Scalars, State
from runner.engine.contract import Stateful
from runner.engine.epoch import Seen
from runner.engine.program.stacked import cut
from runner.schedule import Rule

if TYPE_CHECKING:
    from torch.optim import Optimizer

EPOCH, STEP = "epoch", "step"
"""How often a schedule goes on"""

LR, EVALUATIONS = "lr", "gradient_evaluations"
"""What columns of a step's learning rate, and of evaluations so far, are called"""


def loaded_pytorch() -> Any:
    """Return what the loops of `torch.optim` share, imported where there is such a loop."""
    from runner.engine.program import pytorch

    return pytorch


class Rates(Stateful, Protocol):
    """The learning rate of the next step, of a run by itself or of each cell of a stack."""

    @property
    def count(self) -> int:
        """How often it has gone on."""

    @property
    def lr(self) -> Scalars | None:
        """A number, or an array (cells,); None where it is the config's at every step."""

    @property
    def given(self) -> Sequence[Scalars]:
        """What the program is to take the step with, if that is not its own affair."""

    def after(self, seen: Seen) -> None:
        """Go on to the next step."""


class Constant:
    """The config's learning rate, at every step."""

    count = 0
    lr: Scalars | None = None
    given: Sequence[Scalars] = ()

    def after(self, seen: Seen) -> None:
        pass

    def keep(self, cells: Index) -> None:
        pass

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        pass


class ByRule:
    """A schedule by hand."""

    def __init__(self, rule_of: Callable[[Index], Rule], first: Scalars, every: str) -> None:
        """`first` is the config's learning rate, a float or (cells,); `every` a step, or an epoch.

        `rule_of` gives the rule for the cells at these indices in the stack.
        """
        self._rule_of, self._every = rule_of, every
        self._first: Any = first
        self._cells = np.arange(np.size(first))
        self._rule = rule_of(self._cells)
        self.count, self._epochs = 0, 0
        self._memory: Any = None
        self._lr: Any = first
        self._take(np.nan)

    @property
    def lr(self) -> Any:
        return self._lr

    @property
    def given(self) -> Sequence[Scalars]:
        return (self._lr,)

    def set(self) -> None:
        """Give it to an optimizer that has its own."""

    def after(self, seen: Seen) -> None:
        is_end, self._epochs = seen.epochs != self._epochs, seen.epochs
        if is_end or self._every == STEP:
            self.count += 1
            self._take(seen.watched)

    def replay(self, count: int, epochs: int) -> None:
        """Be where it would be, had it gone on so often; of a rule that asks for no loss."""
        while self.count < count:
            self.count += 1
            self._take(np.nan)
        self._epochs = epochs

    def _take(self, loss: Scalars) -> None:
        lr, self._memory = self._rule(self.count, self._lr, self._first, loss, self._memory)
        is_array = isinstance(self._first, np.ndarray)
        self._lr = np.array(np.broadcast_to(lr, self._first.shape)) if is_array else float(lr)

    def keep(self, cells: Index) -> None:
        self._cells, self._first, self._lr = self._cells[cells], self._first[cells], self._lr[cells]
        self._memory = cut(self._memory, cells)
        self._rule = self._rule_of(self._cells)

    def state(self) -> State:
        own = {"count": self.count, "epochs": self._epochs, "memory": self._memory}
        return {**own, "lr": self._lr, "first": self._first, "cells": self._cells}

    def restore(self, state: State) -> None:
        self.count, self._epochs, self._memory = (state[k] for k in ("count", "epochs", "memory"))
        self._lr, self._first, self._cells = (state[k] for k in ("lr", "first", "cells"))
        self._rule = self._rule_of(self._cells)


class ByScheduler:
    """A scheduler of PyTorch's, of an optimizer whose learning rates it sets."""

    given: Sequence[Scalars] = ()

    def __init__(
        self, scheduler: Any, optimizer: "Optimizer", every: str, *, asks_loss: bool
    ) -> None:
        """`asks_loss`: whether its step wants the loss that an epoch has ended with."""
        self._scheduler, self._optimizer, self._every = scheduler, optimizer, every
        loaded_pytorch().hooked.take_as_stepped(optimizer)
        self._asks_loss = asks_loss
        self.count, self._epochs = 0, 0

    @property
    def lr(self) -> float:
        """Of the first group, which is that of the parameters no other group names."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after(self, seen: Seen) -> None:
        is_end, self._epochs = seen.epochs != self._epochs, seen.epochs
        if not is_end and self._every != STEP:
            return
        self.count += 1
        if self._asks_loss:
            self._scheduler.step(seen.watched)
        else:
            self._scheduler.step()
        loaded_pytorch().bound_rates(self._optimizer)

    def keep(self, cells: Index) -> None:
        raise NotImplementedError("a stack's schedules are by hand")

    def state(self) -> State:
        own = copy.deepcopy(self._scheduler.state_dict())
        return {"own": own, "count": self.count, "epochs": self._epochs}

    def restore(self, state: State) -> None:
        self._scheduler.load_state_dict(copy.deepcopy(state["own"]))
        self.count, self._epochs = state["count"], state["epochs"]


class OfGroups(ByRule):
    """A schedule by hand of an optimizer of PyTorch's: each group is a cell."""

    given: Sequence[Scalars] = ()

    def __init__(self, rule: Rule, optimizer: "Optimizer", every: str) -> None:
        self._optimizer = optimizer
        groups = optimizer.param_groups
        first = [group.get("initial_lr", group["lr"]) for group in groups]
        super().__init__(lambda _: rule, np.array(first, np.float64), every)

    @property
    def lr(self) -> float:
        return float(self._lr[0])

    def set(self) -> None:
        for group, lr in zip(self._optimizer.param_groups, self._lr.tolist(), strict=True):
            group["lr"] = lr
        loaded_pytorch().bound_rates(self._optimizer)


class SetByRule(OfGroups):
    """The same where no scheduler of PyTorch's sets the groups' rates."""

    def _take(self, loss: Scalars) -> None:
        super()._take(loss)
        self.set()

    def restore(self, state: State) -> None:
        super().restore(state)
        self.set()


class Changed:
    """A schedule whose horizon is another one after so many steps: as if it had always been."""

    def __init__(self, before: Rates, after: ByRule, at: int, taken: int) -> None:
        """After `at` so many steps, of which so many are `taken`."""
        self._before, self._after, self._at, self._taken = before, after, at, taken
        self._set()

    @property
    def _now(self) -> Rates:
        return self._before if self._taken < self._at else self._after

    @property
    def count(self) -> int:
        return self._after.count

    @property
    def lr(self) -> Scalars | None:
        return self._now.lr

    @property
    def given(self) -> Sequence[Scalars]:
        return self._now.given

    def after(self, seen: Seen) -> None:
        self._taken += 1
        if self._taken < self._at:
            self._before.after(seen)
        self._after.after(seen)
        self._set()

    def _set(self) -> None:
        if self._now is self._after:
            self._after.set()

    def keep(self, cells: Index) -> None:
        raise NotImplementedError("a stack's horizon is not given anew")

    def state(self) -> State:
        before, after = self._before.state(), self._after.state()
        own = {"before": before, "after": after, "epochs": after["epochs"]}
        return {**own, "at": self._at, "taken": self._taken}

    def restore(self, state: State) -> None:
        if state.get("at") == self._at:
            self._before.restore(state["before"])
            self._after.restore(state["after"])
            self._taken = state["taken"]
        else:  # of before the change
            self._before.restore(state)
            self._after.replay(self._before.count, state["epochs"])
        self._set()
