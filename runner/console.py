"""What a person sees: the notebook's lines, a progress bar on a terminal, the closing block."""

import io
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from runner import project
from runner.epoch import RIGHT, UNSEEN, UNSEEN_RIGHT, Seen
from runner.model import parameter_names
from runner.program.step import Step

WIDTH = 80
"""Columns: what every terminal and log file has."""

COLOURS = {
    "converged": "32",  # green
    "stopped_early": "32",
    "exhausted": "33",  # yellow
    "diverged": "35",  # magenta
    "interrupted": "36",  # cyan
    "not run": "36",
    "failed": "31",  # red
}
"""Of outcomes, as terminals number them; the word says it as well."""

# All controls but tab and line feed, what turns the direction of reading, and halves of characters.
_CONTROLS = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_PAINTED = re.compile(rf"(\033\[(?:{'|'.join(COLOURS.values())})m[a-z_ ]+\033\[0m)")

SHOWN = (RIGHT, UNSEEN, UNSEEN_RIGHT)
"""What an epoch's line tells beside the loss."""

BAR_DELAY = 1.5  # seconds; a shorter run shows no bar


def python() -> str:
    """How a person here starts the Python that runs this: `python` if it is on the path."""
    here = Path(sys.executable)
    found = shutil.which("python")
    if found and Path(found).parent == here.parent:
        return "python"
    return project.shown(here)


def command(typed: str) -> str:
    """How a person here starts that command of ours."""
    return f"{python()} -m runner.{typed}"


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """Say nothing, and show no bar, until the `with` ends."""
    token = _quiet.set(quiet)
    try:
        yield
    finally:
        _quiet.reset(token)


def on_terminal() -> bool:
    """Whether a person looks on while it goes on, and so may see a bar."""
    return not _quiet.get() and sys.stdout.isatty() and sys.stderr.isatty()


def say(line: str) -> None:
    """Print a line, control characters in it escaped, on whatever there is."""
    if not _quiet.get():
        _print(line, sys.stdout)


def show(drawing: str) -> None:
    """Print what has been drawn, its colours as they are; names in it have been escaped."""
    if not _quiet.get():
        _print(drawing, sys.stdout, drawn=True)


def complain(line: str) -> None:
    """Print a line on standard error, as `say` does."""
    _print(line, sys.stderr)


def _print(line: str, stream: TextIO | None, *, drawn: bool = False) -> None:
    """Carry on in silence once nobody reads (`... | head`) or the disk is full."""
    if stream is None:  # closed by whoever has started this
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if not drawn:
        parts = _PAINTED.split(line) if stream.isatty() else [line]  # every other one is painted
        line = "".join(part if at % 2 else escaped(part) for at, part in enumerate(parts))
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        silence(stream)


def escaped(text: str) -> str:
    """The text with control characters as Python writes them: a terminal obeys none of it."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def harmless(error: BaseException) -> None:
    """Escape what the exception says, for whoever shows it."""
    error.args = tuple(escaped(part) if isinstance(part, str) else part for part in error.args)


def silence(stream: TextIO) -> None:
    """Let nothing more come out of the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Lenient(io.TextIOWrapper):
    """A standard stream that takes every text, and drops what nobody reads."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            silence(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            silence(self)
            super().flush()


def prepare() -> None:
    """Make this process's standard streams lenient, for libraries as well: at a command's start."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever has started this
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif type(stream) is io.TextIOWrapper:
            stream.flush()
            setattr(
                sys,
                name,
                _Lenient(
                    open(stream.fileno(), "wb", closefd=False),  # noqa: SIM115
                    stream.encoding,
                    "backslashreplace",
                    line_buffering=stream.line_buffering,
                    write_through=stream.write_through,
                ),
            )


class Console:
    """Shows a run by itself: its lines, and on a terminal a bar below those of a longer one."""

    def __init__(self, values: Mapping[str, Any], tensors: Mapping[str, tuple[int, ...]]) -> None:
        """`values` are those of the config."""
        self._values, self._names = values, parameter_names(tensors)
        self._print_every = values["print_every"]
        self._bar: Any = None
        self._bar_due = time.monotonic() + BAR_DELAY if on_terminal() else math.inf
        self._shown = 0.0
        self._told = 0  # the last epoch

    def predicted(self, when: str, value: float) -> None:
        """Tell the prediction at the dataset's probe point."""
        self._say(prediction_line(when, self._values["dataset"]["probe"], value))

    def step(self, seen: Seen, step: Step, now: float) -> None:
        """Print the epoch's line if it is one of those that have one, and move the bar."""
        epoch = seen.epochs
        if self._print_every and epoch != self._told and (epoch - 1) % self._print_every == 0:
            self._say(epoch_line(epoch, self._names, step.parameters, seen.loss, seen.told))
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

            total = self._values["epochs"]
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


def painted(text: str, outcome: str) -> str:
    """The text in the outcome's colour, on a terminal that wants colours: see no-color.org."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or outcome not in COLOURS or not sys.stdout.isatty():
        return text
    return f"\033[{COLOURS[outcome]}m{text}\033[0m"


def closing_block(rows: Mapping[str, str]) -> str:
    """A line for each row, its name in a column of its own."""
    width = max([12, *(len(label) + 2 for label in rows)])
    return "\n".join(f"{label:<{width}}{text}" for label, text in rows.items())
