"""A plane through the space of all parameters, on which paths can be drawn."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from runner.base.arrays import Array

MOST_NUMBERS = 2 * 10**7
"""So many numbers of paths, at most, tell where the plane lies."""
AT_ONCE = 10**6
"""So many numbers of points on it are computed at once."""
FAR = 10.0
"""So many times its start's distance from 0 a path that diverged counts."""


class Plane(NamedTuple):
    """Where all paths are the most apart: the plane of their first two principal components."""

    origin: Array
    """(parameters,): the mean of all that is on the paths"""
    directions: Array
    """(2, parameters), orthonormal"""
    share: float
    """Of the paths' variance"""

    def project(self, parameters: Array) -> Array:
        """(points, 2): where these, (points, parameters), are on it."""
        found: Array = (parameters - self.origin) @ self.directions.T
        return found

    def restricted(self, loss: Callable[[Array], Array]) -> Callable[[Array], Array]:
        """The loss of points on the plane, (points, 2), by that of parameters."""
        size = max(1, AT_ONCE // len(self.origin))

        def on_the_plane(points: Array) -> Array:
            pieces = [points[first : first + size] for first in range(0, len(points), size)]
            return np.concatenate([loss(self.origin + own @ self.directions) for own in pieces])

        return on_the_plane


def plane(tracks: Sequence[Array]) -> Plane:
    """Through these paths, (steps, parameters) each.

    Jolliffe, Principal Component Analysis, 2nd edition, section 3.5; for paths of training, Li et
    al., Visualizing the Loss Landscape of Neural Nets, 2018, section 7.
    """
    from sklearn.decomposition import PCA  # now that it is worth its import

    there = np.concatenate([_near(track) for track in tracks])
    most = max(3, MOST_NUMBERS // there.shape[1])
    some = np.unique(np.linspace(0, len(there) - 1, min(len(there), most)).round().astype(int))
    there = there[some].astype(np.float64)
    if len(there) < 2:
        there = np.repeat(there, 2, axis=0)
    solver = "full" if min(there.shape) <= 500 else "randomized"
    found = PCA(2, svd_solver=solver, random_state=0).fit(there)
    variance = float(np.var(there, axis=0, ddof=1).sum())
    share = float(found.explained_variance_.sum()) / variance if variance else 1.0
    return Plane(found.mean_, found.components_, share)


def _near(track: Array) -> Array:
    """The path as long as it has not left."""
    start = track[0].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.linalg.norm(track.astype(np.float64) - start, axis=1)
    out = ~(off <= FAR * (1 + np.linalg.norm(start)))  # NaN too
    return track[: int(out.argmax())] if out.any() else track
