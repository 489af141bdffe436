"""A claim: a quantity as a theory has it, as it was measured, and whether the two agree."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runner.report.theory import Picture

KINDS = NEAR, AT_MOST, AT_LEAST = "near", "at most", "at least"

MEDIAN_BY_MEAN = 1.2533
"""The standard error of a normal sample's median by that of its mean: the root of pi / 2"""
SIGMA_BY_MAD = 1.4826
"""The standard deviation of a normal sample by its median absolute deviation"""

HOLDS, FAILS, CANNOT_TELL = "holds", "DOES NOT HOLD", "CANNOT TELL"
"""Verdicts; the last where the rival passes the same test"""


@dataclass(frozen=True)
class Rival:
    """The nearest other theory, and its prediction of the same quantity."""

    name: str
    theory: float | Sequence[float]
    """One number, or one for each measured value where the prediction depends on the data"""
    kind: str = NEAR


@dataclass(frozen=True)
class Claim:
    """A theory's prediction, held against what was measured once for each seed.

    Without `errors`, every measured value must agree with the theory within `tolerance`. With
    `errors`, their mean must, within `tolerance` and that many standard errors of the mean; a limit
    (`at most`, `at least`) must be kept by that many standard errors. A `robust` claim is one on
    the median, for chaotic runs, of which one in thirty is still on its way. Where a rival is
    named, it must fail the same test on the same values.
    """

    quantity: str
    theory: float
    measured: Sequence[float]
    tolerance: float
    """How far the theory itself may be off: relative to it, absolute where it is 0"""
    kind: str = NEAR
    """`near`, `at most` or `at least`"""
    errors: float = 0.0
    """Standard errors of the mean over the seeds"""
    robust: bool = False
    """Whether it is the median that is judged, and by the median of the absolute deviations"""
    rival: Rival | None = None

    def __post_init__(self) -> None:
        count = len(self.measured)
        if not count:
            raise ValueError(f"{self.quantity}: measured: expected one value or more, got none")
        if self.errors and count < 2:
            raise ValueError(
                f"{self.quantity}: measured: expected two values or more, for their standard "
                f"error, got {count}"
            )
        for kind in (self.kind, self.rival.kind if self.rival else NEAR):
            if kind not in KINDS:
                kinds = ", ".join(KINDS)
                raise ValueError(f"{self.quantity}: kind: expected {kinds}, got {kind!r}")
        if self.rival and np.size(self.rival.theory) not in (1, count):
            raise ValueError(
                f"{self.quantity}: rival: expected one prediction, or {count}, got "
                f"{np.size(self.rival.theory)}"
            )

    @property
    def verdict(self) -> str:
        """Return `HOLDS`, `FAILS`, or `CANNOT_TELL` where the rival holds as well."""
        if not self.holds:
            return FAILS
        return HOLDS if self.rival_fails else CANNOT_TELL

    @property
    def holds(self) -> bool:
        """Return whether the measured values agree with the theory; NaN does not."""
        return all(self._agrees(self.theory, self.kind))

    @property
    def rival_fails(self) -> bool:
        """Return whether the rival fails the same test; without `errors`, on every single value."""
        return not (self.rival and any(self._agrees(self.rival.theory, self.rival.kind)))

    @property
    def room(self) -> float:
        """Return how far from the theory a mean, or each value, may be; negative inside a limit."""
        spread = self._spread(np.asarray(self.measured, float))
        return self._bound + (spread if self.kind == NEAR else -spread)

    @property
    def middle(self) -> float:
        """Return the mean of the measured values, or their median."""
        return self._middle(np.asarray(self.measured, float))

    @property
    def _bound(self) -> float:
        return float(self.tolerance * (abs(self.theory) or 1.0))

    def _middle(self, values: NDArray[np.float64]) -> float:
        return float(np.median(values) if self.robust or not self.errors else np.mean(values))

    def _spread(self, values: NDArray[np.float64]) -> float:
        """Return the standard errors that are allowed; of a median, those of normal values."""
        if not self.errors:
            return 0.0
        with np.errstate(invalid="ignore"):  # infinite values: a NaN agrees with nothing
            if self.robust:
                deviation = np.median(np.abs(values - np.median(values)))
                one = MEDIAN_BY_MEAN * SIGMA_BY_MAD * deviation
            else:
                one = np.std(values, ddof=1)
            return float(self.errors * one / len(values) ** 0.5)

    def _agrees(self, theory: float | Sequence[float], kind: str) -> list[bool]:
        """Return whether the middle agrees with a prediction of that kind, or each value."""
        measured = np.asarray(self.measured, float)
        predicted = np.broadcast_to(np.asarray(theory, float), measured.shape)
        differences = measured - predicted
        spread = self._spread(differences)
        if self.errors:
            measured, predicted = np.array([self._middle(differences)]), np.zeros(1)
        room = self._bound + (spread if kind == NEAR else -spread)
        reached = measured >= predicted - room, measured <= predicted + room
        sides = {NEAR: reached[0] & reached[1], AT_LEAST: reached[0], AT_MOST: reached[1]}
        agrees: list[bool] = sides[kind].tolist()
        return agrees


@dataclass(frozen=True)
class Findings:
    """The claims of a study, each judged, and its pictures."""

    claims: Sequence[Claim]
    pictures: Sequence[Picture] = field(default_factory=tuple)

    @property
    def holds(self) -> bool:
        """Return whether every claim holds and every rival fails."""
        return bool(self.claims) and all(claim.verdict == HOLDS for claim in self.claims)
