"""The whole trajectory as a Parquet file, written chunk by chunk."""

import math
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from runner.journal import Rows
from runner.model import parameter_names

MOST_SCALARS = 64
"""Up to so many parameters have a metric and a column each; past it, each tensor has one."""


class TrajectoryFile:
    """Columns `step`, `time` (UTC), `loss`, `grad_norm`, and the parameters in the run's dtype.

    The parameters have a column for each scalar, named as in MLflow; past `MOST_SCALARS` scalars,
    a column of lists for each tensor. Loss and gradient are null at step 0.
    """

    def __init__(self, path: Path, tensors: Mapping[str, Any]) -> None:
        self.path = path
        self._tensors = dict(tensors)
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: Rows) -> None:
        """Append a chunk."""
        start = rows["step"] == 0
        table = pa.table(
            {
                "step": rows["step"],
                "time": pa.array((rows["time"] * 1e6).astype("datetime64[us]")).cast(
                    pa.timestamp("us", tz="UTC")
                ),
                "loss": pa.array(rows["loss"], mask=start),
                "grad_norm": pa.array(rows["grad_norm"], mask=start),
                **self._parameters(rows["parameters"]),
            }
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema)
        self._writer.write_table(table)

    def _parameters(self, values: Any) -> dict[str, pa.Array]:
        if values.shape[1] <= MOST_SCALARS:
            names = parameter_names(self._tensors)
            return {name: pa.array(column) for name, column in zip(names, values.T, strict=True)}
        parts = np.split(values, tensor_edges(self._tensors), axis=1)
        return {
            name: pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1])
            for name, part in zip(self._tensors, parts, strict=True)
        }

    def close(self) -> Path | None:
        """Finish the file, which can be read only now; where it is, if anything was written."""
        if self._writer is None:
            return None
        self._writer.close()
        return self.path


def tensor_edges(tensors: Mapping[str, Any]) -> list[int]:
    """Where to split a vector of all parameters into its tensors."""
    return list(accumulate(math.prod(shape) for shape in tensors.values()))[:-1]
