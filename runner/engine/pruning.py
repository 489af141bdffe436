"""Which cells of a stack are given up: those that are behind the others, now and then."""

import json
from collections.abc import Sequence

import numpy as np

from runner.base.arrays import AnyArray, Flags, Index, State
from runner.base.seeds import is_seed
from runner.config.schema import Values, leaves
from runner.engine import stop
from runner.engine.epoch import UNSEEN, Seen

SHARES = (8, 4, 2)
"""Cells are compared after an eighth, a quarter and a half of their epochs."""


class Pruning:
    """Compares the cells that go on, and says which are worse than the median.

    At each comparison about half of them are; Jamieson and Talwalkar, 2016, call that successive
    halving. Cells that differ in a seed alone are one setting, judged by the median of those that
    go on, and end together. Arrays are over the cells that are still computed.
    """

    def __init__(self, settings: Sequence[int], epochs: int, *, validation: bool) -> None:
        """`settings`: a number for each cell, the same where cells differ in seeds alone.

        By the loss of an epoch; `validation`: by that of the validation data.
        """
        self._settings: Index = np.array(settings, np.int64)
        self._due = sorted({-(-epochs // share) for share in SHARES} - {epochs})
        self._validation = validation

    def after(self, seen: Seen, goes_on: AnyArray) -> AnyArray:
        """(cells,): which of those that go on are behind after this step; False where none are."""
        if not self._due or seen.epochs < self._due[0]:
            return False
        self._due = [epoch for epoch in self._due if epoch > seen.epochs]
        loss = np.asarray(seen.told[UNSEEN] if self._validation else seen.loss, np.float64)
        loss = np.where(np.isnan(loss), np.inf, loss)
        middle = {s: np.median(loss[goes_on & (self._settings == s)]) for s in self._left(goes_on)}
        if not middle:
            return False
        most = np.median(list(middle.values()))
        behind = [setting for setting, value in middle.items() if value > most]
        return goes_on & np.isin(self._settings, behind)

    def _left(self, goes_on: Flags) -> list[int]:
        return sorted({*self._settings[goes_on].tolist()})

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices alone."""
        self._settings = self._settings[cells]

    def state(self) -> State:
        return dict(vars(self))

    def restore(self, state: State) -> None:
        vars(self).update(state)


def pruning(
    cells: Sequence[Values], how: str | None, limits: stop.Limits, steps: int
) -> "Pruning | None":
    """For a stack of cells with these configs; None where nothing is given up.

    `how`: the quantity that is minimised; `steps`: in an epoch.
    """
    if how is None:
        return None
    numbers: dict[str, int] = {}
    settings = [numbers.setdefault(_setting(values), len(numbers)) for values in cells]
    most = np.minimum(limits.epochs, np.floor(limits.steps / steps)).max()
    return Pruning(settings, int(most), validation=how == f"final_{UNSEEN}")


def _setting(values: Values) -> str:
    """What the cell has beside its seeds."""
    return json.dumps([pair for pair in leaves(values) if not is_seed(pair[0])], default=str)
