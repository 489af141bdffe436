"""NumPy: gradient and update by hand."""

from typing import Any

from runner.base.arrays import Array, Scalars, State
from runner.engine.program.lone import LoneProgram
from runner.engine.program.step import Step
from runner.loss import Loss
from runner.model import ByHand
from runner.objective.minimised import Minimised
from runner.optimizer import Update, scale_of


class NumPyProgram(LoneProgram):
    """Fits y for batches of x, designed as the model wants it, and y; w is (parameters,)."""

    def __init__(self, w: Array, model: ByHand | Minimised, loss: Loss, update: Update) -> None:
        self.w, self.model, self.loss, self.update = w, model, loss, update
        self.memory: Any = None

    def advance(self, batch: tuple[Array, Array], *lr: Scalars) -> Step:
        x, y = batch
        prediction = self.model.predict(x, self.w)
        value, slope = self.loss(prediction, y)
        gradient = self.model.gradient(x, slope, self.w)
        self.w, self.memory = self.update(self.w, gradient, self.memory, *lr)
        return Step(float(value), self.w, gradient, prediction)

    def evaluate(self, batch: tuple[Array, Array]) -> tuple[float, Array]:
        """The loss of a batch, and what is predicted of it."""
        x, y = batch
        prediction = self.model.predict(x, self.w)
        return float(self.loss(prediction, y)[0]), prediction

    def scale(self) -> Array | None:
        """(parameters,): what the last step was divided by, if by anything."""
        made: Array | None = scale_of(self.update, self.memory, self.w)
        return made

    def state(self) -> State:
        return {"w": self.w, "memory": self.memory}

    def restore(self, state: State) -> None:
        self.w, self.memory = state["w"], state["memory"]
