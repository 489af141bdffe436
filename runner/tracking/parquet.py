"""The whole trajectory as a Parquet file, written record by record, and read back."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from runner.record.column import (
    FIXED,
    SPACED,
    Column,
    columns_in,
    in_rows,
    row_type,
    standard,
    tensor_edges,
)
from runner.record.journal import Rows
from runner.record.trajectory import Trajectory, assembled

DECLARED = b"columns"
"""The entry of the file's metadata with the run's declaration, as JSON."""

MOST_NUMBERS = 2**28

TIME = pa.timestamp("us", tz="UTC")

Chunks = Callable[[], Iterable[Rows]]


def write_trajectory(path: Path, columns: Sequence[Column], chunks: Chunks) -> None:
    """Columns `step` and `time` (UTC), then what the run declares, in its own dtypes.

    Each number has a column, named as in MLflow; of more than `column.MOST_SCALARS`, each tensor
    has a column of lists. Where a column has no value at a step, it is null.
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


@lru_cache
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
    times = (rows["time"] * 1e6).astype(np.int64)
    arrays = {"step": _array(rows["step"]), "time": _array(times, kind=TIME)}
    for column in columns:
        if column.every == SPACED:
            assert spaced is not None
            arrays |= _some(column, rows["step"], spaced)
        else:
            there = column.at(rows["step"])
            arrays |= _all(column, column.of(rows), None if there.all() else there)
    return pa.Table.from_arrays(list(arrays.values()), names=list(arrays))


def _array(
    numbers: Any, valid: NDArray[np.bool_] | None = None, kind: pa.DataType | None = None
) -> pa.Array:
    """Return the numbers as Arrow's array, null where they are not `valid`.

    `pa.array` imports pandas for that, which takes longer than publishing a run.
    """
    values = np.ascontiguousarray(numbers)
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    kind = kind or pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])


def _mask(valid: NDArray[np.bool_] | None) -> pa.Array | None:
    """Return which lists are null, as Arrow's lists take it."""
    if valid is None:
        return None
    bits = pa.py_buffer(np.packbits(~valid, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(valid), [None, bits])


def _all(column: Column, values: Any, valid: NDArray[np.bool_] | None) -> dict[str, pa.Array]:
    """Return the arrays of a column with a value at every step that is `valid`."""
    if column.is_scalars:
        labels = zip(column.labels(), values.T, strict=True)
        return {key: _array(numbers, valid) for key, numbers in labels}
    return {
        name: pa.FixedSizeListArray.from_arrays(
            _array(part.ravel()), part.shape[1], mask=_mask(valid)
        )
        for name, part in _parts(column, values)
    }


def _some(column: Column, steps: NDArray[np.int64], spaced: Rows) -> dict[str, pa.Array]:
    """The arrays of a column that has a value at some steps."""
    there = np.isin(steps, spaced["step"])
    values = column.of(spaced[np.isin(spaced["step"], steps)])
    if column.is_scalars:
        arrays = {}
        for key, own in zip(column.labels(), values.T, strict=True):
            full = np.zeros(len(steps), own.dtype)
            full[there] = own
            arrays[key] = _array(full, there)
        return arrays
    counts = np.concatenate([[0], np.cumsum(there)])
    return {
        name: pa.ListArray.from_arrays(
            _array((counts * part.shape[1]).astype(np.int32)),
            _array(part.ravel()),
            mask=_mask(there),
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


def is_readable(path: Path, columns: Sequence[Column]) -> bool:
    """Return whether a foreign file has an acceptable size: a small one may unpack to much."""
    metadata = pq.read_metadata(path)
    fields = max(metadata.num_columns, sum(column.size for column in columns))
    return bool(metadata.num_rows * fields <= MOST_NUMBERS)


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
        values = {
            column.field: np.concatenate(
                [
                    _numbers(own[name], len(own))
                    for name in (column.labels() if column.is_scalars else column.parts)
                ],
                axis=1,
            ).reshape(len(own), *column.shape)
            for column in some
        }
        rows = np.empty(len(own), row_type(some))  # now that all has the shape that is declared
        rows["step"] = own["step"].to_numpy()
        rows["time"] = own["time"].to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
        for name, numbers in values.items():
            rows[name] = numbers
        chunks.append(rows)
    return assembled(columns, chunks)


def _numbers(column: Any, rows: int) -> Any:
    """(rows, numbers): one number a row, or a list of them; NaN for null."""
    if not hasattr(column.type, "value_type"):
        return column.to_numpy()[:, None]
    return column.combine_chunks().flatten().to_numpy().reshape(rows, -1)
