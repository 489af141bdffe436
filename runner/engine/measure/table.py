"""What is recorded beside the parameters: one table, from which a run declares its columns.

A measure is computed from many steps at once, and changes none of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from runner.base.arrays import Array
from runner.base.rows import norms
from runner.record.column import (
    BATCH_LOSS,
    FIGURES,
    FIXED,
    GRADIENT_NORM,
    LOSS,
    MEASURE,
    NORMS,
    PARAMETERS,
    SPACED,
    START,
    STEP,
    Column,
    tensor_norms,
    vector,
)
from runner.record.naming import key


class Steps(NamedTuple):
    """Some steps of a run, or of several, one after another: see `engine.program.step.Step`."""

    loss: Array
    """(steps,)"""
    parameters: Array
    """(steps, parameters): after the update"""
    gradient: Array
    """(steps, parameters): of the loss, before the update"""


class Measure(NamedTuple):
    """A quantity of each step."""

    of: Callable[[Steps], Array]
    """Gives (steps,), or (steps, *shape)."""
    role: str = MEASURE
    shape: tuple[int, ...] = ()
    """() or (numbers,)"""


MEASURES: dict[str, Measure] = {
    "loss": Measure(lambda steps: steps.loss, LOSS),
    "grad_norm": Measure(lambda steps: norms(steps.gradient), GRADIENT_NORM),
}
"""Each by the name under which it stands in MLflow, Parquet, tables and on the page.

One that bears the name of a parameter, or of what is recorded anyway, is called `measure.NAME`.
"""


SHIPPED = frozenset(MEASURES)


def own_measures() -> dict[str, Measure]:
    """Those that somebody has added in this process."""
    return {name: measure for name, measure in MEASURES.items() if name not in SHIPPED}


class RecordedColumn(NamedTuple):
    """A column, and what gives its values."""

    column: Column
    of: Callable[[Steps], Array] | None
    """None: the driver tells it."""


def declared(
    tensors: Mapping[str, tuple[int, ...]],
    dtype: str,
    *,
    whole: bool,
    told: Sequence[Column] = (),
    chosen: Sequence[Column] = (),
) -> list[RecordedColumn]:
    """What a run with these parameters records, `told` the columns that the driver knows of.

    `chosen` are measures of the config's, which the driver tells as well.

    Where its `whole` trajectory would take too much room, there are norms at every step, and all
    parameters at some. Raises ValueError for a measure that cannot be one.
    """
    own = vector("parameters", PARAMETERS, tensors, dtype, START if whole else SPACED)
    each = {f"{name}.norm": () for name in tensors}
    names = [*tensors, *own.labels(), *each, *(column.name for column in told)]
    taken = {*FIXED, *FIGURES, own.name, NORMS, *map(key, names)}
    is_mean = any(column.role == LOSS for column in told)
    made = []
    for name, measure in MEASURES.items():
        _check(name, measure, own.size, dtype)
        role = BATCH_LOSS if measure.role == LOSS and is_mean else measure.role
        column = _apart(name, measure._replace(role=role), taken)
        taken |= {column.name, *map(key, column.labels())}
        made.append(RecordedColumn(column, measure.of))
    if not whole:
        column = vector(NORMS, NORMS, each, "float64", START)
        made.append(RecordedColumn(column, lambda steps: tensor_norms(steps.parameters, tensors)))
    for column in chosen:
        apart = _apart(column.name, Measure(_never, MEASURE, column.shape), taken)
        taken |= {apart.name, *map(key, apart.labels())}
        made.append(RecordedColumn(replace(column, name=apart.name), None))
    made += [RecordedColumn(column, None) for column in told]
    return [*made, RecordedColumn(own, lambda steps: steps.parameters)]


def _never(steps: Steps) -> Array:
    raise AssertionError("the driver tells it")


def _apart(name: str, measure: Measure, taken: set[str]) -> Column:
    """Its column, under a name that nothing else has, here or in MLflow."""
    while True:
        column = Column(name, measure.role, measure.shape, "float64", STEP)
        if not {name, *map(key, column.labels())} & taken:
            return column
        name = f"measure.{name}"


@lru_cache(maxsize=1000)
def _check(name: Any, measure: Measure, parameters: int, dtype: str) -> None:
    """Refuse what is no measure: by two steps, of which it is asked."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"measure {name!r}: expected a name, a text that is not empty")
    some = np.ones((2, parameters), dtype)
    steps = Steps(*map(read_only, (np.ones(2), some, some)))
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(measure.of(steps))
    except Exception as error:
        raise ValueError(f"measure {name}: raised {type(error).__name__}: {error}") from error
    if found.shape != (2, *measure.shape) or found.dtype.kind not in "fiub":
        raise ValueError(
            f"measure {name}: expected real numbers of shape {(2, *measure.shape)} for 2 steps, "
            f"got {found.dtype} of shape {found.shape}"
        )


def read_only(values: Array) -> Array:
    """The same values, which nobody can change by this."""
    seen = values.view()
    seen.flags.writeable = False
    return seen
