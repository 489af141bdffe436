"""The loss over one or two parameters, as far as paths lead through it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from runner.base.arrays import Array
from runner.report.problem import FittedProblem

POINTS = {1: 400, 2: 80}  # along each parameter
FARTHEST = 3.0  # times the distance of the starts from the middle: beyond it, a path has left
OUTSIDE = 3.0  # times the width of what is looked at
LEVELS = 15


class Landscape(NamedTuple):
    """Values on a grid, in the rectangle that is looked at."""

    loss: Callable[[Array], Array]
    grid: list[Array]
    """Along each parameter"""
    values: Array
    """(points,), or for two parameters (points of the second, points of the first)"""
    minima: Array
    """(minima, parameters): those that are known, or the lowest point of the grid"""
    exact: bool
    """Whether they are known"""
    low: Array
    high: Array
    heights: tuple[float, float]
    """Of what is looked at: the least and the largest loss"""

    def inside(self, track: Array) -> Array:
        """The path up to where it leaves, and a last point out there: no canvas knows 1e19."""
        far = self.high - self.low
        out = ~((track > self.low - far) & (track < self.high + far)).all(axis=1)  # NaN too
        if not out.any():
            return track
        first = int(out.argmax())
        if first == 0:
            return track[:1]
        step = np.nan_to_num(track[first] - track[first - 1])
        step = step / max(1.0, float((np.abs(step) / (OUTSIDE * far)).max()))
        return np.concatenate([track[:first], track[first - 1 : first] + step])

    def levels(self) -> Array:
        """Heights for the lines of a contour, denser near the minimum."""
        low, high = float(np.nanmin(self.values)), float(np.nanmax(self.values))
        if high <= low:
            return np.array([low, low + 1.0])
        return low + (high - low) * np.linspace(0, 1, LEVELS) ** 3


def landscape(
    fitted: FittedProblem,
    tracks: Sequence[Array],
    ended: Sequence[bool],
    points: int | None = None,
    *,
    whole: bool = False,
) -> Landscape:
    """What lies around these paths, (steps, parameters) each; those not `ended` have diverged.

    `points`: of the grid along each parameter, where the usual ones would take too long.
    `whole`: to show the paths to their ends, also those that go far from where all have begun.
    """
    starts = np.array([track[0] for track in tracks], np.float64)
    kept = [track for track, by_itself in zip(tracks, ended, strict=True) if by_itself]
    near = np.concatenate([starts, *kept]).astype(np.float64)
    typical = np.median(near, axis=0)
    middle = fitted.solution.nearest(typical) if fitted.solution else typical
    reach = FARTHEST * np.maximum(np.abs(starts - middle).max(axis=0), 1e-3 * (1 + np.abs(middle)))
    # One that begins where it is to end may well go as far as in the other direction.
    gone = np.abs(near - middle)
    reach = np.maximum(reach, gone[(gone <= reach.max()).all(axis=1)].max(axis=0))
    inside = near if whole else near[(np.abs(near - middle) <= reach).all(axis=1)]
    corners = np.concatenate([inside, middle[None, :]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    if not all(ended):  # room to see how they left
        low, high = np.minimum(low, middle - reach / 2), np.maximum(high, middle + reach / 2)
    margin = 0.08 * np.maximum(high - low, 1e-6 * (1 + np.abs(middle)))
    low, high = low - margin, high + margin
    count = points or POINTS[len(middle)]
    grid = [np.linspace(*ends, count) for ends in zip(low, high, strict=True)]
    if len(grid) == 1:
        places = grid[0][:, None]
        values = fitted.loss(places)
    else:
        mesh = np.meshgrid(*grid)
        places = np.stack([axis.ravel() for axis in mesh], axis=1)
        values = fitted.loss(places).reshape(mesh[0].shape)
    exact = fitted.solution is not None
    lowest = places[np.nanargmin(values)][None]
    minima = fitted.solution.within(low, high) if fitted.solution else lowest
    top, bottom = float(np.nanmax(values)), float(fitted.loss(minima)[0])
    heights = bottom - 0.05 * (top - bottom), top
    return Landscape(fitted.loss, grid, values, minima, exact, low, high, heights)
