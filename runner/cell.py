"""A cell: a run-to-be, alone or one of a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runner.config import Values

NOT_THE_EXPERIMENT = ("tracking", "print_every", "sweep", "record", "checkpoint", "report")
"""Nodes that say where and how a run is kept and shown."""


class Cell(NamedTuple):
    """What is known of a run before anything is built."""

    values: Values
    choices: Mapping[str, Any]
    """The option chosen for each config group."""
    overrides: Sequence[str]
    """What the command line changed."""
    name: str = ""
    """Within its sweep; empty for a lone run."""
