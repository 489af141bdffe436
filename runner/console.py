"""What a person sees: the notebook's lines, a progress bar on a terminal, the closing block."""

import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH = 80
"""Columns: what every terminal and log file has."""

COLOURS = {
    "converged": "32",  # green
    "exhausted": "33",  # yellow
    "diverged": "35",  # magenta
    "interrupted": "36",  # cyan
    "not run": "36",
    "failed": "31",  # red
}
"""Of outcomes, as terminals number them; the word says it as well."""

BAR_DELAY = 1.5  # seconds; a shorter run shows no bar


class Console:
    """Writes lines to standard output; on a terminal, keeps a bar below those of a longer run.

    A quiet one does neither.
    """

    def __init__(self, epochs: int, *, quiet: bool = False) -> None:
        self._epochs = epochs
        self._quiet = quiet
        self._bar: Any = None
        on_terminal = not quiet and sys.stdout.isatty() and sys.stderr.isatty()
        self._bar_due = time.monotonic() + BAR_DELAY if on_terminal else math.inf

    def say(self, line: str) -> None:
        """Print a line; carry on in silence once nobody reads (`... | head`)."""
        if self._quiet:
            return
        try:
            if self._bar is None:
                print(line, flush=True)
            else:
                self._bar.write(line)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def progress(self, epoch: int) -> None:
        """Move the bar to this epoch, once it is due."""
        if self._bar is not None:
            self._bar.update(epoch - self._bar.n)
        elif time.monotonic() > self._bar_due:
            from tqdm import tqdm

            self._bar = tqdm(total=self._epochs, initial=epoch, unit=" epochs", leave=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def epoch_line(
    epoch: int, names: Sequence[str], parameters: NDArray[np.floating[Any]], loss: float
) -> str:
    """`epoch 11: w = 1.665314, loss = 1.16278565`, as the notebook prints it.

    The notebook gives a lone w six digits, and three where there is a b too, which it leaves out.
    Several weights take too much room: then the line holds the loss alone.
    """
    shown = f"w = {parameters[0]:.{6 if len(names) == 1 else 3}f}, " if names[0] == "w" else ""
    return f"epoch {epoch}: {shown}loss = {loss:.8f}"


def prediction_line(when: str, point: Any, value: float) -> str:
    """`Prediction before training: f(5) = 0.000`."""
    values = point if isinstance(point, Sequence) else [point]
    return f"Prediction {when} training: f({', '.join(f'{x:g}' for x in values)}) = {value:.3f}"


def painted(text: str, outcome: str) -> str:
    """The text in the outcome's colour, on a terminal that wants colours: see no-color.org."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or outcome not in COLOURS or not sys.stdout.isatty():
        return text
    return f"\033[{COLOURS[outcome]}m{text}\033[0m"


def closing_block(rows: Mapping[str, str]) -> str:
    """A line for each row, its name in a column of its own."""
    return "\n".join(f"{label:<12}{text}" for label, text in rows.items())
