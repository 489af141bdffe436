"""What a journal holds: beginnings, chunks of trajectories, files, ends; and their bytes."""

import io
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.void]
"""A chunk of a trajectory as a structured array; see `runner.record.column.row_type`."""


@dataclass(frozen=True)
class Start:
    """What is known of a run before its first step."""

    name: str
    store: str
    """The MLflow store that it is for, as a URI without credentials; empty for none."""
    experiment: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """The composed config, as far as it defines the experiment."""
    tensors: Mapping[str, Any] = field(default_factory=dict)
    """Name and shape of each parameter tensor, in the order of a row's `parameters`."""
    time: float = field(default_factory=time.time)
    parent: str | None = None
    """The id of the sweep's own run, for a cell of a sweep."""
    columns: Sequence[Mapping[str, Any]] = ()
    """What it records: see `record.column`; journals from before have none, and `tensors`."""
    points: int | None = None
    """Of a metric in MLflow at most, the start not counted; None for all."""
    steps: int = 0
    """That it takes at most; 0 if that is not known."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """Of the composed config what says how it is kept; journals from before have nothing."""
    dataset: Mapping[str, str] = field(default_factory=dict)
    """As MLflow knows a dataset: see `engine.dataset_input`; journals from before have none."""


@dataclass(frozen=True)
class File:
    """A file that belongs to a run."""

    name: str
    content: bytes


@dataclass(frozen=True)
class End:
    """How a run ended."""

    outcome: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    """Why, where the outcome does not say it: the traceback of a failed run."""
    time: float = field(default_factory=time.time)
    summary: str | None = None
    """The reason in a line, where it is a traceback; journals from before have none."""

    @property
    def brief(self) -> str:
        """The reason in a line; empty if there is none."""
        if self.summary is not None:
            return self.summary
        lines = (self.reason or "").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Record:
    """One record as it is read back."""

    run: str
    content: "Start | Rows | File | End"
    number: int


def decoded(kind: str, body: bytes) -> Start | Rows | File | End:
    """Return what the bytes are. Raises TypeError, ValueError or RecursionError."""
    if kind == "rows":
        rows = _rows(body)
        if (rows.dtype.names or ())[:2] != ("step", "time"):
            raise ValueError("rows without step and time")
        return rows
    if kind == "file":
        name, _, content = body.partition(b"\0")
        return File(name.decode(), content)
    content = json.loads(body)
    for key, types in (TYPES_OF_START if kind == "start" else TYPES_OF_END).items():
        if key in content and not isinstance(content[key], types):
            raise TypeError(f"{key}: {type(content[key]).__name__}")
    for key, of_value in (("params", str), ("tags", str), ("metrics", int | float)):
        if not all(isinstance(value, of_value) for value in content.get(key, {}).values()):
            raise TypeError(f"{key}: not all are of their type")
    return Start(**content) if kind == "start" else End(**content)


TYPES_OF_START: Mapping[str, Any] = {
    **dict.fromkeys(("name", "store", "experiment"), str),
    **dict.fromkeys(("params", "tags", "config", "tensors", "how", "dataset"), dict),
    **{"time": int | float, "parent": str | None, "columns": list | tuple},
    **{"points": int | None, "steps": int},
}
TYPES_OF_END: Mapping[str, Any] = {
    **{"outcome": str, "metrics": dict, "tags": dict, "time": int | float},
    **{"reason": str | None, "summary": str | None},
}
"""The types that JSON must give the fields: a foreign journal may hold any others."""


def _rows(body: bytes) -> Rows:
    """As `np.lib.format.read_array` reads them; it takes most of its time for the header."""
    start = 10 + int.from_bytes(body[8:10], "little")
    return np.frombuffer(body, _row_type(body[:start]), offset=start)


@lru_cache
def _row_type(header: bytes) -> np.dtype[np.void]:
    stream = io.BytesIO(header)
    np.lib.format.read_magic(stream)
    _, _, kind = np.lib.format.read_array_header_1_0(stream)
    return kind


def checksum(before: int, *parts: bytes) -> int:
    """Of a record, from that of the one before."""
    for part in parts:
        before = zlib.crc32(part, zlib.crc32(len(part).to_bytes(8, "little"), before))
    return before
