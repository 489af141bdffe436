"""Steps spaced by their logarithm: so many in each doubling of a run's length."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_POINTS = 200
"""That a metric may be held to: half of them have to do for 63 doublings."""


class Spacing:
    """The first steps all, then the same number of even ones in each doubling of what went before.

    Where that would be too many, one in each doubling, or one in several.
    """

    def __init__(self, steps: int, count: int) -> None:
        """For a run of so many steps at most, of which about `count` are chosen, at least one."""
        self._dense, self._skip = 1, 1
        while self._count(steps, 2 * self._dense) <= count and self._dense < steps:
            self._dense *= 2
        doublings = max(0, steps - 1).bit_length()
        if self._dense == 1:
            self._skip = max(1, -(-(1 + doublings) // max(1, count)))
        self.count = (
            self._count(steps, self._dense) if self._skip == 1 else 1 + doublings // self._skip
        )

    def _count(self, steps: int, dense: int) -> int:
        """How many steps are chosen, at most, if so many are at first."""
        doublings = (max(0, steps - 1) // dense).bit_length()
        return dense + doublings * max(1, dense // 2)

    def holds(self, step: int) -> bool:
        """Whether it is one of them; so is step 0."""
        doublings = (max(step - 1, 0) // self._dense).bit_length()
        return doublings % self._skip == 0 and step % (1 << doublings) == 0

    def hold(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(rows,): the same of each of these steps."""
        # The exponent of a power of two is exact; what is rounded on its way there is far larger.
        doublings: Any = np.frexp(np.maximum(steps - 1, 0) // self._dense)[1].astype(np.int64)
        chosen: NDArray[np.bool_] = (doublings % self._skip == 0) & (steps % (1 << doublings) == 0)
        return chosen
