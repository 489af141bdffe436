"""Stacks: many cells that differ only in numbers, as one array program with a leading cell axis.

A cell is prepared as its lone run would be, with the same checks; then what the cells bring is laid
one above another. Updates are by hand, the same operations as in `torch.optim`. A model of one
weight is computed as its lone run computes it, to the last bit; where sums of products are made for
all cells at once, these round otherwise than alone.
"""

from runner.engine.stack.parts import Parts, prepare, refusal
from runner.engine.stack.program import stack
from runner.engine.stack.worth import impossible, slower

__all__ = ["Parts", "impossible", "prepare", "refusal", "slower", "stack"]
