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

from runner.model import parameter_names

Array = NDArray[np.floating[Any]]
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


def from_json(written: Iterable[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns of which each was written as a dictionary."""
    return tuple(
        Column(
            **{
                **one,
                "shape": tuple(one["shape"]),
                "tensors": {name: tuple(shape) for name, shape in one["tensors"].items()},
            }
        )
        for one in written
    )


def columns_in(text: str | bytes) -> tuple[Column, ...] | None:
    """Return the columns that a tag or a file lists as JSON; None if it is none of ours."""
    try:
        return from_json(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def declared(start: Any) -> tuple[Column, ...]:
    """The columns that a run's start declares: see `runner.journal.Start`."""
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


def norms(rows: Array) -> NDArray[np.float64]:
    """Euclidean norm of each row, in float64; where squares are out of range, of scaled numbers."""
    squares = np.zeros(len(rows))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for first in range(0, rows.shape[1], PIECE):
            some = rows[:, first : first + PIECE].astype(np.float64)
            squares += np.einsum("ij,ij->i", some, some)
    result = np.sqrt(squares)
    if (odd := ~((squares > SMALL) & (squares < LARGE))).any():  # 0 and NaN as well
        result[odd] = _scaled_norms(rows[odd].astype(np.float64))
    return result


PIECE = 2**15  # numbers that are in float64 at once: a processor's cache has room for them
SMALL, LARGE = 1e-250, 1e250  # of a sum of squares that no square in it is out of range with


def _scaled_norms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = np.abs(values).max(axis=1, initial=0.0)
    safe = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    result: NDArray[np.float64] = safe * np.sqrt(np.square(values / safe[:, None]).sum(axis=1))
    return result
