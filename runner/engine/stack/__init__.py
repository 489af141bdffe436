"""Stacks: many cells that differ only in numbers, as one array program with a leading cell axis.

A cell is prepared as its lone run would be, with the same checks; then what the cells bring is laid
one above another. Updates are by hand, the same operations as in `torch.optim`. With NumPy a cell
is its lone run to the last bit; with PyTorch the same within rounding, whatever other cells there
are.
"""

from runner.engine.stack.parts import Parts, prepare
from runner.engine.stack.program import stack
from runner.engine.stack.refusal import refusal
from runner.engine.stack.worth import impossible, slower

__all__ = ["Parts", "impossible", "prepare", "refusal", "slower", "stack"]
