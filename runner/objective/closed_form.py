"""What least squares has in closed form: where its minimum is, and when plain descent leaves it.

The loss is the mean square mean((X w - y)^2) over n samples, X the design matrix of shape
(samples, parameters). Its gradient is 2/n X'(X w - y) and its Hessian 2/n X'X, the same everywhere.
It is least at one point, or, where X has a rank below the number of parameters, all along the
directions that X does not see.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from runner.base.arrays import Array

REFINEMENTS = 4
TINY = 1e-14
TRUSTED = 0.01  # the relative error of the optimum up to which a distance from it is told


class LeastSquares(NamedTuple):
    """Where the loss is least."""

    optimum: Array
    """(parameters,), float64; of all minima the one nearest to 0"""
    rank: int
    """Of the design, its columns scaled alike"""
    blind: Array
    """(parameters, parameters - rank), orthonormal: directions along which the loss stays"""
    condition: float
    """The largest singular value of the scaled design by the least that counts"""

    @property
    def is_unique(self) -> bool:
        """Whether there is one minimum."""
        return self.rank == len(self.optimum)

    def distance(self, w: Array) -> Array:
        """How far each w, (..., parameters), is from the nearest minimum: (...)."""
        apart = w.astype(np.float64) - self.optimum
        with np.errstate(over="ignore", invalid="ignore"):
            seen = apart - (apart @ self.blind) @ self.blind.T
            far: Array = np.linalg.norm(seen, axis=-1)
        return far

    def nearest(self, w: Array) -> Array:
        """The minimum, (parameters,), that is nearest to w, (parameters,)."""
        found: Array = self.optimum + self.blind @ (self.blind.T @ (w - self.optimum))
        return found

    def within(self, low: Array, high: Array) -> Array:
        """What is told of the minima: (1, parameters)."""
        return self.optimum[None]

    def doubt(self, dtype: DTypeLike) -> str:
        """Why a distance from the optimum means nothing for data in that dtype; empty if it does.

        The data are rounded to it, which moves the optimum by as much times the condition.
        """
        if self.condition * float(np.finfo(dtype).eps) <= TRUSTED:
            return ""
        return (
            f"the condition number of the data is {self.condition:.1e}, too large in {dtype} "
            "to know the optimum"
        )


def least_squares(design: Array, y: Array) -> LeastSquares:
    """Solve by singular values of the design with its columns scaled to the same length.

    Unscaled, columns of very different size, the powers of a number say, would be taken for
    dependent ones. Residuals in extended precision, where there is one, refine the solution; see
    Golub and Van Loan, Matrix Computations, 4th edition, sections 5.3.8 and 5.5.
    """
    x, y = design.astype(np.float64), y.astype(np.float64)
    scale = np.abs(x).max(axis=0)
    scale[scale == 0] = 1.0
    scale *= np.linalg.norm(x / scale, axis=0)
    scale[scale == 0] = 1.0
    samples, parameters = x.shape
    u, values, v = np.linalg.svd(x / scale, full_matrices=samples < parameters)
    least = values[:1].max(initial=0.0) * max(x.shape) * np.finfo(np.float64).eps
    rank = int((values > least).sum())
    # What rounding has left of a component would be large once it is scaled back.
    dark = np.where(np.abs(v[rank:].T) < TINY, 0.0, v[rank:].T) / scale[:, None]
    blind = np.linalg.qr(dark / (np.abs(dark).max(initial=0.0) or 1.0))[0]
    u, values, v = u[:, :rank], values[:rank], v[:rank].T

    def solve(target: Array) -> Array:
        w: Array = (v @ (u.T @ target / values)) / scale
        return w

    found = solve(y)
    residual = _residual(x, y, found)
    for _ in range(REFINEMENTS):
        better = found + solve(residual.astype(np.float64))
        left = _residual(x, y, better)
        if not (left @ left < residual @ residual):
            break
        found, residual = better, left
    condition = float(values[0] / values[-1]) if rank else 1.0
    return LeastSquares(_without(found, blind), rank, blind, condition)


def _without(w: Array, directions: Array) -> Array:
    """What is left of w without its parts along these."""
    left: Array = w - directions @ (directions.T @ w)
    return left


def _residual(x: Array, y: Array, w: Array) -> Array:
    """What is left of y, y - X w, in the largest precision there is."""
    r: Array = y.astype(np.longdouble) - x.astype(np.longdouble) @ w.astype(np.longdouble)
    return r


def optimum(design: Array, y: Array) -> Array:
    """(parameters,): where the loss is least; of all such points the one nearest to 0."""
    return least_squares(design, y).optimum


def curvature(design: Array) -> float:
    """The largest eigenvalue of the Hessian 2/n X'X; infinite where no float is large enough."""
    x = design.astype(np.float64)
    largest = np.abs(x).max()
    if largest == 0:
        return 0.0
    with np.errstate(over="ignore"):
        return float(2 / len(x) * np.square(largest * np.linalg.norm(x / largest, 2)))


def stability_edge(
    largest: float, momentum: float = 0.0, dampening: float = 0.0, *, nesterov: bool = False
) -> float:
    """The learning rate from which on descent moves away from the minimum.

    `largest` is the largest eigenvalue of the Hessian, with the weight decay added. Plain descent
    w - lr * gradient multiplies an error along an eigenvector by 1 - lr * eigenvalue at each step,
    so it shrinks as long as lr < 2 / eigenvalue. With momentum m the error and its velocity are
    multiplied by a matrix of determinant d and trace t, and shrink while |d| < 1 and |t| < 1 + d:
    for the heavy ball that is lr < 2 (1 + m) / eigenvalue (Polyak, 1964), for Nesterov's as PyTorch
    has it lr < 2 (1 + m) / ((1 + 2 m) eigenvalue). Dampening scales the gradient.
    """
    scaled = largest * (1 + 2 * momentum if nesterov else 1 - dampening)
    return 2 * (1 + momentum) / scaled if scaled > 0 else np.inf
