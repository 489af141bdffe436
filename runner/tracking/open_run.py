"""A run that has begun and not ended: which of its rows are points in MLflow."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from runner.record.column import SPACED, Column, declared, in_rows
from runner.record.journal import Rows, Start
from runner.record.tally import Tally
from runner.tracking.batch import Points
from runner.tracking.thinning import Thinning


class OpenRun:
    """A run that has begun and not ended."""

    def __init__(self, start: Start, like: "OpenRun | None" = None) -> None:
        """`like` is a run before it: the cells of a sweep declare the same, as a rule."""
        self.rows: list[int] = []
        """The numbers of its records with rows."""
        self.start_time = self.last_time = start.time
        self._spaced = 0  # rows of columns with a value at some steps
        self._declares = start.columns, start.tensors, start.points, start.steps
        if like is not None and like._declares == self._declares:
            self.columns: tuple[Column, ...] = like.columns
            self.thinning: Thinning = like.thinning
            self._kinds: list[_Kind] = like._kinds
        else:
            self.columns = declared(start)
            self.thinning = Thinning(start.points, start.steps)
            self._kinds = self._together(start)
        self.tally = Tally(self.columns)

    def _together(self, start: Start) -> list["_Kind"]:
        """Return the columns by when they have values."""
        together: dict[tuple[str, int], list[Column]] = {}
        for column in self.columns:
            together.setdefault((column.every, column.steps), []).append(column)
        kinds = []
        for (every, steps), columns in together.items():
            thinning = Thinning(start.points, start.steps // steps)
            keys = [key for column in columns for key in column.labels()]
            kinds.append(_Kind(columns, keys, every == SPACED, steps, thinning))
        return kinds

    def take(self, run: str, rows: Rows) -> list[Points]:
        """The points of a chunk of the trajectory, as far as they are known to belong there."""
        self.tally.take(rows)
        self.last_time = float(rows["time"][-1])
        if any(kind.is_spaced for kind, _ in self._in(rows)):
            self._spaced += len(rows)
        points = []
        for kind, own in self._in(rows):
            whole = kind.is_spaced and kind.thinning.has_room(self._spaced)
            points.append((kind, own if whole else own[kind.thinning.kept(kind.numbers(own))]))
        return self._points(run, points)

    def added(self, run: str, rows: Rows) -> list[Points]:
        """The points of rows taken before that belong there now that the run has ended."""
        last, best = self.tally.steps, self.tally.best_step
        return self._points(
            run,
            [
                (kind, own[kind.thinning.added(kind.numbers(own), *kind.ends(last, best))])
                for kind, own in self._in(rows)
                if not kind.is_spaced
            ],
        )

    def _in(self, rows: Rows) -> Iterator[tuple["_Kind", Rows]]:
        """Columns that have values at the same steps of these rows, and the rows of those steps."""
        for kind in self._kinds:
            if in_rows(kind.columns, rows):
                there = kind.columns[0].at(rows["step"])
                yield kind, rows if there.all() else rows[there]

    def _points(self, run: str, of: Iterable[tuple["_Kind", Rows]]) -> list[Points]:
        """The points of these rows; columns with values at the same steps go together."""
        points = []
        for kind, own in of:
            if len(own):
                values = np.hstack([column.told(column.of(own)) for column in kind.columns])
                points.append(Points(run, kind.keys, own["step"], _milliseconds(own), values))
        return points


class _Kind(NamedTuple):
    """Columns of a run that have values at the same steps."""

    columns: Sequence[Column]
    keys: list[str]
    """The names of their points: see `Points.keys`."""
    is_spaced: bool
    steps: int
    """From one value to the next."""
    thinning: Thinning

    def numbers(self, rows: Rows) -> Any:
        """(rows,): the number of each value."""
        return rows["step"] // self.steps

    def ends(self, last: int, best: int) -> tuple[int, int]:
        """The numbers of the last value and of the best, of those steps."""
        return last // self.steps, best // self.steps


def _milliseconds(rows: Rows) -> Any:
    return (rows["time"] * 1000).astype(np.int64)
