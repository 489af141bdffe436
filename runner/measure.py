"""What is recorded beside the parameters: one table, from which a run declares its columns.

A measure is computed from many steps at once, and changes none of them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.column import (
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
    norms,
    tensor_norms,
    vector,
)
from runner.naming import key

Array = NDArray[np.floating[Any]]


class Steps(NamedTuple):
    """Some steps of a run, or of several, one after another: see `runner.program.step.Step`."""

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


class Recorded(NamedTuple):
    """A column, and what gives its values."""

    column: Column
    of: Callable[[Steps], Array]


def declared(tensors: Mapping[str, tuple[int, ...]], dtype: str, *, whole: bool) -> list[Recorded]:
    """What a run with these parameters records.

    Where its `whole` trajectory would take too much room, there are norms at every step, and all
    parameters at some.
    """
    own = vector("parameters", PARAMETERS, tensors, dtype, START if whole else SPACED)
    taken = {*FIXED, *FIGURES, own.name, NORMS, *map(key, [*tensors, *own.labels()])}
    made = []
    for name, (of, role, shape) in MEASURES.items():
        apart = f"measure.{name}" if key(name) in taken else name
        made.append(Recorded(Column(apart, role, shape, "float64", STEP), of))
    if not whole:
        each = {f"{name}.norm": () for name in tensors}
        column = vector(NORMS, NORMS, each, "float64", START)
        made.append(Recorded(column, lambda steps: tensor_norms(steps.parameters, tensors)))
    return [*made, Recorded(own, lambda steps: steps.parameters)]
