"""A cell: a run-to-be, alone or one of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from runner.base.overrides import parse
from runner.config.instead import without_replaced
from runner.config.schema import Values
from runner.config.spec import Spec, typed

NOT_THE_EXPERIMENT = ("tracking", "print_every", "sweep", "record", "checkpoint", "report")
"""Nodes that say where and how a run is kept and shown."""


TARGET = "._target_"


def chosen(choices: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The option chosen for each group; a class that was typed in its place, by its name."""
    found = dict(choices)
    for one in map(parse, overrides):
        group = one.key.removesuffix(TARGET)
        if one.key.endswith(TARGET) and group in found and not one.removes:
            found[group] = one.value.strip("'\"").rpartition(".")[2]
    return without_replaced(found)


@dataclass(frozen=True)
class Cell:
    """What is known of a run before anything is built."""

    values: Values
    choices: Mapping[str, Any]
    """The option chosen for each config group."""
    overrides: Sequence[str]
    """What the command line changed."""
    name: str = ""
    """Within its sweep; empty for a lone run."""
    follows: frozenset[str] | None = None
    """Nodes in which something refers to `${lr}`; None where that was not asked"""

    @cached_property
    def spec(self) -> Spec:
        """The same values with types; `runner.engine.check.checked` says whether they can run."""
        return typed(self.values)
