"""What a program minimises, as measures ask it: nothing here touches what is trained."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from runner.base.arrays import Array, Index
from runner.engine.batches import Batches
from runner.engine.contract import Batch
from runner.objective.optimum import Optimum


class Calculus(Protocol):
    """The loss as a function of w, (cells, parameters), on a batch; NumPy's arrays come and go.

    A batch is as programs take it: all cells share it, or it has an axis of cells.
    """

    def gradient(self, w: Array, batch: Batch) -> Array:
        """(cells, parameters)"""

    def products(self, w: Array, directions: Array, batch: Batch) -> Array:
        """The Hessian times each direction, both (cells, directions, parameters)."""

    def noise(self, w: Array, batch: Batch) -> Array:
        """(cells,): the trace of the covariance of one sample's gradient."""

    def of_cell(self, batch: Batch, cell: int) -> Batch:
        """The batch for that cell alone."""


class TrainingProblem:
    """A loss over all samples for training, and what is known of it."""

    def __init__(
        self,
        calculus: Callable[[], Calculus],
        batches: Batches,
        known: Callable[[], Sequence[Optimum | None]],
        scale: Callable[[], Array | None],
    ) -> None:
        """`calculus` is made once it is asked for; `known` of each cell, or one of all; `scale` is
        what a step was divided by.
        """
        self._make, self._batches, self.scale = calculus, batches, scale
        self._ask, self._known = known, list[Optimum | None]()

    @cached_property
    def calculus(self) -> Calculus:
        """Its derivatives."""
        return self._make()

    @property
    def whole(self) -> Batch:
        """All samples for training."""
        return self._batches.whole

    def distance(self, w: Array, cells: Index) -> Array | None:
        """(cells,): from the nearest minimum; None where nobody knows where one is."""
        own = self._of(cells)
        if any(one is None or one.solution is None for one in own):
            return None
        return np.array([one.solution.distance(at) for one, at in zip(own, w, strict=True)])  # type: ignore[union-attr]

    def excess(self, w: Array, cells: Index) -> Array | None:
        """(cells,): of the loss over the least there is; None where nobody knows it."""
        own = self._of(cells)
        if any(one is None or one.excess is None for one in own):
            return None
        found = [one.excess(at[None]) for one, at in zip(own, w, strict=True)]  # type: ignore[union-attr,misc]
        return np.concatenate(found)

    def _of(self, cells: Index) -> list[Optimum | None]:
        self._known = self._known or list(self._ask())
        return [self._known[cell if len(self._known) > 1 else 0] for cell in cells]
