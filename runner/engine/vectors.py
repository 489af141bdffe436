"""Whole parameter vectors at some steps, where those of all would take too much room."""

from collections.abc import Iterator

import numpy as np

from runner.base.arrays import Array, Index, Scalars, State
from runner.engine.program.step import Step
from runner.record.column import Column, row_type
from runner.record.journal import Rows
from runner.record.spacing import Spacing

SHARE = 32
"""The spaced vectors take about one part in so many of the room that a whole trajectory may."""


def is_whole(steps: int, parameters: int, dtype: str, most_bytes: int) -> bool:
    """Whether the parameters of so many steps, and the start, take no more room than that."""
    return (steps + 1) * parameters * np.dtype(dtype).itemsize <= most_bytes


def is_small(parameters: int, dtype: str, tensors: int) -> bool:
    """Whether the parameters of a step take no more room than the norms of so many tensors."""
    return parameters * np.dtype(dtype).itemsize <= tensors * np.dtype(np.float64).itemsize


def spacing(steps: int, parameters: int, dtype: str, most_bytes: int) -> Spacing:
    """At which steps there are whole vectors, where there are not at all."""
    return Spacing(steps, most_bytes // SHARE // (parameters * np.dtype(dtype).itemsize))


class Vectors:
    """Those of each cell at the start, at spaced steps, at the best and at the last step."""

    def __init__(self, column: Column, spacing: Spacing, initial: Array, now: float) -> None:
        """`initial` is (cells, parameters), made at `now`."""
        self._column, self._kind = column, row_type([column])
        self._spacing = spacing
        cells = len(initial)
        self._best, self._best_loss = initial, np.full(cells, np.inf)
        self._best_step, self._best_time = np.zeros(cells, np.int64), np.full(cells, now)
        self._now = now
        self._until = np.full(cells, np.inf)
        self._waiting: list[tuple[int, float, Array]] = []
        self._ended: dict[int, list[tuple[int, float, Array]]] = {}

    def add(self, number: int, parameters: Array, loss: Scalars, now: float) -> None:
        """Take note of the next step of every cell; the least `loss` is the best one's."""
        vectors, loss = np.atleast_2d(parameters), np.atleast_1d(loss)
        self._now = now
        if self._spacing.holds(number):
            self._waiting.append((number, now, vectors))
        better = loss < self._best_loss
        if better.all():  # no copy: the arrays are the step's own
            self._best = vectors
        elif better.any():
            self._best = np.where(better[:, None], vectors, self._best)
        self._best_loss = np.where(better, loss, self._best_loss)
        self._best_step[better], self._best_time[better] = number, now

    def end(self, cells: Index, number: int, last: Step) -> None:
        """Keep the best and the last of these cells, whose last step was `number`."""
        self._until[cells] = number
        for cell in cells.tolist():
            last_one = number, self._now, np.atleast_2d(last.parameters)[cell]
            best = int(self._best_step[cell]), float(self._best_time[cell]), self._best[cell]
            for step, now, vector in {best[0]: best, number: last_one}.values():
                if not self._spacing.holds(step):
                    self._ended.setdefault(cell, []).append((step, now, vector))

    def rows(self) -> Iterator[tuple[int, Rows]]:
        """What is not handed on yet: the index of a cell, and rows of it."""
        for cell, until in enumerate(self._until.tolist()):
            own = [(n, now, vectors[cell]) for n, now, vectors in self._waiting if n <= until]
            if own := [*own, *self._ended.get(cell, [])]:
                rows = np.empty(len(own), self._kind)
                rows["step"], rows["time"], rows[self._column.field] = zip(*own, strict=True)
                yield cell, rows

    def forget(self) -> None:
        """What was there has been handed on."""
        self._waiting, self._ended = [], {}

    def state(self) -> State:
        """The best so far, once all the others have been handed on."""
        names = ("_best", "_best_loss", "_best_step", "_best_time", "_now", "_until")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: State) -> None:
        """Go on from there."""
        vars(self).update(state)
        self.forget()

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices alone."""
        self._best, self._best_loss = self._best[cells], self._best_loss[cells]
        self._best_step, self._best_time = self._best_step[cells], self._best_time[cells]
        self._until = self._until[cells]
