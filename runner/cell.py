"""A cell: a run-to-be, alone or one of a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runner.config import Values


class Cell(NamedTuple):
    """What is known of a run before anything is built."""

    values: Values
    choices: Mapping[str, Any]
    """The option chosen for each config group."""
    overrides: Sequence[str]
    """What the command line changed."""
