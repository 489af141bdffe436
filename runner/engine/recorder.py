"""Collects what one run, or each cell of a stack, records step by step, as rows for a journal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from runner.base.arrays import AnyArray, Array, Index, State
from runner.engine.epoch import SO_FAR, Told
from runner.engine.measure import RecordedColumn, Steps, read_only
from runner.engine.program.step import Step
from runner.engine.vectors import Vectors
from runner.record.column import EPOCH_END, LOSS, SPACED, START, Column, row_type
from runner.record.journal import Rows
from runner.record.spacing import Spacing

ROOM_BYTES = 16 * 2**20
"""What is collected before it has to be handed on."""

COPIES_BYTES = 2**20
"""What is measured at once: a processor's cache has room for it beside the step's own arrays."""


class FinalFigures(NamedTuple):
    """What is known of a cell at its end."""

    steps: int
    final_loss: float
    """Of the last step, or of the last epoch; before the end of the first, of its steps so far"""
    best_loss: float
    parameters: Array
    """(parameters,): the last"""
    told: Mapping[str, float]
    """What the last epoch was told of beside its loss"""


class Recorder:
    """Every array of cells is over those that are still computed; a run by itself is one cell."""

    def __init__(
        self,
        recorded: Sequence[RecordedColumn],
        initial: Array,
        now: float,
        spacing: Spacing | None = None,
    ) -> None:
        """`initial` is (parameters,), or (cells, parameters); made at `now`, in seconds since 1970.

        `spacing`: of the steps at which columns are recorded that are not at all.
        """
        self._recorded = [one for one in recorded if one.column.every != SPACED]
        told = [one.column for one in self._recorded if one.of is None]
        self._ranks = next((column.name for column in told if column.role == LOSS), None)
        self._names = [column.name for column in told]
        self._shapes = [(column.name, column.shape) for column in told]
        self._kind = row_type(one.column for one in self._recorded)
        self._broken: list[Column] = []
        initial = np.atleast_2d(initial)
        apart = [one.column for one in recorded if one.column.every == SPACED]
        self._vectors = [Vectors(one, spacing, initial, now) for one in apart if spacing]
        cells, size = initial.shape
        self._allocate(cells, size, initial.dtype)
        self._first = self._count = self._offset = 0
        self._measured: list[Rows] = []  # of the chunk, (cells, steps) each
        self._until = np.full(len(initial), -1)  # rows of a cell that has ended, in the chunk
        self._best = np.full(len(initial), np.inf)  # of what is measured
        self._ends = [one.name for one in told if one.every == EPOCH_END]
        self._at_the_end: dict[str, Any] = {}  # of the last epoch, by these names
        self.last = Step(np.full(len(initial), np.nan), initial, np.full_like(initial, np.nan))
        self.add(self.last, now, {column.name: 0 for column in told if column.every == START})

    def _allocate(self, cells: int, size: int, dtype: np.dtype[np.floating[Any]]) -> None:
        """Room for steps until they are measured. A large one is measured at once, not copied."""
        room = COPIES_BYTES // (cells * (16 + 2 * size * np.dtype(dtype).itemsize))
        self._copies = room > 2
        self._room = room if self._copies else 1
        self._times, self._loss = np.empty(self._room), np.empty((self._room, cells))
        shape = (self._room, cells, size if self._copies else 0)
        self._parameters, self._gradient = np.empty(shape, dtype), np.empty(shape, dtype)
        self._told = {
            name: np.full((self._room, cells, *shape), np.nan) for name, shape in self._shapes
        }

    @property
    def steps(self) -> int:
        """Recorded so far, the start not counted."""
        return self._first + self._count - 1

    @property
    def is_full(self) -> bool:
        """Whether what is collected has to be handed on."""
        return sum(rows.nbytes for rows in self._measured) >= ROOM_BYTES

    def add(self, step: Step, now: float, told: Told) -> None:
        """Record the next step, made at `now`, of every cell, and what is `told` with it.

        What has no column is not recorded.
        """
        row = self._count - self._offset
        self._times[row] = now
        self._loss[row] = step.loss
        if self._copies:
            self._parameters[row] = step.parameters
            self._gradient[row] = step.gradient
        for name in self._names:
            if name in told:
                self._told[name][row] = told[name]
        if self._ends and self._ends[0] in told:
            self._at_the_end = {name: told[name] for name in self._ends}
        elif SO_FAR in told:
            self._at_the_end = dict(told[SO_FAR])
        for vectors in self._vectors:
            loss = step.loss if self._ranks is None else told.get(self._ranks, np.inf)
            vectors.add(self._first + self._count, step.parameters, loss, now)
        self.last = step
        self._count += 1  # last, so that an interrupt leaves whole rows only
        if row + 1 == self._room:
            self._measure()

    def _measure(self) -> None:
        """Turn the steps that have come since into rows; the copies of them are not needed then."""
        begin, end = self._open
        rows, cells = end - begin, len(self._until)
        together = np.empty((cells, rows), self._kind)
        together["step"] = np.arange(self._first + begin, self._first + end)
        together["time"] = self._times[:rows]
        if self._copies:
            both = self._parameters[:rows], self._gradient[:rows]
        else:
            both = self.last.parameters, self.last.gradient
        parameters, gradient = (part.reshape(rows * cells, -1) for part in both)
        loss, best = self._loss[:rows].reshape(-1), np.fmin(self._best, self._least())
        steps = Steps(*map(read_only, (loss, parameters, gradient)))
        with np.errstate(all="ignore"):  # of cells that have diverged
            for column, of in self._recorded:
                if of is None:
                    together[column.field] = self._told[column.name][:rows].swapaxes(0, 1)
                    continue
                values = self._asked(column, of, steps).reshape(rows, cells, *column.shape)
                together[column.field] = values.swapaxes(0, 1)
        self._best = best
        self._measured.append(together)  # one step, so that an interrupt finds each row once
        self._offset = self._count
        for told in self._told.values():
            told[:rows] = np.nan

    def _asked(self, column: Column, of: Callable[[Steps], Array], steps: Steps) -> Array:
        """The measure's values, (steps, numbers); NaN for one that has raised before.

        Raises what it raises, and is to be called again then.
        """
        if column in self._broken:
            return np.full((len(steps.loss), *column.shape), np.nan)
        self._broken.append(column)
        values = np.reshape(of(steps), (len(steps.loss), *column.shape))
        self._broken.remove(column)
        return values

    @property
    def _open(self) -> tuple[int, int]:
        """Of the chunk's steps, the first that is not measured, and the end."""
        return sum(rows.shape[1] for rows in self._measured), self._count

    def _least(self) -> Array:
        """(cells,): the least loss that is not measured."""
        begin, end = self._open
        ranked = self._loss if self._ranks is None else self._told[self._ranks]
        least: Array = np.fmin.reduce(ranked[: end - begin], axis=0, initial=np.inf)
        return least

    def end(self, cells: Index) -> list[FinalFigures]:
        """What is known of the cells at these indices; no further step of theirs is recorded."""
        self._until[cells] = self._count
        for vectors in self._vectors:
            vectors.end(cells, self.steps, self.last)
        told = {name: np.atleast_1d(values)[cells] for name, values in self._at_the_end.items()}
        final = np.atleast_1d(self.last.loss)[cells]
        if self._ranks is not None:
            final = told.pop(self._ranks, np.full(len(cells), np.nan))
        best = np.fmin(self._best, self._least())[cells]
        best = np.where(np.isinf(best), final, best)  # within the first epoch
        parameters = np.atleast_2d(self.last.parameters)[cells]
        return [
            FinalFigures(
                self.steps,
                float(final[n]),
                float(best[n]),
                parameters[n],
                {name: float(values[n]) for name, values in told.items()},
            )
            for n in range(len(cells))
        ]

    def rows(self) -> Iterator[tuple[int, Rows]]:
        """What is collected: the index of a cell, and rows of it."""
        begin, end = self._open
        if begin < end:
            self._measure()
        if self._measured:
            together = np.concatenate(self._measured, axis=1)
            for cell, until in enumerate(self._until.tolist()):
                if count := self._count if until < 0 else until:
                    yield cell, together[cell, :count]
        for vectors in self._vectors:
            yield from vectors.rows()

    def forget(self) -> None:
        """Begin a new chunk: what was collected has been handed on."""
        self._first += self._count
        self._measured, self._count, self._offset = [], 0, 0
        self._until[self._until >= 0] = 0
        for vectors in self._vectors:
            vectors.forget()

    def state(self) -> State:
        """What is known of the steps so far, once the chunk has been handed on."""
        return {
            "first": self._first,
            "best": self._best,
            "at the end": self._at_the_end,
            "last": tuple(self.last[:3]),
            "vectors": [vectors.state() for vectors in self._vectors],
        }

    def restore(self, state: State) -> None:
        """Go on from there: nothing is collected."""
        self._first, self._best = state["first"], state["best"]
        self._at_the_end, self.last = dict(state["at the end"]), Step(*state["last"])
        self._measured, self._count, self._offset = [], 0, 0
        self._until = np.full(len(self._best), -1)
        parameters = np.atleast_2d(self.last.parameters)
        self._allocate(len(parameters), parameters.shape[1], parameters.dtype)
        for vectors, own in zip(self._vectors, state["vectors"], strict=True):
            vectors.restore(own)

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices alone, once the chunk has been handed on."""
        self._until, self._best = self._until[cells], self._best[cells]
        self._at_the_end = {name: values[cells] for name, values in self._at_the_end.items()}
        last: Sequence[AnyArray] = self.last[:3]
        self.last = Step(*(part[cells] for part in last))
        self._allocate(len(cells), self.last.parameters.shape[1], self.last.parameters.dtype)
        for vectors in self._vectors:
            vectors.keep(cells)
