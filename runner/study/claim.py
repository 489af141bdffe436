"""A claim: a quantity as a theory has it, as it was measured, and whether the two agree."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from runner.report.theory import Picture

KINDS = NEAR, AT_MOST, AT_LEAST = "near", "at most", "at least"


@dataclass(frozen=True)
class Claim:
    """What is measured once for each seed, and must hold for every one."""

    quantity: str
    theory: float
    measured: Sequence[float]
    tolerance: float
    """Relative to the theory; absolute where that is 0"""
    kind: str = NEAR
    """`near`, `at most` or `at least`"""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            known = ", ".join(KINDS)
            raise ValueError(f"{self.quantity}: kind: expected {known}, got {self.kind!r}")
        if not len(self.measured):
            raise ValueError(f"{self.quantity}: measured: expected one value or more, got none")

    @property
    def holds(self) -> bool:
        """Whether each of them agrees; one that is no number does not."""
        return all(map(self._agrees, self.measured))

    def _agrees(self, measured: float) -> bool:
        room = self.tolerance * self._size
        low = self.theory - room if self.kind != AT_MOST else -float("inf")
        high = self.theory + room if self.kind != AT_LEAST else float("inf")
        return low <= measured <= high

    def mistaken(self, by: float) -> "Claim":
        """The same of a theory that is wrong by so many tolerances, with as much room."""
        room = self.tolerance * self._size
        wrong = replace(self, theory=self.theory + by * room)
        return replace(wrong, tolerance=room / wrong._size)

    @property
    def _size(self) -> float:
        return abs(self.theory) or 1.0

    @property
    def middle(self) -> float:
        """The median of what was measured."""
        return median(self.measured)


@dataclass(frozen=True)
class Findings:
    """What a study has found."""

    claims: Sequence[Claim]
    pictures: Sequence[Picture] = field(default_factory=tuple)

    @property
    def holds(self) -> bool:
        """Whether all that is claimed does."""
        return bool(self.claims) and all(claim.holds for claim in self.claims)
