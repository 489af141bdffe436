"""Databases: how they are opened, and how many rows go into one at once."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

CACHE_KIB = 65_536  # of SQLite, to hold what its indexes have in use: half as fast again
IDS_AT_ONCE = 500  # in a query: below the number of variables that any SQLite takes
BUSY_MILLISECONDS = 25_000  # how long to wait for somebody else's transaction or lock


def open_engine(uri: str) -> sa.Engine:
    """Tried once, because the publisher decides how long an attempt pays."""
    engine = sa.create_engine(uri, pool_pre_ping=True)
    if engine.dialect.name == "postgresql":

        @sa.event.listens_for(engine, "connect")
        def bound(connection: Any, _: Any) -> None:
            with connection.cursor() as cursor:  # or a lock would be waited for, for ever
                cursor.execute(f"SET lock_timeout = {BUSY_MILLISECONDS}")
            connection.commit()

    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: Any, _: Any) -> None:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")  # nothing outside mlruns/

    return engine


def execute(connection: sa.Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    """Execute the statement for each of the rows, which have the same keys."""
    if not rows:  # an empty list would mean one row of defaults
        return
    if connection.dialect.name != "sqlite":
        connection.execute(statement, rows)
        return
    # Past SQLAlchemy's handling of each row, which costs as much as the database itself.
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    values = map(itemgetter(*compiled.positiontup), rows)
    connection.exec_driver_sql(str(compiled), list(values))


def insert_or_set(insert: Any, columns: Sequence[str], newer: Sequence[str] = ()) -> Any:
    """Insert, or where the key is there set `columns`; with `newer`, only if those are greater."""
    table, new = insert.table, insert.excluded
    greater = sa.tuple_(*(new[c] for c in newer)) > sa.tuple_(*(table.c[c] for c in newer))
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={column: new[column] for column in columns},
        where=greater if newer else None,
    )
