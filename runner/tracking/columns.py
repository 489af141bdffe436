"""Points by column, and into MLflow's table of metrics as each database takes them fastest."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from mlflow.store.tracking.dbmodels.models import SqlMetric

from runner.tracking.batch import Points, key

LARGEST = float(np.finfo(np.float64).max)  # what MLflow stores for an infinity


class Column(NamedTuple):
    """The points of one key of one run, as they are stored."""

    run: str
    key: str
    steps: Any
    times: Any
    values: Any
    """Finite: 0 in place of NaN, the largest number in place of infinity."""
    is_nan: Any

    def latest(self) -> tuple[int, int, float, bool]:
        """The step, time, value and NaN flag of what MLflow takes for the latest point."""
        at = np.lexsort((self.values, self.times, self.steps))[-1]
        return (
            int(self.steps[at]),
            int(self.times[at]),
            float(self.values[at]),
            bool(self.is_nan[at]),
        )


def columns(points: Points) -> Iterator[Column]:
    """A column for each key."""
    values = points.values.astype(np.float64).T
    is_nan = np.isnan(values)
    stored = np.clip(np.where(is_nan, 0.0, values), -LARGEST, LARGEST)
    for name, *own in zip(points.keys, stored, is_nan, strict=True):
        yield Column(points.run, key(name), points.steps, points.times, *own)


def insert(connection: sa.Connection, columns: Sequence[Column]) -> None:
    """Add the points within the connection's transaction; what is there already stays as it is."""
    cursor = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        _into_sqlite(cursor, columns)
    else:
        for c in columns:
            arrays = [c.values.tolist(), c.times.tolist(), c.steps.tolist(), c.is_nan.tolist()]
            cursor.execute(_FROM_ARRAYS, (c.key, c.run, *arrays))
    cursor.close()


def _into_sqlite(cursor: Any, columns: Sequence[Column]) -> None:
    """By way of tables in memory that repeat nothing, then all by one statement.

    A statement for each row, as executemany has it, takes half as long again. The steps and times
    of a run's keys are the same, and so are those of the cells of a stack.
    """
    for name, content in _TABLES.items():
        cursor.execute(f"CREATE TEMP TABLE {name} ({content})")
    places: dict[tuple[bytes, bytes], int] = {}
    moments: list[Column] = []
    heads, first = [], 1
    for c in columns:
        place = places.setdefault((c.steps.tobytes(), c.times.tobytes()), len(places))
        if place == len(moments):
            moments.append(c)
        heads.append((c.key, c.run, place, first))
        first += len(c.steps)
    cursor.executemany("INSERT INTO temp.new_columns VALUES (?, ?, ?, ?)", heads)
    cursor.executemany("INSERT INTO temp.new_moments VALUES (?, ?, ?, ?)", _numbered(moments))
    cursor.executemany("INSERT INTO temp.new_values VALUES (?, ?)", _values(columns))
    cursor.execute(_FROM_TABLES)
    for name in _TABLES:
        cursor.execute(f"DROP TABLE temp.{name}")


def _numbered(columns: Iterable[Column]) -> Iterator[tuple[int, int, int, int]]:
    for place, c in enumerate(columns):
        for number, (step, time) in enumerate(zip(c.steps.tolist(), c.times.tolist(), strict=True)):
            yield place, number, step, time


def _values(columns: Iterable[Column]) -> Iterator[tuple[float, bool]]:
    for c in columns:
        yield from zip(c.values.tolist(), c.is_nan.tolist(), strict=True)


_INTO = f"INSERT INTO {SqlMetric.__tablename__} (key, run_uuid, value, timestamp, step, is_nan)"

# PostgreSQL takes arrays several times as fast as rows.
_FROM_ARRAYS = (
    f"{_INTO} SELECT %s, %s, points.*"
    " FROM unnest(%s::float8[], %s::int8[], %s::int8[], %s::bool[]) AS points"
    " ON CONFLICT DO NOTHING"
)

_TABLES = {
    "new_columns": "key TEXT, run TEXT, place INTEGER, first INTEGER",
    "new_moments": "place INTEGER, number INTEGER, step INTEGER, time INTEGER,"
    " PRIMARY KEY (place, number)",
    "new_values": "value REAL, is_nan INTEGER",
}

_FROM_TABLES = (  # CROSS JOIN: in this order
    f"{_INTO} SELECT key, run, value, time, step, is_nan FROM temp.new_columns"
    " CROSS JOIN temp.new_moments USING (place)"
    " CROSS JOIN temp.new_values ON new_values.rowid = first + number"
    " WHERE true ON CONFLICT DO NOTHING"  # SQLite's grammar needs a WHERE there
)
