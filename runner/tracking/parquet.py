"""The whole trajectory as a Parquet file, written chunk by chunk."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from runner.model import parameter_names
from runner.tracking import MOST_SCALARS
from runner.trajectory import Chunk


class TrajectoryFile:
    """Columns `step`, `time` (UTC), `loss`, `grad_norm`, and the parameters in the run's dtype.

    The parameters have a column for each scalar, named as in MLflow; past `MOST_SCALARS` scalars,
    a column of lists for each tensor. Loss and gradient are null at step 0.
    """

    def __init__(self, path: Path, tensors: Mapping[str, tuple[int, ...]]) -> None:
        self.path = path
        self._tensors = dict(tensors)
        self._writer: pq.ParquetWriter | None = None

    def write(self, chunk: Chunk) -> None:
        """Append a chunk."""
        steps = np.arange(chunk.first, chunk.first + len(chunk.times))
        start = steps == 0
        table = pa.table(
            {
                "step": steps,
                "time": pa.array((chunk.times * 1e6).astype("datetime64[us]")).cast(
                    pa.timestamp("us", tz="UTC")
                ),
                "loss": pa.array(chunk.loss, mask=start),
                "grad_norm": pa.array(chunk.grad_norm, mask=start),
                **self._parameters(chunk),
            }
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema)
        self._writer.write_table(table)

    def _parameters(self, chunk: Chunk) -> dict[str, pa.Array]:
        values = chunk.parameters
        if values.shape[1] <= MOST_SCALARS:
            names = parameter_names(self._tensors)
            return {name: pa.array(column) for name, column in zip(names, values.T, strict=True)}
        sizes = [int(np.prod(shape)) for shape in self._tensors.values()]
        parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
        return {
            name: pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1])
            for name, part in zip(self._tensors, parts, strict=True)
        }

    def close(self) -> None:
        """Finish the file: only now can it be read."""
        if self._writer is not None:
            self._writer.close()
