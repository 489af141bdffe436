"""Eigenvalues and traces of symmetric matrices that are known by their products with vectors."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from runner.base.arrays import Array
from runner.base.rows import dots


class Products(Protocol):
    """A matrix of each cell times directions, both (cells, directions, n); or that of one cell."""

    def __call__(self, directions: Array, cell: int | None = None) -> Array: ...


DENSE = 256
"""Up to so many rows the whole matrix is computed: its products are made together."""

TOGETHER = 16
"""So many probes of a trace are."""


def largest(products: Products, shape: tuple[int, ...], count: int) -> Array:
    """(cells, count), float64: the largest eigenvalues, the largest first; NaN of what has none.

    `shape` is (cells, n). Of larger matrices by Lanczos' method, from SciPy; it begins with the
    same vector each time, so that the same matrix gives the same number.
    """
    cells, n = shape
    if count > n:
        raise ValueError(f"count: expected at most {n}, as many as there are parameters")
    found = np.full((cells, count), np.nan)
    if n <= DENSE:
        matrices = dense(products, shape)
        there = np.isfinite(matrices).all(axis=(1, 2))
        found[there] = np.linalg.eigvalsh(matrices[there])[:, ::-1][:, :count]
        return found
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    start = np.random.default_rng(0).normal(size=n)
    for cell in range(cells):
        kind, own = _of_cell(products, cell, n)
        if not np.isfinite(own(start)).all():
            continue
        operator = LinearOperator((n, n), matvec=own, dtype=np.float64)
        exactly = float(np.finfo(kind).eps) ** 0.5  # of the eigenvector; the value is far better
        try:
            values, _ = eigsh(operator, count, which="LA", v0=start, tol=exactly)
        except ArpackNoConvergence:  # nothing that could be told
            continue
        found[cell] = np.sort(values)[::-1]
    return found


def trace(
    products: Products, shape: tuple[int, ...], probes: int, seeds: Sequence[Sequence[int]]
) -> Array:
    """(cells,), float64; of larger matrices the mean of v'Hv over signs v drawn from the seeds."""
    cells, n = shape
    if n <= DENSE:
        own: Array = np.trace(dense(products, shape), axis1=1, axis2=2)
        return own
    drawn = [np.random.default_rng(seed) for seed in seeds]
    total = np.zeros(cells)
    for first in range(0, probes, TOGETHER):
        some = min(TOGETHER, probes - first)
        signs = np.stack([rng.choice((-1.0, 1.0), (some, n)) for rng in drawn])
        total += dots(signs, products(signs)).sum(axis=1)
    return total / probes


def dense(products: Products, shape: tuple[int, ...]) -> Array:
    """(cells, n, n), float64, symmetric to the last bit."""
    cells, n = shape
    made = products(np.broadcast_to(np.eye(n), (cells, n, n))).astype(np.float64)
    half: Array = (made + made.swapaxes(1, 2)) / 2
    return half


def _of_cell(
    products: Products, cell: int, n: int
) -> tuple[np.dtype[Any], Callable[[Array], Array]]:
    """The dtype of one cell's products, and its product with a vector."""

    def own(vector: Array) -> Array:
        made: Array = products(vector.reshape(1, 1, n), cell)[0, 0].astype(np.float64)
        return made

    return products(np.zeros((1, 1, n)), cell).dtype, own
