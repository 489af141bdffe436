"""A moment of a run, or of all cells of a stack, and what takes a measure of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from runner.base.arrays import Array, Index
from runner.engine.contract import Batch
from runner.engine.measure.problem import TrainingProblem


class Moment(NamedTuple):
    """A step that has been taken, of (cells, ...); a run by itself is one cell.

    Cells of a stack that have diverged may be among them, with NaN.
    """

    step: int
    loss: Array
    """(cells,): of its batch, before the update"""
    gradient: Array
    """(cells, parameters): of that"""
    last: Array | None
    """The gradient of the step before; None at the first"""
    before: Array
    """(cells, parameters): where loss and gradient were taken"""
    after: Array
    """Where the update has led; what is recorded as this step's parameters"""
    lr: Array
    """(cells,), float64"""
    batch: Batch
    """The samples of the step, x and y as the loop has them: with an axis of cells before the
    others only where cells have samples of their own"""
    problem: TrainingProblem
    cells: Index
    """Which of the stack's they are"""
    seeds: Index
    """(cells,): theirs"""

    def slope(self) -> Array:
        """(cells, parameters): of the loss of all samples for training, before the update."""
        return self.problem.calculus.gradient(self.before, self.problem.whole)

    def bent(self, directions: Array, batch: Batch | None = None, cell: int | None = None) -> Array:
        """Products of the Hessian before the update, (cells, directions, parameters), with these.

        Of the loss of all samples for training, or of that batch; of all cells, or of one.
        """
        own, of = self.problem.whole if batch is None else batch, self.problem.calculus
        if cell is None:
            return of.products(self.before, directions, own)
        return of.products(self.before[cell : cell + 1], directions, of.of_cell(own, cell))

    def noise(self) -> Array:
        """(cells,): the trace of the covariance of one sample's gradient, before the update."""
        return self.problem.calculus.noise(self.before, self.problem.whole)

    def distance(self) -> Array | None:
        """(cells,): after the update, from the nearest minimum; None where none is known."""
        return self.problem.distance(self.after, self.cells)

    def excess(self) -> Array | None:
        """(cells,): of the loss of all samples before the update, over the least there is."""
        return self.problem.excess(self.before, self.cells)

    def scale(self) -> Array | None:
        """(cells, parameters): what the step was divided by; None for other optimizers."""
        found = self.problem.scale()
        return None if found is None else np.atleast_2d(found)


class Instrument(NamedTuple):
    """What takes a measure."""

    of: Callable[[Moment], Any]
    """Gives (cells,), or (cells, numbers)."""
    shape: tuple[int, ...] = ()
    """() or (numbers,)"""
