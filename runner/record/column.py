"""Columns: what a run records, as it declares it before its first step.

Whatever carries a trajectory on, or reads it back, goes by this declaration: the journal, Parquet,
MLflow, tables and the page. None of them knows a column by its name.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from runner.base.arrays import Array
from runner.base.rows import norms
from runner.model import parameter_names

Shape = tuple[int, ...]

LOSS = "loss"
"""The loss that a run is ranked by: of a full batch, or of an epoch."""
BATCH_LOSS = "batch loss"
EPOCH = "epoch"
PARAMETERS = "parameters"
NORMS = "parameter norms"
GRADIENT_NORM = "gradient norm"
VALIDATION = "validation"
MEASURE = "measure"
SCHEDULE = "schedule"
"""The learning rate of a step."""
EVALUATIONS = "evaluations"
"""How often the gradient was evaluated so far, where that is not once a step."""

START = "start"
"""A column that has a value at every step, and at step 0."""
STEP = "step"
"""One that has a value at every step from 1 on."""
EPOCH_END = "epoch"
"""One that has a value at the last step of each epoch."""
SOME = "some"
"""One that has a value at every so many steps."""
SPACED = "spaced"
"""One that has a value at step 0, at steps spaced by their logarithm, at the best and the last."""

MEASURES_TAG = "measures"
"""Of a run: its columns that are measures, as JSON; in MLflow nothing else tells them."""

MOST_SCALARS = 64
"""Up to so many numbers of a column have a metric each; past it, each tensor has one."""

MOST_NUMBERS = 2**31
"""Of a column at a step: no array that is larger can be in a row."""

BEST = "best.npz"
"""The file of a run with patience: its parameters where it was best, each tensor by its name."""

FIXED = ("step", "time")
"""What every row begins with."""

FIGURES = (
    *("epochs_run", "seconds", "final_loss", "best_loss"),
    *("prediction_before", "prediction_after"),
    *("final_accuracy", "final_val_loss", "final_val_accuracy", "best_epoch"),
)
"""What is recorded once, at a run's end."""


