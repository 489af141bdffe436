"""A run as it is read back, from a journal or from MLflow: what every report is made of."""

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runner.base.text import number_of
from runner.record.column import BEST
from runner.record.trajectory import Trajectory, assembled

KNOWN = ("cell", "run", "name")
FIGURES = ("outcome", "epochs", "final_loss", "best_loss", "seconds", "was_done", "reason")
"""Columns of a sweep's table; what was swept stands between."""


@dataclass(frozen=True, eq=False)
class RecordedRun:
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
    config: Callable[[], Mapping[str, Any]]
    trajectory: Callable[[], Trajectory]
    """Of no length where nothing is recorded."""
    file: Callable[[str], bytes | None]
    """The content of a file that belongs to the run."""
    trusted: bool
    """Whether the config was written by this machine's own runs."""
    journal: Path | None = None
    """Its file, where it was found in one."""

    @property
    def final_loss(self) -> float:
        """Return the loss that it ended with; NaN where none is recorded."""
        return self.figures.get("final_loss", math.nan)

    @property
    def epochs(self) -> float:
        """Return how many epochs it took."""
        return self.figures.get("epochs_run", 0)

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep's own run."""
        return "plan" in self.tags and "cells" in self.tags


class RunSource(Protocol):
    """Where runs are found."""

    def found(self, word: str) -> list[RecordedRun]:
        """The runs that the word may mean.

        An id or its beginning, a name (the latest of those that bear it), or `latest`.
        """

    def cells(self, sweep: RecordedRun) -> list[RecordedRun]:
        """The runs of the sweep's cells, in the sweep's order."""

    def candidates(self) -> list[str]:
        """What could have been asked for: names and ids."""


def cell_rows(sweep: RecordedRun) -> list[dict[str, str]]:
    """The sweep's own table of its cells; empty if it was cut off before it wrote one."""
    content = sweep.file("cells.csv") or b""
    table = csv.DictReader(io.StringIO(content.decode("utf-8", "replace"), newline=""))
    try:
        rows = list(table)
    except csv.Error:  # somebody else's file of that name
        return []
    is_ours = {*KNOWN, *FIGURES} <= {*(table.fieldnames or ())}
    return [row for row in rows if None not in row and None not in row.values()] if is_ours else []


def best_parameters(run: RecordedRun) -> dict[str, NDArray[Any]] | None:
    """Each tensor where it was best, by its name; None of a run without patience."""
    if (content := run.file(BEST)) is None:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def never_begun(row: Mapping[str, str], sweep: RecordedRun) -> RecordedRun:
    """A cell of which the sweep's table tells that it has no run, and why."""
    swept = {key: text for key, text in row.items() if key not in (*KNOWN, *FIGURES)}
    return RecordedRun(
        id="",
        name=row["name"],
        time=sweep.time,
        parent=sweep.id,
        params=swept,
        tags={"cell": row["cell"]},
        figures={},
        outcome=row["outcome"],
        reason=row["reason"],
        config=dict,
        trajectory=lambda: assembled((), ()),
        file=lambda _: None,
        trusted=False,
    )


def cell_number(run: RecordedRun) -> int:
    """The run's place in its sweep."""
    return int(number(run.tags.get("cell"), 0.0))


def number(text: str | None, otherwise: float = math.nan) -> float:
    """A number that is written somewhere, or what to take in its place."""
    value = number_of(text or "")
    return otherwise if value is None or not math.isfinite(value) else value
