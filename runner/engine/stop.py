"""When a run stops by itself, and as what: one ordered set of rules, alone and in a stack.

Each rule is asked of numbers for a lone run, and of arrays (cells,) for a stack.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from runner.base.arrays import AnyArray, Counts, Flags, Index, Scalars, Truths
from runner.config.spec import Spec

OUTCOMES = {
    "converged": "the loss fell below tolerance",
    "stopped_early": "no better for as many epochs as patience has",
    "exhausted": "all epochs, or all steps, used",
    "pruned": "behind the median of its stack (sweep.prune)",
    "diverged": "the loss or a parameter was no longer finite",
    "interrupted": "stopped by a signal",
    "failed": "an exception ended it",
}
"""Every way in which a run may end. All but the last two are decided here, after each step."""


def is_ranked(outcome: str, final_loss: float) -> bool:
    """Whether a run ends in a number of its own, and so can be the best."""
    return outcome not in ("diverged", "failed", "pruned") and not math.isnan(final_loss)


def ranked_value(outcome: str, final_loss: float, value: float) -> float:
    """Return the value of a run that others are compared with: its own where it is ranked.

    Infinite if it has diverged, and NaN if it ends in no number otherwise.
    """
    if outcome == "diverged":
        return math.inf
    return value if is_ranked(outcome, final_loss) else math.nan


class HasEnded(Protocol):
    """What runs are compared by, whether they are cells or read back."""

    @property
    def outcome(self) -> str:
        """Return how it ended."""

    @property
    def final_loss(self) -> float:
        """Return its last loss; NaN where there is none."""

    @property
    def epochs(self) -> float:
        """Return how many epochs it took."""


RunT = TypeVar("RunT", bound=HasEnded)


def best_first(runs: Iterable[RunT]) -> list[RunT]:
    """Return the runs that are ranked, the least final loss first; of equals the sooner."""
    ranked = [run for run in runs if is_ranked(run.outcome, run.final_loss)]
    return sorted(ranked, key=lambda run: (run.final_loss, run.epochs))


class Limits(NamedTuple):
    """What a step is held against: numbers, or arrays (cells,)."""

    epochs: Counts
    below: Scalars
    """The loss below which a run has converged; minus infinity if it never does."""
    steps: Scalars = math.inf
    patience: Scalars = math.inf
    """Epochs without a better one, after which it stops; infinite if it never does"""
    min_delta: Scalars = 0.0
    """By which an epoch's loss must be less than the best, if it is to be better"""

    def of(self, cells: Index) -> "Limits":
        """The limits of some cells of a stack; a run by itself is all there is."""
        if not isinstance(self.epochs, np.ndarray):
            return self
        parts: Sequence[AnyArray] = self
        return Limits(*(part[cells] for part in parts))

    def above(self, least: float) -> "Limits":
        """The limits for a loss that is at least so much; NaN, of which nobody knows how much."""
        below = self.below + least
        return self._replace(below=np.where(np.isnan(below), -math.inf, below)[()])

    @property
    def is_patient(self) -> bool:
        """Whether any of them has patience to lose."""
        return bool(np.isfinite(self.patience).any())


def limits(
    epochs: int,
    tolerance: float,
    max_steps: int | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
) -> Limits:
    """`tolerance=0` is never, also for losses that go below 0."""
    return Limits(
        epochs,
        tolerance if tolerance > 0 else -math.inf,
        math.inf if max_steps is None else max_steps,
        math.inf if patience is None else patience,
        min_delta,
    )


def limits_of(spec: Spec) -> Limits:
    """Return the limits that a config sets."""
    return limits(spec.epochs, spec.tolerance, spec.max_steps, spec.patience, spec.min_delta)


def most_steps(epochs: int, epoch_steps: int, max_steps: int | None) -> int:
    """How many steps a run takes at most, with so many in an epoch."""
    steps = epochs * epoch_steps
    return steps if max_steps is None else min(steps, max_steps)


def together(cells: list[Limits]) -> Limits:
    """The limits of the cells of a stack."""
    return Limits(*(np.array(column) for column in zip(*cells, strict=True)))


class Now(NamedTuple):
    """Where a run is after a step: numbers, or arrays (cells,) but for epochs and steps."""

    lost: Truths
    """Whether the loss or a parameter is not finite: see `runner.engine.program.step.is_finite`"""
    loss: Scalars
    """Of the epoch that ends with this step; infinite within one"""
    epochs: int
    """That have ended"""
    steps: int
    waited: Counts = 0
    """Epochs since the best one"""
    behind: Truths = False
    """Whether it is to be given up: see `runner.engine.pruning`"""


Rule = Callable[[Now, Limits], Truths]

RULES: tuple[tuple[str, Rule], ...] = (
    ("diverged", lambda now, limits: now.lost),
    ("converged", lambda now, limits: now.loss < limits.below),
    ("stopped_early", lambda now, limits: now.waited >= limits.patience),
    (
        "exhausted",
        lambda now, limits: (now.epochs >= limits.epochs) | (now.steps >= limits.steps),
    ),
    ("pruned", lambda now, limits: now.behind),
)
"""The first that holds decides; if none does, the run goes on, unless it is interrupted."""


def ended(now: Now, limits: Limits) -> Sequence[tuple[str, Flags]]:
    """Each outcome in which cells stop with this step, and which, (cells,)."""
    if isinstance(now.loss, float):
        outcome = stopped(now, limits)
        return [(outcome, ONE)] if outcome else ()
    return [one for one in stopped_cells(now, limits) if one[1].any()]


ONE = np.ones(1, bool)


def stopped(now: Now, limits: Limits) -> str | None:
    """The outcome of a run with this step; None if it goes on."""
    for outcome, holds in RULES:
        if holds(now, limits):
            return outcome
    return None


def stopped_cells(now: Now, limits: Limits) -> list[tuple[str, Flags]]:
    """Each outcome with the cells of a stack that stop so, (cells,)."""
    loss: AnyArray = now.loss
    now, found = now._replace(loss=loss.astype(np.float64)), []
    open_: Flags = np.ones(len(loss), bool)
    for outcome, holds in RULES:
        cells = open_ & holds(now, limits)
        open_ &= ~cells
        found.append((outcome, cells))
    return found