@dataclass(frozen=True)
class Column:
    """A recorded quantity."""

    name: str
    """No two columns of a run have the same."""
    role: str
    shape: Shape
    """Of its value at a step: () or (numbers,)"""
    dtype: str
    every: str
    tensors: Mapping[str, Shape] = field(default_factory=dict)
    """Name and shape of each tensor whose values its numbers are, in their order, if any."""
    steps: int = 1
    """In an epoch, for a column that has a value at the end of each; or between two values."""

    @property
    def field(self) -> str:
        """Its name in a row: in ASCII, as files of NumPy's arrays have it."""
        return self.name.encode("unicode_escape").decode()

    @property
    def parts(self) -> Mapping[str, Shape]:
        """Name and shape of what its numbers are."""
        return self.tensors or {self.name: self.shape}

    @property
    def size(self) -> int:
        """How many numbers it has at a step."""
        return math.prod(self.shape)

    @property
    def is_scalars(self) -> bool:
        """Whether each of its numbers is told by itself."""
        return self.size <= MOST_SCALARS

    def labels(self) -> list[str]:
        """What is told of it, in MLflow and in tables: each number, or the norm of each tensor."""
        if self.is_scalars:
            return parameter_names(self.parts)
        return [f"{name}.norm" for name in self.parts]

    def told(self, values: Array) -> Array:
        """From its values, (steps, size), what is told: (steps, labels)."""
        return values if self.is_scalars else tensor_norms(values, self.parts)

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(steps,): whether it has a value at each of them, unless that depends on the run."""
        if self.every in (EPOCH_END, SOME):
            there: NDArray[np.bool_] = (steps > 0) & (steps % self.steps == 0)
        else:
            there = steps >= (1 if self.every == STEP else 0)
        return there

    def of(self, rows: NDArray[np.void]) -> Array:
        """Its values in those rows, (rows, size)."""
        values: Array = rows[self.field]
        return values.reshape(len(rows), self.size)


def number(name: str, role: str, every: str = STEP, steps: int = 1) -> Column:
    """A column of one float64 at a step."""
    return Column(name, role, (), "float64", every, steps=steps)


def vector(name: str, role: str, tensors: Mapping[str, Shape], dtype: str, every: str) -> Column:
    """A column of all values of these tensors, one after another."""
    size = sum(map(math.prod, tensors.values()))
    return Column(name, role, (size,), dtype, every, dict(tensors))


def standard(tensors: Mapping[str, Shape], dtype: str = "float64") -> tuple[Column, ...]:
    """What runs recorded before they declared it."""
    return (
        number("loss", LOSS),
        number("grad_norm", GRADIENT_NORM),
        vector("parameters", PARAMETERS, tensors, dtype, START),
    )


def from_json(written: Any) -> tuple[Column, ...]:
    """Return the columns of which each was written as a dictionary.

    Raises ValueError for what declares none: it may stand in a store that anybody has written.
    """
    try:
        columns = tuple(_from_json(**one) for one in written)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"not the columns of a run: {error}") from error
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise ValueError("not the columns of a run: two have one name")
    return columns


def _from_json(
    *,
    name: str,
    role: str,
    shape: Sequence[int],
    dtype: str,
    every: str,
    tensors: Mapping[str, Sequence[int]],
    steps: int,
) -> Column:
    """Return the column if it is one that can be. Raises TypeError or ValueError."""
    shapes = {key: _shape(value) for key, value in tensors.items()}
    column = Column(name, role, _shape(shape), dtype, every, shapes, steps)
    texts = all(isinstance(text, str) for text in (name, role, dtype, every))
    if not (texts and isinstance(steps, int) and steps > 0 and len(column.shape) < 2):
        raise TypeError(f"{name!r:.80}")
    if np.dtype(dtype).kind not in "fiu" or column.size > MOST_NUMBERS:
        raise TypeError(f"{name!r:.80} of {dtype} and {column.size} numbers")
    if shapes and sum(map(math.prod, shapes.values())) != column.size:
        raise TypeError(f"{name!r:.80} has other tensors than numbers")
    return column


def _shape(written: Sequence[int]) -> Shape:
    if not all(isinstance(size, int) and size >= 0 for size in written):
        raise TypeError(f"{written!r:.80} is no shape")
    return tuple(written)


def columns_in(text: str | bytes) -> tuple[Column, ...] | None:
    """Return the columns that a tag or a file lists as JSON; None if it is none of ours."""
    try:
        return from_json(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def declared(start: Any) -> tuple[Column, ...]:
    """The columns that a run's start declares: see `runner.record.journal.Start`."""
    return from_json(start.columns) if start.columns else standard(start.tensors)


def epoch_steps(columns: Iterable[Column]) -> int:
    """How many steps an epoch has, of a run with these columns."""
    return next((column.steps for column in columns if column.role == LOSS), 1)


def row_type(columns: Iterable[Column]) -> np.dtype[np.void]:
    """One step of a trajectory: its number, when it was made, and a field for each column.

    Where a column has no value at a step, it is NaN there.
    """
    own: list[tuple[str, DTypeLike, Shape]] = [(c.field, c.dtype, c.shape) for c in columns]
    return np.dtype([("step", np.int64), ("time", np.float64), *own])  # seconds since 1970


def in_rows(columns: Sequence[Column], rows: NDArray[np.void]) -> list[Column]:
    """Those of the columns that the rows have."""
    names = rows.dtype.names or ()
    return [column for column in columns if column.field in names]


def tensor_edges(tensors: Mapping[str, Any]) -> list[int]:
    """Where to split a vector of all of these tensors' values into each one's."""
    return [int(edge) for edge in np.cumsum([math.prod(s) for s in tensors.values()])[:-1]]


def tensor_norms(values: Array, tensors: Mapping[str, Any]) -> Array:
    """Euclidean norm of each tensor, (steps, tensors), from (steps, numbers)."""
    parts = np.split(values, tensor_edges(tensors), axis=1)
    return np.stack([norms(part) for part in parts], axis=1)
