"""Whether a stack takes less time than its cells would alone: by their sizes, never by a clock.

So the same command has the same plan, and the same numbers, on a busy machine as on an idle one.
The figures are microseconds of one step on one core, fitted to what `benchmarks/stacks.py` prints;
what counts is where two of them cross.
"""

from typing import NamedTuple

from runner.base.rows import computed


class Size(NamedTuple):
    """What a step's time depends on."""

    cells: int
    samples: int
    units: int
    """Numbers that the model makes of a sample, those inside it included."""
    parameters: int
    functional: bool
    """Whether the stack goes through `torch.func`."""


class StepCost(NamedTuple):
    """Microseconds: of a step, and in it for each number made, and each product of two numbers."""

    step: float
    unit: float
    product: float

    def of(self, size: Size) -> float:
        """Return what a cell adds to a step."""
        return size.samples * (self.unit * size.units + self.product * size.parameters)


ALONE = StepCost(75, 0.0032, 0.0004)
STACKED = StepCost(100, 0.0075, 0.0005)
NETWORK_ALONE = StepCost(120, 0.004, 0.00001)
NETWORK = StepCost(800, 0.011, 0.00002)


def alone(size: Size) -> float:
    """Return the microseconds for a step of every cell, each alone."""
    figures = NETWORK_ALONE if size.functional else ALONE
    return size.cells * (figures.step + figures.of(size))


def stacked(size: Size) -> float:
    """Return the microseconds for a step of the stack, with the cells that fill it up."""
    figures = NETWORK if size.functional else STACKED
    return figures.step + computed(size.cells, size.samples) * figures.of(size)


def slower(size: Size) -> str | None:
    """Return why the cells had better run alone; None if a stack pays."""
    if stacked(size) < alone(size):
        return None
    return f"a stack of {size.cells} cells of this size costs more than it saves"
