"""Whether a stack takes less time than its cells would alone: by their sizes, never by a clock.

So the same command has the same plan, and the same numbers, on a busy machine as on an idle one.
The figures are microseconds of one step on one core, fitted to what `benchmarks/stacks.py` prints;
what counts is where two of them cross.
"""

from typing import NamedTuple


class Size(NamedTuple):
    """What a step's time depends on."""

    cells: int
    samples: int
    units: int
    """Numbers that the model makes of a sample, those inside it included."""
    parameters: int
    own_data: bool
    """Whether each cell has data of its own, or all share theirs."""
    functional: bool
    """Whether the stack goes through `torch.func`."""


class Figures(NamedTuple):
    """Microseconds: of a step, and in it for each number made, and each product of two numbers."""

    step: float
    unit: float
    product: float

    def of(self, size: Size) -> float:
        """What a cell adds to a step."""
        return size.samples * (self.unit * size.units + self.product * size.parameters)


ALONE = Figures(150, 0.0015, 0.0004)
SHARED = Figures(260, 0.0035, 0.0001)
OWN_DATA = Figures(310, 0.006, 0.006)
NETWORK_ALONE = Figures(360, 0.0055, 0.00008)
NETWORK = Figures(1450, 0.0125, 0.00003)


def alone(size: Size) -> float:
    """Microseconds for a step of every cell, each alone."""
    figures = NETWORK_ALONE if size.functional else ALONE
    return size.cells * (figures.step + figures.of(size))


def stacked(size: Size) -> float:
    """Microseconds for a step of the stack."""
    figures = NETWORK if size.functional else OWN_DATA if size.own_data else SHARED
    return figures.step + size.cells * figures.of(size)


def slower(size: Size) -> str | None:
    """Why the cells had better run alone; None if a stack pays."""
    if stacked(size) < alone(size):
        return None
    data = ", each with its own data" if size.own_data else ""
    return f"a stack of {size.cells} cells of this size{data} costs more than it saves"
