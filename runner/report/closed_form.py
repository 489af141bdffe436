"""What least squares has in closed form: where its minimum is, and when plain descent leaves it.

The loss is the mean square mean((X w - y)^2) over n samples, X the design matrix of shape
(samples, parameters). Its gradient is 2/n X'(X w - y) and its Hessian 2/n X'X, the same everywhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def optimum(design: Array, y: Array) -> Array:
    """(parameters,): where the loss is least; of all such points the one nearest to 0."""
    w: Array = np.linalg.lstsq(design.astype(np.float64), y.astype(np.float64), rcond=None)[0]
    return w


def curvature(design: Array) -> float:
    """The largest eigenvalue of the Hessian 2/n X'X."""
    x = design.astype(np.float64)
    return float(np.linalg.eigvalsh(2 / len(x) * (x.T @ x))[-1])


def stability_edge(largest: float) -> float:
    """The learning rate from which on plain descent w - lr * gradient leaves the minimum.

    An error along an eigenvector is multiplied by 1 - lr * eigenvalue at each step, so it shrinks
    as long as lr < 2 / the largest eigenvalue of the Hessian.
    """
    return 2 / largest
