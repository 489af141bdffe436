"""Text on a terminal: what is printed, how it is escaped, coloured and kept quiet."""

import io
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TextIO

from runner.base import project
from runner.errors import escaped

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

_PAINTED = re.compile(rf"(\033\[(?:{'|'.join(COLOURS.values())})m[a-z_ ]+\033\[0m)")


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
