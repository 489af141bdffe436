"""Where a run's record goes. Only this package imports mlflow, and only when a run begins."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from runner.trajectory import Chunk

MOST_SCALARS = 64
"""Up to so many parameters have a metric each; past it, each tensor has the metric of its norm."""


class Start(NamedTuple):
    """What is known of a run before its first step."""

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    config: Mapping[str, Any]
    """The composed config, as far as it defines the experiment."""
    tensors: Mapping[str, tuple[int, ...]]
    """Name and shape of each parameter tensor, in the order of a chunk's columns."""


class End(NamedTuple):
    """How a run ended."""

    outcome: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    reason: str | None
    """The traceback of a failed run."""


class Tracker(Protocol):
    """Keeps the record of one run: begin once, record chunks in order, end once."""

    @property
    def where(self) -> str:
        """How a person gets to see the run."""

    def begin(self, start: Start) -> None: ...

    def record(self, chunk: Chunk) -> None: ...

    def end(self, end: End) -> None: ...


def open_tracker(uri: str, experiment: str) -> Tracker:
    """The tracker for an MLflow store; the store and the experiment are created if need be."""
    from runner.tracking.client import MlflowTracker

    return MlflowTracker(uri, experiment)
