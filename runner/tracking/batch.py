"""What a publisher writes into a store at once: parts of any number of runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from runner.record.journal import End, Start
from runner.record.naming import key, text

JOURNAL_TAG = "journal"
"""Holds the run's id in the journal: a tracking server gives it another."""

PARENT_TAG = "mlflow.parentRunId"
"""Under which MLflow's UI nests a run."""

STATUS = {"interrupted": "KILLED", "failed": "FAILED"}  # any other outcome: FINISHED

# In characters; what is longer is cut.
LONGEST_NAME = 250
LONGEST_PARAM = 6000
LONGEST_TAG = 5000
LONGEST_DATASET = 500

CONTEXT = ("mlflow.data.context", "training")
"""The tag of a run's input that MLflow's UI shows beside the dataset."""


class Points(NamedTuple):
    """Metric points of one run: at each step, one value for each key."""

    run: str
    keys: list[str]
    steps: NDArray[np.int64]
    """(rows,)"""
    times: NDArray[np.int64]
    """(rows,), milliseconds since 1970"""
    values: NDArray[np.floating[Any]]
    """(rows, keys)"""


Write = Callable[[Path], object]


class Artifact(NamedTuple):
    """A file of a run."""

    run: str
    name: str
    """Perhaps with folders before it: `model/MLmodel`"""
    write: Write
    """Writes it to a path, as often as it is asked to, in any thread and process."""
    scratch: Path
    """A folder in which it may be built, if it has to be somewhere before it is where it belongs;
    not there yet, and removed in the end by whoever has made the batch."""

    def built(self) -> Path:
        """The file in the scratch folder."""
        place = self.scratch / self.run / self.name
        place.parent.mkdir(parents=True, exist_ok=True)
        self.write(place)
        return place

    @property
    def folder(self) -> str | None:
        """That before its name, if there is one."""
        return self.name.rpartition("/")[0] or None


@dataclass
class Batch:
    """Beginnings, points, artifacts and ends, by the run's id in the journal."""

    starts: dict[str, Start] = field(default_factory=dict)
    points: list[Points] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    ends: dict[str, End] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    """Runs that had ended, and go on."""

    def runs(self) -> list[str]:
        """Every run that the batch touches."""
        touched = [*self.starts, *(p.run for p in self.points), *(a.run for a in self.artifacts)]
        return list(dict.fromkeys([*touched, *self.ends]))

    def without(self, runs: Mapping[str, Any]) -> "Batch":
        """The batch with those runs left out."""
        return Batch(
            {run: start for run, start in self.starts.items() if run not in runs},
            [points for points in self.points if points.run not in runs],
            [artifact for artifact in self.artifacts if artifact.run not in runs],
            {run: end for run, end in self.ends.items() if run not in runs},
            self.again - runs.keys(),
        )


class Store(Protocol):
    """Writes batches into an MLflow store. Writing one again changes nothing."""

    def write(self, batch: Batch) -> None:
        """Write it all. Raises Refused, or whatever the store raises when it cannot be reached."""

    def add(self, run: str, path: Path) -> None:
        """Add an artifact to a run that has been written, by its id in the journal."""


def pairs(values: Mapping[str, str], most: int) -> dict[str, str]:
    """Params or tags as every store takes them, no value longer than `most`."""
    return {key(k): text(value, most) for k, value in values.items()}
