"""A quadratic bowl whose eigenvalues are chosen: where convergence rates are known exactly."""

import sys
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.errors import BadValue
from runner.objective.contract import Objective
from runner.objective.functions import cube, require_dimension


def quadratic(
    *,
    dimension: int = 2,
    condition: float = 10.0,
    curvature: float = 1.0,
    rotation: int | None = None,
) -> Objective:
    """w^T A w / 2, the least value 0 at 0; the start is 1 for each parameter.

    The eigenvalues of A run from `curvature` down to curvature / condition, evenly on a logarithmic
    scale, so plain gradient descent converges below the rate 2 / curvature. One parameter has one
    eigenvalue: its `condition` has to be 1.

    Without `rotation` A is diagonal, the largest eigenvalue first. A whole number is the seed of a
    random rotation or reflection Q, A = Q diag(eigenvalues) Q^T: the Q of a normal matrix's QR,
    with the signs that make it uniform, that is, Haar distributed (Mezzadri 2007, "How to generate
    random matrices from the classical compact groups").
    """
    require_dimension(dimension, 1)
    if not 1 <= condition < 1 / np.finfo(np.float64).eps:
        raise BadValue("condition", expected="a number from 1 to below 4.5e15", got=condition)
    if dimension == 1 and condition != 1:
        raise BadValue("condition", expected="1 where dimension is 1", got=condition)
    if not 0 < curvature < np.inf:
        raise BadValue("curvature", expected="a finite number above 0", got=curvature)
    matrix = np.diag(curvature * np.geomspace(1, 1 / condition, dimension))
    if rotation is not None:
        turn = _orthogonal(dimension, rotation)
        matrix = turn @ matrix @ turn.T
        matrix = (matrix + matrix.T) / 2  # a product's rounding is not symmetric

    def value(w: Any) -> Any:
        return (w * (w @ _like(w, matrix))).sum(-1) / 2

    def gradient(w: Array) -> Array:
        made: Array = w @ _like(w, matrix)
        return made

    def hessian(w: Array) -> Array:
        return np.broadcast_to(_like(w, matrix), (*w.shape, dimension)).copy()

    minima, start = np.zeros((1, dimension)), np.ones(dimension)
    region = cube(2.0, dimension)
    return Objective(value, gradient, hessian, minima, 0.0, region, start, is_quadratic=True)


def _orthogonal(dimension: int, seed: int) -> Array:
    """A random orthogonal matrix, a function of the seed."""
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise BadValue("rotation", expected="null or a whole number of 0 or more", got=seed)
    drawn = np.random.default_rng(seed).normal(size=(dimension, dimension))
    q, r = np.linalg.qr(drawn)
    made: Array = q * np.sign(np.diagonal(r))
    return made


def _like(w: Any, matrix: Array) -> Any:
    """The matrix as w is: its library, dtype and device."""
    if isinstance(w, np.ndarray):
        return matrix.astype(w.dtype, copy=False)
    return sys.modules["torch"].as_tensor(matrix, dtype=w.dtype, device=w.device)
