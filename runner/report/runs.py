"""A run as it is read back, from a journal or from MLflow: what every report is made of."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runner import project
from runner.journal import Rows

PAGES = Path("mlruns/report")
"""Of the project folder."""


@dataclass(frozen=True, eq=False)
class Run:
    """What is known of a run; its trajectory is read when it is asked for."""

    id: str
    """Where it was found: in the journal or in MLflow."""
    name: str
    time: float
    """When it began, in seconds since 1970."""
    parent: str | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    figures: Mapping[str, float]
    """What was recorded at its end."""
    outcome: str
    reason: str
    """Why it failed or was cut off, in a line."""
    tensors: Callable[[], Mapping[str, Any]]
    """Name and shape of each parameter tensor."""
    config: Callable[[], Mapping[str, Any]]
    rows: Callable[[], Rows]
    """The trajectory: see `runner.trajectory.row_type`. Of no length where nothing is recorded."""
    file: Callable[[str], bytes | None]
    """The content of a file that belongs to the run."""
    trusted: bool
    """Whether the config was written by this machine's own runs."""

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep's own run."""
        return "plan" in self.tags and "cells" in self.tags


class SourceError(Exception):
    """A place where runs are kept that cannot be read."""


class Source(Protocol):
    """Where runs are found."""

    def found(self, word: str) -> list[Run]:
        """The runs that the word may mean.

        An id or its beginning, a name (the latest of those that bear it), or `latest`.
        """

    def cells(self, sweep: Run) -> list[Run]:
        """The runs of the sweep's cells, in the sweep's order."""

    def candidates(self) -> list[str]:
        """What could have been asked for: names and ids."""


def pages() -> Path:
    """The pages' folder, absolute."""
    return project.folder() / PAGES


def page_path(run: str) -> Path:
    """Where the page of the sweep is in the project folder, by its id."""
    return PAGES / f"{run}.html"


def cell_rows(sweep: Run) -> list[dict[str, str]]:
    """The sweep's own table of its cells; empty if it was cut off before it wrote one."""
    content = sweep.file("cells.csv")
    if content is None:
        return []
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def cell_number(run: Run) -> int:
    """The run's place in its sweep."""
    return int(run.tags.get("cell", 0))
