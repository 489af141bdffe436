"""NumPy: gradient and update by hand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.loss import Loss
from runner.optimizer import Update
from runner.program.step import Step

Array = NDArray[np.floating[Any]]


class Program:
    """Fits y = x @ w for batches of x (samples, parameters) and y (samples,), w (parameters,)."""

    def __init__(self, w: Array, loss: Loss, update: Update) -> None:
        self.w, self.loss, self.update = w, loss, update
        self.memory: Any = None

    def advance(self, batch: tuple[Array, Array], factor: float = 1.0) -> Step:
        x, y = batch
        prediction = x @ self.w
        value, slope = self.loss(prediction, y)
        gradient = slope @ x
        self.w, self.memory = self.update(self.w, gradient, self.memory, factor)
        return Step(float(value), self.w, gradient)

    def state(self) -> dict[str, Any]:
        return {"w": self.w, "memory": self.memory}

    def restore(self, state: dict[str, Any]) -> None:
        self.w, self.memory = state["w"], state["memory"]
