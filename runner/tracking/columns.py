"""Points by column, and into MLflow's table of metrics as each database takes them fastest."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from runner.record.naming import key
from runner.tracking.batch import Points
from runner.tracking.tables import METRICS

AT_ONCE = 50
"""Values inserted by one statement: a statement for each takes four times as long."""

LARGEST = float(np.finfo(np.float64).max)  # what MLflow stores for an infinity


class StoredPoints(NamedTuple):
    """The points of one key of one run, as they are stored."""

    run: str
    key: str
    steps: Any
    times: Any
    values: Any
    """Infinities are the largest number; NaN is itself here, in the database 0 and a flag."""

    def latest(self) -> tuple[int, int, float, bool]:
        """The step, time, value and NaN flag of what MLflow takes for the latest point."""
        is_nan = np.isnan(self.values)
        values = np.where(is_nan, 0.0, self.values)
        at = np.lexsort((values, self.times, self.steps))[-1]
        return int(self.steps[at]), int(self.times[at]), float(values[at]), bool(is_nan[at])


def by_key(points: Points) -> Iterator[StoredPoints]:
    """A column for each key."""
    values = np.clip(points.values.astype(np.float64), -LARGEST, LARGEST)
    for name, own in zip(points.keys, values.T, strict=True):
        yield StoredPoints(points.run, key(name), points.steps, points.times, own)


def insert_points(connection: sa.Connection, columns: Sequence[StoredPoints]) -> None:
    """Add the points within the connection's transaction; what is there already stays as it is."""
    cursor = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        _into_sqlite(cursor, columns)
    else:
        for c in columns:
            arrays = [c.values.tolist(), c.times.tolist(), c.steps.tolist()]
            cursor.execute(_FROM_ARRAYS, (c.key, c.run, *arrays))
    cursor.close()


def _into_sqlite(cursor: Any, columns: Sequence[StoredPoints]) -> None:
    """By way of tables in memory, from which one statement takes all rows.

    A statement for each row, as executemany has it, takes half as long again. Steps and times are
    the same for most keys of a run, and for the cells of a stack, and are there once.
    """
    for name, content in _TABLES.items():
        cursor.execute(f"CREATE TEMP TABLE {name} {content}")
    places: dict[tuple[bytes, bytes], int] = {}
    moments: list[StoredPoints] = []
    heads, first = [], 1
    for c in columns:
        place = places.setdefault((c.steps.tobytes(), c.times.tobytes()), len(places))
        if place == len(moments):
            moments.append(c)
        heads.append((c.key, c.run, place, first))
        first += len(c.steps)
    cursor.executemany("INSERT INTO temp.new_columns VALUES (?, ?, ?, ?)", heads)
    cursor.executemany("INSERT INTO temp.new_moments VALUES (?, ?, ?, ?)", _numbered(moments))
    cursor.executemany(_SOME_VALUES, _values(columns))
    cursor.execute(_FROM_TABLES)
    for name in _TABLES:
        cursor.execute(f"DROP TABLE temp.{name}")


def _numbered(columns: Iterable[StoredPoints]) -> Iterator[tuple[int, int, int, int]]:
    for place, c in enumerate(columns):
        for number, (step, time) in enumerate(zip(c.steps.tolist(), c.times.tolist(), strict=True)):
            yield place, number, step, time


def _values(columns: Sequence[StoredPoints]) -> Iterator[tuple[float | None, ...]]:
    """Yield the values of all columns in groups of AT_ONCE, the last one filled up with NULL."""
    values = chain.from_iterable(c.values.tolist() for c in columns)
    return zip_longest(*[values] * AT_ONCE)


_INTO = f"INSERT INTO {METRICS.name} (key, run_uuid, value, timestamp, step, is_nan)"

# PostgreSQL takes arrays several times as fast as rows.
_FROM_ARRAYS = (
    f"{_INTO} SELECT %s, %s, coalesce(nullif(value, 'NaN'), 0), time, step, value = 'NaN'"
    " FROM unnest(%s::float8[], %s::int8[], %s::int8[]) AS points (value, time, step)"
    " ON CONFLICT DO NOTHING"
)

_TABLES = {
    "new_columns": "(key TEXT, run TEXT, place INTEGER, first INTEGER)",
    "new_moments": "(place INTEGER, number INTEGER, step INTEGER, time INTEGER,"
    " PRIMARY KEY (place, number)) WITHOUT ROWID",
    "new_values": "(value REAL)",  # NULL for NaN, as Python hands it to SQLite
}

_SOME_VALUES = f"INSERT INTO temp.new_values VALUES {', '.join(['(?)'] * AT_ONCE)}"

_FROM_TABLES = (  # CROSS JOIN: in this order
    f"{_INTO} SELECT key, run, ifnull(value, 0), time, step, value IS NULL"
    " FROM temp.new_columns"
    " CROSS JOIN temp.new_moments USING (place)"
    " CROSS JOIN temp.new_values ON new_values.rowid = first + number"
    " WHERE true ON CONFLICT DO NOTHING"  # SQLite's grammar needs a WHERE there
)
