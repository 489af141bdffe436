"""A run as a person watches it: the notebook's lines, and a progress bar on a terminal."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.console import on_terminal, say
from runner.config.spec import Spec
from runner.engine.epoch import RIGHT, UNSEEN, UNSEEN_RIGHT, Seen
from runner.engine.program.step import Step
from runner.errors import escaped
from runner.model import parameter_names

SHOWN = (RIGHT, UNSEEN, UNSEEN_RIGHT)
"""What an epoch's line tells beside the loss."""

BAR_DELAY = 1.5  # seconds; a shorter run shows no bar


class Console:
    """Shows a run by itself: its lines, and on a terminal a bar below those of a longer one."""

    def __init__(self, spec: Spec, tensors: Mapping[str, tuple[int, ...]]) -> None:
        self._spec, self._names = spec, parameter_names(tensors)
        self._print_every = spec.print_every
        self._bar: Any = None
        self._bar_due = time.monotonic() + BAR_DELAY if on_terminal() else math.inf
        self._shown = 0.0
        self._told = 0  # the last epoch

    def predicted(self, when: str, value: float) -> None:
        """Tell the prediction at the dataset's probe point."""
        self._say(prediction_line(when, self._spec.part("dataset")["probe"], value))

    def step(self, seen: Seen, step: Step, now: float) -> None:
        """Print the epoch's line if it is one of those that have one, and move the bar."""
        epoch = seen.epochs
        if self._print_every and epoch != self._told and (epoch - 1) % self._print_every == 0:
            self._say(epoch_line(epoch, self._names, step.parameters, float(seen.loss), seen.told))
        self._told = epoch
        if now - self._shown > 0.1:
            self._progress(epoch)
            self._shown = now

    def _say(self, line: str) -> None:
        if self._bar is None:
            say(line)
        else:
            self._bar.write(escaped(line))

    def _progress(self, epoch: int) -> None:
        """Move the bar to this epoch, once it is due."""
        if self._bar is not None:
            self._bar.update(epoch - self._bar.n)
        elif time.monotonic() > self._bar_due:
            from tqdm import tqdm

            total = self._spec.epochs
            self._bar = tqdm(total=total, initial=epoch, unit=" epochs", leave=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


PLANE = ["w.0", "w.1"]


def epoch_line(
    epoch: int,
    names: Sequence[str],
    parameters: NDArray[np.floating[Any]],
    loss: float,
    told: Mapping[str, Any],
) -> str:
    """`epoch 11: w = 1.665314, loss = 1.16278565`, as the notebook prints it.

    The notebook gives a lone w six digits, and three where there is a b too, which it leaves out.
    Two weights alone are a point; more take too much room, then the line holds the loss alone.
    """
    shown = f"w = {parameters[0]:.{6 if len(names) == 1 else 3}f}, " if names[0] == "w" else ""
    if names == PLANE:
        shown = f"w = ({parameters[0]:.4g}, {parameters[1]:.4g}), "
    more = "".join(f", {key} = {float(told[key]):.4g}" for key in SHOWN if key in told)
    return f"epoch {epoch}: {shown}loss = {loss:.8f}{more}"


def prediction_line(when: str, point: Any, value: float) -> str:
    """`Prediction before training: f(5) = 0.000`."""
    values = point if isinstance(point, Sequence) else [point]
    return f"Prediction {when} training: f({', '.join(f'{x:g}' for x in values)}) = {value:.3f}"
