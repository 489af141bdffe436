"""When a run stops by itself, and as what: one ordered set of rules, alone and in a stack.

Each rule is asked of numbers for a lone run, and of arrays (cells,) for a stack.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

OUTCOMES = {
    "converged": "the loss fell below tolerance",
    "exhausted": "all epochs used",
    "diverged": "the loss or a parameter was no longer finite",
    "interrupted": "stopped by a signal",
    "failed": "an exception ended it",
}
"""Every way in which a run may end. The first three are decided here, after each step."""


def is_ranked(outcome: str, final_loss: float) -> bool:
    """Whether a run ends in a number of its own, and so can be the best."""
    return outcome not in ("diverged", "failed") and not math.isnan(final_loss)


class Limits(NamedTuple):
    """What a step is held against: numbers, or arrays (cells,)."""

    epochs: Any
    below: Any
    """The loss below which a run has converged; minus infinity if it never does."""

    def of(self, cells: NDArray[np.int64]) -> "Limits":
        """The limits of some cells of a stack."""
        return Limits(self.epochs[cells], self.below[cells])


def limits(epochs: int, tolerance: float) -> Limits:
    """`tolerance=0` is never, also for losses that go below 0."""
    return Limits(epochs, tolerance if tolerance > 0 else -math.inf)


def limits_of(values: Mapping[str, Any]) -> Limits:
    """The limits that the config with these values sets."""
    return limits(values["epochs"], values["tolerance"])


def together(cells: list[Limits]) -> Limits:
    """The limits of the cells of a stack."""
    return Limits(
        np.array([cell.epochs for cell in cells]),
        np.array([cell.below for cell in cells], np.float64),
    )


Rule = Callable[[Any, Any, Any, Limits], Any]
"""From whether loss or parameters are not finite, the loss, the epoch, and the limits."""

RULES: tuple[tuple[str, Rule], ...] = (
    ("diverged", lambda lost, loss, epoch, limits: lost),
    ("converged", lambda lost, loss, epoch, limits: loss < limits.below),
    ("exhausted", lambda lost, loss, epoch, limits: epoch >= limits.epochs),
)
"""The first that holds decides; if none does, the run goes on, unless it is interrupted."""


def ended(
    finite: Any, loss: Any, epoch: int, limits: Limits
) -> Sequence[tuple[str, NDArray[np.bool_]]]:
    """Each outcome in which cells stop with this step, and which, (cells,).

    For a run by itself, `finite` and `loss` are numbers, for a stack (cells,).
    """
    if isinstance(loss, float):
        outcome = stopped(not finite, loss, epoch, limits)
        return [(outcome, ONE)] if outcome else ()
    return [one for one in stopped_cells(~finite, loss, epoch, limits) if one[1].any()]


ONE = np.ones(1, bool)


def stopped(lost: bool, loss: float, epoch: int, limits: Limits) -> str | None:
    """The outcome of a run with this step; None if it goes on."""
    for outcome, holds in RULES:
        if holds(lost, loss, epoch, limits):
            return outcome
    return None


def stopped_cells(
    lost: NDArray[np.bool_], loss: NDArray[np.floating[Any]], epoch: int, limits: Limits
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Each outcome with the cells of a stack that stop so, (cells,)."""
    open_, found = np.ones(len(loss), bool), []
    for outcome, holds in RULES:
        cells = open_ & holds(lost, loss.astype(np.float64), epoch, limits)
        open_ &= ~cells
        found.append((outcome, cells))
    return found
