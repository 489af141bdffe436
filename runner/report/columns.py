"""A run's parameters as columns that can be drawn: each scalar, or of many each tensor's norm."""

import numpy as np
from numpy.typing import NDArray

from runner.journal import Rows
from runner.model import parameter_names
from runner.naming import MOST_SCALARS
from runner.report.runs import Run
from runner.tracking.parquet import tensor_edges
from runner.trajectory import norms


def names(run: Run) -> list[str]:
    """What the columns are called."""
    tensors = run.tensors()
    own = parameter_names(tensors)
    return own if len(own) <= MOST_SCALARS else [f"norm of {name}" for name in tensors]


def columns(rows: Rows, run: Run) -> NDArray[np.float64]:
    """(steps, names)"""
    values = rows["parameters"].astype(np.float64)
    if values.shape[1] <= MOST_SCALARS:
        return values
    parts = np.split(values, tensor_edges(run.tensors()), axis=1)
    return np.stack([norms(part) for part in parts], axis=1)
