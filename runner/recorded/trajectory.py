"""A trajectory as it is read back: every recorded value of a run, by step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.column import LOSS, NORMS, PARAMETERS, SPACED, START, Column, row_type
from runner.journal import Rows

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The columns that a run has declared, and their values."""

    columns: Sequence[Column]
    rows: Rows
    """A row for each step, from 0 on, with the columns that have a value at every step"""
    spaced: Rows
    """A row for each step at which the others have one"""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def step(self) -> Index:
        """(rows,), from 0, the start"""
        steps: Index = self.rows["step"]
        return steps

    @property
    def loss(self) -> Array:
        """(rows,): before each step's update; NaN at the start"""
        column = self.column(LOSS)
        if column is None:
            return np.full(len(self), np.nan)
        return self.values(column)[1][:, 0]

    @property
    def parameters(self) -> tuple[Index, Array]:
        """(steps,), and after each of them (steps, parameters): of every step, if all are there."""
        column = self.column(PARAMETERS)
        if column is None:
            return np.empty(0, np.int64), np.empty((0, 0))
        return self.values(column)

    def column(self, role: str) -> Column | None:
        """The first column of that role."""
        return next((one for one in self.columns if one.role == role), None)

    def values(self, column: Column) -> tuple[Index, Array]:
        """(steps,), and the column's values at those: (steps, numbers)."""
        rows = self.spaced if column.every == SPACED else self.rows
        return rows["step"], column.of(rows)

    def told(self, role: str) -> Iterator[tuple[str, Index, Array]]:
        """What is told of the columns of that role: a name, and values, (steps,), at steps.

        For parameters of which not all are recorded, these are their norms.
        """
        for column in self.columns:
            if column.role == (NORMS if role == PARAMETERS and self._is_thinned else role):
                steps, values = self.values(column)
                first = 0 if column.every == START else 1
                for key, own in zip(column.labels(), column.told(values).T, strict=True):
                    yield key, steps[first:], own[first:]

    def names(self, role: str) -> list[str]:
        """What is told of the columns of that role."""
        return [name for name, _, _ in self.told(role)]

    @property
    def _is_thinned(self) -> bool:
        return self.column(NORMS) is not None


def assembled(columns: Sequence[Column], chunks: Iterable[Rows]) -> Trajectory:
    """The trajectory of which these are the chunks, in their order."""
    kinds: dict[bool, list[Rows]] = {False: [], True: []}
    apart = {column.field for column in columns if column.every == SPACED}
    for chunk in chunks:
        kinds[bool(apart & {*(chunk.dtype.names or ())})].append(chunk)
    rows, spaced = (
        np.concatenate(kinds[there])
        if kinds[there]
        else np.empty(0, row_type(one for one in columns if (one.every == SPACED) == there))
        for there in (False, True)
    )
    return Trajectory(columns, rows, spaced[np.unique(spaced["step"], return_index=True)[1]])
