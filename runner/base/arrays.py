"""Names for the types of arrays and numbers, wherever an annotation says what goes in and out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""An array of NumPy's, in float32 or float64."""

Index = NDArray[np.int64]
"""Whole numbers: the indices of cells, or of samples."""

Flags = NDArray[np.bool_]
"""Whether something holds: of each cell, say, or of each parameter."""

Scalars = float | Array
"""A number of a run by itself; of a stack an array with one for each cell, (cells,)."""

Counts = int | Index
"""A whole number of a run by itself; of a stack an array with one for each cell, (cells,)."""

Truths = bool | Flags
"""An answer for a run by itself; of a stack an array with one for each cell, (cells,)."""

AnyArray = Any
"""An array of NumPy's, or a tensor of PyTorch's: what both can do, and each in its own way."""

State = dict[str, Any]
"""What a part of a run has to know to go on: numbers, texts, None, arrays, tensors, collections.

It is plain data, so that a checkpoint can hold it. Nobody changes its arrays: they are the part's.
"""
