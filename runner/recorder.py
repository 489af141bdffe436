"""Collects what one run, or each cell of a stack, records step by step, as rows for a journal."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.column import SPACED, row_type
from runner.journal import Rows
from runner.measure import Recorded, Steps
from runner.program.step import Step
from runner.spacing import Spacing
from runner.vectors import Vectors

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int64]

ROOM_BYTES = 16 * 2**20
"""What is collected before it has to be handed on."""


class Figures(NamedTuple):
    """What is known of a cell at its end."""

    epochs: int
    final_loss: float
    best_loss: float
    parameters: Array
    """(parameters,): the last"""


class Recorder:
    """Every array of cells is over those that are still computed; a run by itself is one cell."""

    def __init__(
        self,
        recorded: Sequence[Recorded],
        initial: Array,
        now: float,
        spacing: Spacing | None = None,
    ) -> None:
        """`initial` is (parameters,), or (cells, parameters); made at `now`, in seconds since 1970.

        `spacing`: of the steps at which columns are recorded that are not at all.
        """
        self._recorded = [one for one in recorded if one.column.every != SPACED]
        self._kind = row_type(one.column for one in self._recorded)
        initial = np.atleast_2d(initial)
        apart = [one.column for one in recorded if one.column.every == SPACED]
        self._vectors = [Vectors(one, spacing, initial, now) for one in apart if spacing]
        cells, size = initial.shape
        each = self._kind.itemsize + 2 * size * initial.itemsize
        self._room = max(2, ROOM_BYTES // (cells * each))
        self._allocate(cells, size, initial.dtype)
        self._first = self._filled = 0
        self._until = np.full(cells, -1)  # rows of a cell that has ended, in the chunk
        self._best = np.full(cells, np.inf)
        self.last = Step(np.full(cells, np.nan), initial, np.full_like(initial, np.nan))
        self.add(self.last, now)

    def _allocate(self, cells: int, size: int, dtype: Any) -> None:
        self._times = np.empty(self._room)
        self._loss = np.empty((self._room, cells))
        self._parameters = np.empty((self._room, cells, size), dtype)
        self._gradient = np.empty((self._room, cells, size), dtype)

    @property
    def epochs(self) -> int:
        """Recorded so far, the start not counted."""
        return self._first + self._filled - 1

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another step."""
        return bool(self._filled == self._room)

    def add(self, step: Step, now: float) -> None:
        """Record the next step, made at `now`, of every cell."""
        row = self._filled
        self._times[row] = now
        self._loss[row] = step.loss
        self._parameters[row] = step.parameters
        self._gradient[row] = step.gradient
        for vectors in self._vectors:
            vectors.add(self._first + row, step, now)
        self.last = step
        self._filled = row + 1  # last, so that an interrupt leaves whole rows only

    def end(self, cells: Index) -> list[Figures]:
        """What is known of the cells at these places; no further step of theirs is recorded."""
        self._until[cells] = self._filled
        for vectors in self._vectors:
            vectors.end(cells, self.epochs, self.last)
        final = np.atleast_1d(self.last.loss)[cells]
        best = np.fmin(self._best, self._least())[cells]
        parameters = np.atleast_2d(self.last.parameters)[cells]
        return [
            Figures(self.epochs, float(loss), float(least), own)
            for loss, least, own in zip(final, best, parameters, strict=True)
        ]

    def _least(self) -> Array:
        """(cells,): the least loss in what is collected."""
        least: Array = np.fmin.reduce(self._loss[: self._filled], axis=0, initial=np.inf)
        return least

    def rows(self) -> Iterator[tuple[int, Rows]]:
        """What is collected: the place of a cell, and rows of it."""
        filled = self._filled
        cells, size = self._parameters.shape[1:]
        together = np.empty((cells, filled), self._kind)
        together["step"] = np.arange(self._first, self._first + filled)
        together["time"] = self._times[:filled]
        steps = Steps(
            self._loss[:filled].reshape(-1),
            self._parameters[:filled].reshape(-1, size),
            self._gradient[:filled].reshape(-1, size),
        )
        with np.errstate(all="ignore"):  # of cells that have diverged
            for column, of in self._recorded:
                values = np.reshape(of(steps), (filled, cells, *column.shape))
                together[column.name] = values.swapaxes(0, 1)
        for cell, until in enumerate(self._until.tolist()):
            if count := filled if until < 0 else until:
                yield cell, together[cell, :count]
        for vectors in self._vectors:
            yield from vectors.rows()

    def forget(self) -> None:
        """Begin a new chunk: what was collected has been handed on."""
        self._best = np.fmin(self._best, self._least())
        self._first += self._filled
        self._filled = 0
        self._until[self._until >= 0] = 0
        for vectors in self._vectors:
            vectors.forget()

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these places alone, once the chunk has been handed on."""
        self._until, self._best = self._until[cells], self._best[cells]
        self.last = Step(*(part[cells] for part in self.last))
        self._allocate(len(cells), self._parameters.shape[2], self._parameters.dtype)
        for vectors in self._vectors:
            vectors.keep(cells)
