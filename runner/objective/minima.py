"""Where an objective is least, as far as that is published."""

from typing import NamedTuple

import numpy as np

from runner.base.arrays import Array


class Minima(NamedTuple):
    """Like `closed_form.LeastSquares`, of points instead of one or a whole plane."""

    points: Array
    """(minima, parameters), float64"""

    @property
    def is_unique(self) -> bool:
        return len(self.points) == 1

    def distance(self, w: Array) -> Array:
        """How far each w, (..., parameters), is from the nearest minimum: (...)."""
        with np.errstate(over="ignore", invalid="ignore"):
            apart = w.astype(np.float64)[..., None, :] - self.points
            found: Array = np.linalg.norm(apart, axis=-1).min(axis=-1)
        return found

    def nearest(self, w: Array) -> Array:
        """The minimum, (parameters,), that is nearest to w, (parameters,)."""
        found: Array = self.points[np.linalg.norm(w - self.points, axis=1).argmin()]
        return found

    def within(self, low: Array, high: Array) -> Array:
        """Those between two corners, (minima, parameters)."""
        return self.points[((self.points >= low) & (self.points <= high)).all(axis=1)]
