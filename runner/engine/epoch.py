"""Epochs: what is known at the end of each, from its steps; columns that have a value there."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from runner.base.arrays import AnyArray, Index, Scalars, State
from runner.engine.batches import Batches, FullBatch, MiniBatches
from runner.engine.contract import Batch
from runner.engine.program.step import Step
from runner.engine.reduction import MEAN as MEAN_OF_SAMPLES
from runner.engine.reduction import Reduction
from runner.loss import count_labelled
from runner.record.column import EPOCH, EPOCH_END, LOSS, MEASURE, START, VALIDATION, Column, number

Right = Callable[[AnyArray, AnyArray], Scalars]
"""From what was predicted and y to how many are right; of a stack (cells,)."""

Evaluate = Callable[[Batch], tuple[Scalars, AnyArray]]
"""From a batch to its loss, and what is predicted of it: `evaluate` of a program."""

Told = Mapping[str, Any]
"""Values by the names of columns: numbers, or (cells,); under SO_FAR another such mapping."""

NUMBER, MEAN, RIGHT = "epoch", "epoch_loss", "accuracy"
UNSEEN, UNSEEN_RIGHT = "val_loss", "val_accuracy"

SO_FAR = "so far"
"""The key of values within the first epoch: by the names of columns, those of a run that ends
with this step."""


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
    loss: Scalars
    """Of the epoch that ends with this step; infinite within one. Of a stack (cells,)"""
    told: Told
    """Values for columns that measures do not give, by their names."""

    @property
    def watched(self) -> Any:
        """The loss by which an epoch is judged: of the validation data where there are any."""
        return self.told.get(UNSEEN, self.loss)


class Epochs:
    """Puts steps together to epochs: their losses by the loss's reduction, and the accuracy."""

    def __init__(
        self,
        batches: Batches,
        evaluate: Evaluate,
        *,
        right: Right | None = None,
        validation: FullBatch | None = None,
        reduction: Reduction = MEAN_OF_SAMPLES,
        ignores: bool = False,
    ) -> None:
        """`right`, where there are classes; `ignores`: whether samples may have none of them."""
        self._sizes, self._samples = batches.sizes, batches.samples
        self._evaluate, self._validation = evaluate, validation
        self._parts, self._right_of = isinstance(batches, MiniBatches), right
        self._reduction, self._ignores = reduction, ignores
        self._step = self._ended = 0
        self._loss: Scalars = 0.0
        self._weight: Scalars = 0
        self._right: Scalars = 0.0
        self._counted: Scalars = 0
        self._is_plain = not self._parts and right is None and validation is None

    def after(self, step: Step, y: AnyArray) -> Seen:
        """Take the next step, of a batch with that y."""
        if self._is_plain:
            self._ended += 1
            return Seen(self._ended, step.loss, {})
        size = self._sizes[self._step]
        self._step += 1
        if self._parts:
            loss = step.loss if isinstance(step.loss, float) else step.loss.astype(np.float64)
            weight = self._reduction.weight(y, size)
            self._loss = self._loss + self._reduction.term(loss, weight)
            self._weight = self._weight + weight
        if self._right_of is not None:
            self._right = self._right + self._right_of(step.prediction, y)
            self._counted = self._counted + (count_labelled(y) if self._ignores else size)
        told: dict[str, Any] = {NUMBER: self._ended + 1} if self._parts else {}
        if self._step < len(self._sizes):
            if not self._ended:
                told[SO_FAR] = self._figures()
            within = math.inf if isinstance(step.loss, float) else np.full(len(step.loss), math.inf)
            return Seen(self._ended, within, told)
        return self._at_the_end(step, told)

    def _at_the_end(self, step: Step, told: dict[str, Any]) -> Seen:
        told |= self._figures() | self.validated()
        loss: Scalars = told[MEAN] if self._parts else step.loss
        self._step, self._ended = 0, self._ended + 1
        self._loss = self._right = 0.0
        self._weight = self._counted = 0
        return Seen(self._ended, loss, told)

    def _figures(self) -> dict[str, Any]:
        """Return the loss and the accuracy of the epoch's steps so far."""
        figures = {}
        if self._parts:
            figures[MEAN] = self._reduction.whole(self._loss, self._weight, self._samples)
        if self._right_of is not None:
            figures[RIGHT] = np.divide(self._right, self._counted)
        return figures

    def validated(self) -> dict[str, Any]:
        """Return loss and accuracy of the validation data, where there are any."""
        if self._validation is None:
            return {}
        loss, prediction = self._evaluate(self._validation.batch)
        if self._right_of is None:
            return {UNSEEN: loss}
        y = self._validation.batch[1]
        count = count_labelled(y) if self._ignores else self._validation.samples
        return {UNSEEN: loss, UNSEEN_RIGHT: np.divide(self._right_of(prediction, y), count)}

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices alone."""
        if self._validation is not None:
            self._validation.keep(cells)
        for name in ("_loss", "_weight", "_right", "_counted"):
            if np.ndim(total := getattr(self, name)):
                setattr(self, name, total[cells])

    def state(self) -> State:
        return {
            "step": self._step,
            "ended": self._ended,
            "loss": self._loss,
            "weight": self._weight,
            "right": self._right,
            "counted": self._counted,
            "validation": self._validation and self._validation.state(),
        }

    def restore(self, state: State) -> None:
        self._step, self._ended = state["step"], state["ended"]
        self._loss, self._right = state["loss"], state["right"]
        samples = sum(self._sizes[: self._step])  # of a checkpoint from before these were kept
        self._weight = state.get("weight", samples)
        self._counted = state.get("counted", samples)
        if self._validation is not None:
            self._validation.restore(state["validation"])
