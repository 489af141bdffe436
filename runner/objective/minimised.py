"""An objective as the loops have a model and a loss: of one sample that has no features.

What is predicted of it is the objective's value, and the loss is what is predicted.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.errors import BadValue
from runner.model import Tensors, filled
from runner.objective.contract import Objective

MODEL = "runner.objective.minimised.Minimised"
LOSS = "runner.objective.minimised.value"
"""By what names the parts are known from which a loop follows."""

USUAL, DRAWN = "usual", "drawn"


class Minimised:
    """An objective, and where it is begun: `start` is `usual`, `drawn`, or the values."""

    outputs = 1

    def __init__(self, objective: Objective, start: Any = USUAL) -> None:
        self.objective, self._start = objective, start
        self.takes_cells = objective.takes_cells
        count = objective.parameters
        if count is None and isinstance(start, Sequence) and not isinstance(start, str):
            count = len(start)
        if not count:
            raise BadValue("start", "expected a list of values, for it tells no start of its own")
        self.parameters = count

    @property
    def tensors(self) -> Tensors:
        return {"w": (self.parameters,)}

    def design(self, x: Array) -> Array:
        """The sample as it is, (1, 0)."""
        return x

    def predict(self, x: Any, w: Any) -> Any:
        """(1,), or (cells, 1): the value at w (parameters,), or (cells, parameters)."""
        return self.objective.value(w)[..., None]

    def gradient(self, x: Array, slope: Array, w: Array) -> Array:
        """As w."""
        assert self.objective.gradient is not None
        return slope * self.objective.gradient(w)

    def start(self, seed: int, dtype: str) -> Array:
        """The starting values, (parameters,) of that dtype."""
        own = self.objective
        if self._start == USUAL and own.start is not None:
            return own.start.astype(dtype)
        if self._start == DRAWN and own.region is not None:
            low, high = own.region
            drawn: Array = np.random.default_rng(seed).uniform(low, high).astype(dtype)
            return drawn
        if isinstance(self._start, str):
            raise BadValue(
                "start",
                f"expected usual, drawn, or the values, as far as it tells these; got "
                f"{self._start}",
            )
        return filled(np.zeros(self.parameters, dtype), "start", self._start)


def value(prediction: Array, y: Array) -> tuple[Any, Array]:
    """What is predicted of the one sample, (cells,) where there are cells, and its slope, 1."""
    return prediction[..., 0], np.ones_like(prediction)


def torch_value(prediction: Any, y: Any) -> Any:
    """The same of PyTorch's, whose slope autograd finds."""
    return prediction[..., 0]


def of_function(function: Callable[[Any], Any]) -> Objective:
    """An objective of somebody's own, of which nothing is known but its value for one w."""

    def value(w: Any) -> Any:
        found = function(w)
        return found.reshape(()) if getattr(found, "shape", None) == (1,) else found

    return Objective(value, takes_cells=False)
