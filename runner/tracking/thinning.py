"""Which steps of a long run are points in MLflow, at most `tracking.points` of a metric.

Of a run of more steps than a metric may have points, MLflow gets every second, fourth, eighth ...
step, the first, the best and the last. How long a run will be is known at its end only. So half of
the points are for while it goes on: every step at first, and in each doubling of the run's length
after that as many as in the one before. The rest of what belongs there is added at its end.
"""

import numpy as np
from numpy.typing import NDArray

from runner.record.spacing import Spacing

OTHERS = 2
"""The best and the last step."""


class Thinning:
    """Of one run."""

    def __init__(self, points: int | None, steps: int) -> None:
        """`points` of a metric at most, the start not counted, None for all; `steps` at most."""
        self._points = points
        self.is_needed = points is not None and steps > points
        self._live = Spacing(steps, (points or 2) // 2)

    def kept(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(rows,): whether each of these steps is kept at once."""
        return self._live.hold(steps) if self.is_needed else np.ones(len(steps), bool)

    def has_room(self, count: int) -> bool:
        """Whether so many points of a metric are few enough to be kept whatever their steps."""
        return self._points is None or count <= self._points // 2

    def final(self, last: int) -> int:
        """Every so manieth step is kept of a run whose last step this is."""
        every = 1
        if self._points is not None and last > self._points:
            while last // every > self._points // 2 - OTHERS:
                every *= 2
        return every

    def added(self, steps: NDArray[np.int64], last: int, best: int) -> NDArray[np.bool_]:
        """(rows,): whether each of these steps is added at the end."""
        wanted = (steps % self.final(last) == 0) | (steps == best) | (steps == last)
        added: NDArray[np.bool_] = wanted & ~self.kept(steps)
        return added

    def told(self, last: int) -> str:
        """What a person should know of it; empty where nothing is left out."""
        every = self.final(last)
        if every == 1:
            return ""
        return (
            f"MLflow has one in {every} of {last} steps, more of the first, the best and the last; "
            "trajectory.parquet has all"
        )
