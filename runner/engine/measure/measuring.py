"""Takes the measures that a config chooses, at every so many steps, and says what they cost."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from runner.base.arrays import Array, Index, Scalars, State
from runner.engine.contract import Batch
from runner.engine.measure.moment import Instrument, Moment
from runner.engine.measure.problem import TrainingProblem
from runner.engine.program.step import Step


class Taken(NamedTuple):
    """A measure that is taken."""

    instrument: Instrument
    every: int
    """Steps"""


class Measuring:
    """The measures of a run, or of the cells of a stack that are still computed."""

    def __init__(
        self,
        taken: Mapping[str, Taken],
        problem: TrainingProblem,
        initial: Array,
        lr: Array,
        seeds: Index,
    ) -> None:
        """`taken` by the columns' names; `lr` (cells,), for steps that are told no other."""
        self._taken, self._problem, self._lr, self._seeds = taken, problem, lr, seeds
        self._at: Array = np.atleast_2d(initial)
        self._last: Array | None = None
        self._cells = np.arange(len(self._at))
        self._spent = dict.fromkeys(taken, 0.0)

    def tried(self) -> None:
        """Take each once, at the start, as if a step had led nowhere. Raises ValueError."""
        now = np.zeros(len(self._at)), np.ones_like(self._at), self._at, self._lr
        at = self._moment(0, *now, self._problem.whole)
        for name, (instrument, _) in self._taken.items():
            self._asked(name, instrument, at)

    def after(self, number: int, step: Step, batch: Batch, lr: Scalars | None) -> dict[str, Array]:
        """What is due after that step, which is told where it is reached: by name, (cells, ...)."""
        due = {name: one for name, one in self._taken.items() if number % one.every == 0}
        after, slope = np.atleast_2d(step.parameters), np.atleast_2d(step.gradient)
        made = {}
        if due:
            rate = self._lr if lr is None else np.broadcast_to(lr, self._lr.shape)
            loss = np.atleast_1d(step.loss)
            at = self._moment(number, loss, slope, after, rate, batch)
            for name, (instrument, _) in due.items():
                began = time.perf_counter()
                made[name] = self._asked(name, instrument, at)
                self._spent[name] += (time.perf_counter() - began) / len(self._at)
        self._at, self._last = after, slope
        return made

    def _moment(
        self, number: int, loss: Array, slope: Array, after: Array, lr: Array, batch: Batch
    ) -> Moment:
        now = (loss, slope, self._last, self._at, after, lr)
        return Moment(number, *now, batch, self._problem, self._cells, self._seeds[self._cells])

    @staticmethod
    def _asked(name: str, instrument: Instrument, at: Moment) -> Array:
        """Raises ValueError, with the measure's name, for whatever it raises or gives."""
        expected = (len(at.loss), *instrument.shape)
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(instrument.of(at))
        except Exception as error:
            known = isinstance(error, ValueError)
            why = str(error) if known else f"raised {type(error).__name__}: {error}"
            raise ValueError(f"measure.{name}: {why}") from error
        if found.shape != expected or found.dtype.kind not in "fiub":
            raise ValueError(
                f"measure.{name}: expected real numbers of shape {expected}, got {found.dtype} of "
                f"shape {found.shape}"
            )
        return found.astype(np.float64)

    def cost(self) -> str:
        """What each has taken of a cell's time."""
        return ", ".join(f"{name} {seconds:.2g} s" for name, seconds in self._spent.items())

    def keep(self, cells: Index) -> None:
        """Go on with the cells at these indices alone."""
        self._at, self._lr, self._cells = self._at[cells], self._lr[cells], self._cells[cells]
        self._last = None if self._last is None else self._last[cells]

    def state(self) -> State:
        return {"at": self._at, "last": self._last, "lr": self._lr, "cells": self._cells}

    def restore(self, state: State) -> None:
        self._at, self._last = state["at"], state["last"]
        self._lr, self._cells = state["lr"], state["cells"]
