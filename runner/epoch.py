"""Epochs: what is known at the end of each, from its steps; columns that have a value there."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from runner.batches import FullBatch
from runner.column import EPOCH, EPOCH_END, LOSS, MEASURE, START, VALIDATION, Column, number
from runner.program.step import Step

Right = Callable[[Any, Any], Any]
"""From what was predicted and y to how many are right; of a stack (cells,)."""

Evaluate = Callable[[Any], tuple[Any, Any]]
"""From a batch to its loss, and what is predicted of it: `evaluate` of a program."""

NUMBER, MEAN, RIGHT = "epoch", "epoch_loss", "accuracy"
UNSEEN, UNSEEN_RIGHT = "val_loss", "val_accuracy"


def columns(steps: int, *, parts: bool, classes: bool, validation: bool) -> list[Column]:
    """What is recorded of epochs of so many steps.

    `parts`: of batches that are a part of the samples; `classes`: where the task is classification.
    """
    made = []
    if parts:
        made.append(Column(NUMBER, EPOCH, (), "int64", START))
        made.append(number(MEAN, LOSS, EPOCH_END, steps))
    if classes:
        made.append(number(RIGHT, MEASURE, EPOCH_END, steps))
    if validation:
        made.append(number(UNSEEN, VALIDATION, EPOCH_END, steps))
    if validation and classes:
        made.append(number(UNSEEN_RIGHT, VALIDATION, EPOCH_END, steps))
    return made


class Seen(NamedTuple):
    """What is known after a step."""

    epochs: int
    """That have ended."""
    loss: Any
    """Of the epoch that ends with this step; infinite within one. Of a stack (cells,)"""
    told: Mapping[str, Any]
    """Values for columns that measures do not give, by their names."""

    @property
    def watched(self) -> Any:
        """The loss by which an epoch is judged: of the validation data where there are any."""
        return self.told.get(UNSEEN, self.loss)


class Epochs:
    """Puts steps together to epochs: the mean of their losses, weighted by their samples."""

    def __init__(
        self,
        sizes: Sequence[int],
        evaluate: Evaluate,
        *,
        parts: bool,
        right: Right | None,
        validation: FullBatch | None,
    ) -> None:
        """`sizes`: of the batches of an epoch, in samples; `right`, where there are classes."""
        self._sizes, self._samples = sizes, sum(sizes)
        self._evaluate, self._validation = evaluate, validation
        self._parts, self._right_of = parts, right
        self._step = self._ended = 0
        self._loss: Any = 0.0
        self._right: Any = 0.0
        self._is_plain = not parts and right is None and validation is None

    def after(self, step: Step, y: Any) -> Seen:
        """Take the next step, of a batch with that y."""
        if self._is_plain:
            self._ended += 1
            return Seen(self._ended, step.loss, {})
        size = self._sizes[self._step]
        self._step += 1
        loss = step.loss if isinstance(step.loss, float) else step.loss.astype(np.float64)
        self._loss = self._loss + size * loss
        if self._right_of is not None:
            self._right = self._right + self._right_of(step.prediction, y)
        told: dict[str, Any] = {NUMBER: self._ended + 1} if self._parts else {}
        if self._step < len(self._sizes):
            within = math.inf if isinstance(step.loss, float) else np.full(len(step.loss), math.inf)
            return Seen(self._ended, within, told)
        return self._at_the_end(step, told)

    def _at_the_end(self, step: Step, told: dict[str, Any]) -> Seen:
        loss: Any = step.loss
        if self._parts:
            loss = self._loss / self._samples
            told[MEAN] = loss
        if self._right_of is not None:
            told[RIGHT] = self._right / self._samples
        if self._validation is not None:
            told[UNSEEN], prediction = self._evaluate(self._validation.batch)
            if self._right_of is not None:
                right = self._right_of(prediction, self._validation.batch[1])
                told[UNSEEN_RIGHT] = right / self._validation.sizes[0]
        self._step, self._ended = 0, self._ended + 1
        self._loss = self._right = 0.0
        return Seen(self._ended, loss, told)

    def keep(self, cells: Any) -> None:
        """Go on with the cells at these indices alone."""
        if self._validation is not None:
            self._validation.keep(cells)
        if self._step:
            self._loss = self._loss[cells]
            self._right = self._right[cells] if self._right_of is not None else 0.0

    def state(self) -> dict[str, Any]:
        own = {"step": self._step, "ended": self._ended, "loss": self._loss, "right": self._right}
        return {**own, "validation": self._validation and self._validation.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._step, self._ended = state["step"], state["ended"]
        self._loss, self._right = state["loss"], state["right"]
        if self._validation is not None:
            self._validation.restore(state["validation"])
