"""A trajectory as it is read back: every recorded value of a run, by step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array, Index
from runner.record.column import (
    BATCH_LOSS,
    LOSS,
    NORMS,
    PARAMETERS,
    SPACED,
    Column,
    epoch_steps,
    row_type,
)
from runner.record.journal import Rows


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
    def losses(self) -> tuple[Index, Array]:
        """(epochs,), counted from 1, and the loss of each, (epochs,)."""
        column = self.column(LOSS)
        if column is None:
            return np.empty(0, np.int64), np.empty(0)
        steps, values = self.values(column)
        return steps // column.steps, values[:, 0]

    @property
    def step_losses(self) -> Array:
        """(rows,): of each step's batch, before its update; NaN at the start"""
        column = self.column(BATCH_LOSS) or self.column(LOSS)
        return np.full(len(self), np.nan) if column is None else column.of(self.rows)[:, 0]

    @property
    def epoch_steps(self) -> int:
        """How many steps an epoch has."""
        return epoch_steps(self.columns)

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
        """(steps,) at which the column has a value, and these, (steps, numbers)."""
        rows = self.spaced if column.every == SPACED else self.rows
        if not (there := column.at(rows["step"])).all():
            rows = rows[there]
        return rows["step"], column.of(rows)

    def told(self, *roles: str) -> Iterator[tuple[str, NDArray[Any], Array]]:
        """What is told of the columns of these roles: a name, and values, (steps,), at epochs.

        Within an epoch of several steps, these are fractions.
        """
        epoch = self.epoch_steps
        for _, key, steps, own in self.by_step(*roles):
            yield key, steps if epoch == 1 else steps / epoch, own

    def by_step(self, *roles: str) -> Iterator[tuple[str, str, Index, Array]]:
        """The same: a role, a name, steps, and the values after each of them, (steps,).

        For parameters of which not all are recorded, it is their norms.
        """
        wanted = [NORMS if role == PARAMETERS and self._is_thinned else role for role in roles]
        for column in self.columns:
            if column.role in wanted:
                steps, values = self.values(column)
                for key, own in zip(column.labels(), column.told(values).T, strict=True):
                    yield column.role, key, steps, own

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
