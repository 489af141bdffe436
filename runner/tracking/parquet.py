"""The whole trajectory as a Parquet file, written record by record, and read back."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from runner.column import (
    FIXED,
    SPACED,
    Column,
    columns_in,
    in_rows,
    row_type,
    standard,
    tensor_edges,
)
from runner.journal import Rows
from runner.recorded.trajectory import Trajectory, assembled

DECLARED = b"columns"
"""The entry of the file's metadata with the run's declaration, as JSON."""

Chunks = Callable[[], Iterable[Rows]]


def write_trajectory(path: Path, columns: Sequence[Column], chunks: Chunks) -> None:
    """Columns `step` and `time` (UTC), then what the run declares, in its own dtypes.

    Each number has a column, named as in MLflow; of more than `runner.column.MOST_SCALARS`, each
    tensor has a column of lists. Where a column has no value at a step, it is null.
    """
    apart = [column for column in columns if column.every == SPACED]
    spaced = assembled(columns, _those(chunks(), apart)).spaced if apart else None
    declared = {DECLARED: json.dumps([vars(column) for column in columns])}
    writer = None
    for rows in chunks():
        if apart and in_rows(apart, rows):
            continue
        table = _table(rows, columns, spaced)
        if writer is None:
            schema = table.schema.with_metadata(declared)
            writer = pq.ParquetWriter(path, schema, **_encoding(schema))
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _those(chunks: Iterable[Rows], columns: Sequence[Column]) -> Iterable[Rows]:
    return (rows for rows in chunks if in_rows(columns, rows))


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Steps and times by their differences, numbers byte by byte: half of the room, or less."""
    scalars = [one.name for one in schema if pa.types.is_floating(one.type)]
    return {
        "compression": "zstd",
        "use_dictionary": False,
        "column_encoding": {
            **dict.fromkeys(FIXED, "DELTA_BINARY_PACKED"),
            **dict.fromkeys(scalars, "BYTE_STREAM_SPLIT"),
        },
    }


def _table(rows: Rows, columns: Sequence[Column], spaced: Rows | None) -> pa.Table:
    times = pa.array((rows["time"] * 1e6).astype("datetime64[us]"))
    made = {"step": pa.array(rows["step"]), "time": times.cast(pa.timestamp("us", tz="UTC"))}
    for column in columns:
        if column.every == SPACED:
            assert spaced is not None
            made |= _some(column, rows["step"], spaced)
        else:
            there = column.at(rows["step"])
            missing = None if there.all() else ~there
            made |= _all(column, column.of(rows), missing)
    return pa.table(made)


def _all(column: Column, values: Any, missing: Any) -> dict[str, pa.Array]:
    """The arrays of a column with a value at every step, but for those that are missing."""
    if column.is_scalars:
        return {
            key: pa.array(own, mask=missing)
            for key, own in zip(column.labels(), values.T, strict=True)
        }
    return {
        name: pa.FixedSizeListArray.from_arrays(
            pa.array(part.ravel()),
            part.shape[1],
            mask=None if missing is None else pa.array(missing),
        )
        for name, part in _parts(column, values)
    }


def _some(column: Column, steps: NDArray[np.int64], spaced: Rows) -> dict[str, pa.Array]:
    """The arrays of a column that has a value at some steps."""
    there = np.isin(steps, spaced["step"])
    values = column.of(spaced[np.isin(spaced["step"], steps)])
    if column.is_scalars:
        made = {}
        for key, own in zip(column.labels(), values.T, strict=True):
            full = np.zeros(len(steps), own.dtype)
            full[there] = own
            made[key] = pa.array(full, mask=~there)
        return made
    counts = np.concatenate([[0], np.cumsum(there)])
    return {
        name: pa.ListArray.from_arrays(
            pa.array(counts * part.shape[1], pa.int32()),
            pa.array(part.ravel()),
            mask=pa.array(~there),
        )
        for name, part in _parts(column, values)
    }


def _parts(column: Column, values: Any) -> Iterable[tuple[str, Any]]:
    return zip(column.parts, np.split(values, tensor_edges(column.parts), axis=1), strict=True)


def declared_in(path: Path) -> tuple[Column, ...] | None:
    """The columns of the run that the file is of; None if it is none of ours.

    Raises OSError or pyarrow.ArrowException where it cannot be read.
    """
    schema = pq.read_schema(path)
    written = (schema.metadata or {}).get(DECLARED)
    if written is not None:
        return columns_in(written)
    own = ("loss", "grad_norm")
    if not {*schema.names} > {*FIXED, *own}:
        return None
    kinds = {name: schema.field(name).type for name in schema.names if name not in (*FIXED, *own)}
    tensors = {n: (k.list_size,) if hasattr(k, "list_size") else () for n, k in kinds.items()}
    dtype = next((k.value_type if hasattr(k, "list_size") else k for k in kinds.values()), "double")
    return standard(tensors, str(np.dtype(str(dtype))))


def read_trajectory(path: Path, columns: Sequence[Column]) -> Trajectory:
    """The trajectory that `write_trajectory` has written."""
    table = pq.read_table(path)
    chunks = []
    for apart in (False, True):
        some = [column for column in columns if (column.every == SPACED) == apart]
        if not some:
            continue
        own = table
        if apart:
            name = some[0].labels()[0] if some[0].is_scalars else next(iter(some[0].parts))
            own = table.filter(table[name].is_valid())
        rows = np.empty(len(own), row_type(some))
        rows["step"] = own["step"].to_numpy()
        rows["time"] = own["time"].to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
        for column in some:
            names = column.labels() if column.is_scalars else list(column.parts)
            values = np.concatenate([_numbers(own[name], len(own)) for name in names], axis=1)
            rows[column.field] = values.reshape(len(own), *column.shape)
        chunks.append(rows)
    return assembled(columns, chunks)


def _numbers(column: Any, rows: int) -> Any:
    """(rows, numbers): one number a row, or a list of them; NaN for null."""
    if not hasattr(column.type, "value_type"):
        return column.to_numpy()[:, None]
    return column.combine_chunks().flatten().to_numpy().reshape(rows, -1)
