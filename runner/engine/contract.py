"""Contracts of the engine: what its driver asks of programs, and of all that keeps state.

Other contracts stand where they are used:

- `Batches` in `runner.engine.batches`: the samples of each step;
- `Rates` in `runner.engine.rates`: the learning rate of each step;
- `Calculus` in `runner.engine.measure.problem`: the derivatives that measures are made of;
- `Look` in `runner.engine.recording`: shows a run to a person;
- `Sink` in `runner.record.journal`: takes what runs record;
- `RunSource` in `runner.record.run`: where runs are found;
- `Executor` and `Engine` in `runner.sweeps.executors.contract`: carry out the units of a sweep;
- `Store` in `runner.tracking.batch`: takes what is published.
"""

from typing import Protocol

from runner.base.arrays import AnyArray, Array, Index, Scalars, State
from runner.engine.program.step import Step

Batch = tuple[AnyArray, AnyArray]
"""Samples, x and y, as the loop has them: arrays with the samples as their first axis.

Where the cells of a stack have samples of their own, there is an axis of cells before.
"""


class Stateful(Protocol):
    """A part of a run, or of a stack, that changes with each step.

    The driver writes down the state of all such parts, puts it back when a run is resumed, and lets
    cells of a stack go that have ended. A part that was restored gives the numbers, to the last
    bit, that the one whose state it was would have given.
    """

    def state(self) -> State:
        """Return all that the part has to know to go on from here."""

    def restore(self, state: State) -> None:
        """Go on from a state that a part built from the same config has returned.

        Of a stack, the state may be of fewer cells than the part was built with.
        """

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices, (cells left,), among the present ones alone.

        Raises NotImplementedError where the part is one of a run by itself.
        """


class Program(Stateful, Protocol):
    """A loop: takes the steps of a run by itself, or of all cells of a stack at once.

    It is mathematics alone, and records and prints nothing. Arrays of a stack have an axis of cells
    before the others; no cell's numbers depend on which others there are.
    """

    def advance(self, batch: Batch, *lr: Scalars) -> Step:
        """Take one step on the batch, with the learning rate that is given, or its own if none is.

        The rate is a float, or float64 (cells,). The arrays of the step are NumPy's, in the run's
        dtype, and stay as they are afterwards. Raises whatever a part of the user's raises.
        """

    def evaluate(self, batch: Batch) -> tuple[Scalars, AnyArray]:
        """Return the loss of the batch and what is predicted of it; nothing is changed by that.

        The loss is a float, or (cells,) in the run's dtype; the prediction is an array of the
        loop's, (samples, ...) or (cells, samples, ...), apart from its gradients.
        """

    def scale(self) -> Array | None:
        """Return what the last step was divided by, (parameters,) or (cells, parameters).

        None where the optimizer divides by nothing, or does not tell, and before the first step.
        """
