"""Products and norms of rows, of which none depends on how many rows there are or where it lies.

BLAS does not promise that: its kernels round by a row's position in a block, and some of them by
its address. Neither does PyTorch: see `computed`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array


def dots(one: Array, other: Array) -> Any:
    """Return the dot products along the last axis, (...), of two arrays (..., numbers)."""
    return np.einsum("...i,...i->...", one, other)


def aligned(rows: Array) -> Array:
    """Return float64 `rows`, (cells, ...), such that each begins at a multiple of 16 bytes.

    BLAS kernels for processors without AVX take the numbers before such a multiple by themselves,
    so that the rounding of a row would depend on where it lies.
    """
    begin = rows.__array_interface__["data"][0]
    if rows.itemsize < 8 or (begin % 16 == 0 and rows.strides[0] % 16 == 0):
        return rows
    cells, numbers = len(rows), rows[0].size
    copy: Array = np.empty((cells, numbers + numbers % 2), rows.dtype)[:, :numbers]
    copy = copy.reshape(rows.shape)
    copy[...] = rows
    return copy


def norms(rows: Array) -> NDArray[np.float64]:
    """Euclidean norm of each row, in float64; where squares are out of range, of scaled numbers."""
    squares = np.zeros(len(rows))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for first in range(0, rows.shape[1], PIECE):
            some = rows[:, first : first + PIECE].astype(np.float64)
            squares += dots(some, some)
    result = np.sqrt(squares)
    if (odd := ~((squares > SMALL) & (squares < LARGE))).any():  # 0 and NaN as well
        result[odd] = _scaled_norms(rows[odd].astype(np.float64))
    return result


PIECE = 2**15  # numbers that are in float64 at once: a processor's cache has room for them
SMALL, LARGE = 1e-250, 1e250  # of a sum of squares that no square in it is out of range with


def _scaled_norms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = np.abs(values).max(axis=1, initial=0.0)
    safe = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    result: NDArray[np.float64] = safe * np.sqrt(np.square(values / safe[:, None]).sum(axis=1))
    return result


LANES = 32
"""Numbers that a kernel of PyTorch's takes in one piece, at most (AVX-512, float32)."""


def computed(cells: int, samples: int) -> int:
    """Return how many cells PyTorch computes for a stack of `cells`; the last ones are padding.

    What is left over at the end of a tensor goes through other code, whose exponentials round
    otherwise: so there are enough cells that a number for each sample of each leaves no remainder.
    And there are at least two, for a single one goes through kernels of its own.
    """
    multiple = max(2, LANES // math.gcd(LANES, samples))
    return -(-cells // multiple) * multiple
