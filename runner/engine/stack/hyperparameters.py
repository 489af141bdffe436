"""The numbers of an optimizer's node, and the rule by hand in which each cell has its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import optimizer as optimizers
from runner.base.arrays import Index
from runner.base.percell import of_cells
from runner.config.schema import Values, is_number
from runner.engine.program.stacked import Rule
from runner.engine.updates import clip_by_hand
from runner.optimizer import clipped

Clips = Sequence[NDArray[np.float64] | None]


def rule_of(target: str) -> Callable[..., optimizers.Update] | None:
    """The update rule by hand that does what the class or function of that name does."""
    module, _, name = target.rpartition(".")
    if module == optimizers.__name__:
        return getattr(optimizers, name, None)
    return optimizers.BY_HAND.get(target)


def hyperparameters(node: Values) -> tuple[dict[str, list[float]], Values]:
    """The optimizer's numbers, and what else its node holds."""
    numbers: dict[str, list[float]] = {}
    options: Values = {}
    for key, value in node.items():
        several = value if isinstance(value, list) else [value]
        if several and all(map(is_number, several)):
            numbers[key] = [float(number) for number in several]
        else:
            options[key] = value
    return numbers, options


def rules(
    node: Values, numbers: Sequence[Mapping[str, list[float]]], clips: Clips = (None, None)
) -> Rule:
    """The update rule of an optimizer's node whose hyperparameters are each cell's own.

    `numbers` are the cells', as `hyperparameters` has them; `clips` the largest norms and the
    largest values of their gradients.
    """
    rule, options = rule_of(node["_target_"]), hyperparameters(node)[1]
    assert rule is not None
    columns = {key: np.array([own[key] for own in numbers], np.float64) for key in numbers[0]}
    single = {key for key, value in node.items() if is_number(value)}

    def make(indices: Index) -> optimizers.Update:
        given: dict[str, Any] = {key: value for key, value in options.items() if key != "_target_"}
        for key, column in columns.items():
            parts = [of_cells(part) for part in column[indices].T]
            given[key] = parts[0] if key in single else tuple(parts)
        limits = [of_cells(each[indices]) if each is not None else None for each in clips]
        return clipped(rule(**given), clip_by_hand(*limits))

    return make


def largest(node: Values) -> float:
    """The largest magnitude among the hyperparameters."""
    numbers = hyperparameters(node)[0].values()
    return max((abs(number) for some in numbers for number in some), default=0.0)
