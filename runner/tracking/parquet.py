"""The whole trajectory as a Parquet file, written record by record."""

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from runner.journal import Rows
from runner.model import parameter_names
from runner.naming import MOST_SCALARS


def write_trajectory(path: Path, tensors: Mapping[str, Any], chunks: Iterable[Rows]) -> None:
    """Columns `step`, `time` (UTC), `loss`, `grad_norm`, and the parameters in the run's dtype.

    The parameters have a column for each scalar, named as in MLflow; past `MOST_SCALARS` scalars,
    a column of lists for each tensor. Loss and gradient are null at step 0.
    """
    writer = None
    for rows in chunks:
        table = _table(rows, tensors)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _table(rows: Rows, tensors: Mapping[str, Any]) -> pa.Table:
    start = rows["step"] == 0
    times = pa.array((rows["time"] * 1e6).astype("datetime64[us]"))
    return pa.table(
        {
            "step": rows["step"],
            "time": times.cast(pa.timestamp("us", tz="UTC")),
            "loss": pa.array(rows["loss"], mask=start),
            "grad_norm": pa.array(rows["grad_norm"], mask=start),
            **_parameters(rows["parameters"], tensors),
        }
    )


def _parameters(values: Any, tensors: Mapping[str, Any]) -> dict[str, pa.Array]:
    if values.shape[1] <= MOST_SCALARS:
        names = parameter_names(tensors)
        return {name: pa.array(column) for name, column in zip(names, values.T, strict=True)}
    parts = np.split(values, tensor_edges(tensors), axis=1)
    return {
        name: pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1])
        for name, part in zip(tensors, parts, strict=True)
    }


def tensor_edges(tensors: Mapping[str, Any]) -> list[int]:
    """Where to split a vector of all parameters into its tensors."""
    return list(accumulate(math.prod(shape) for shape in tensors.values()))[:-1]
