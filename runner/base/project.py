"""The project folder: where the command was started, and where its `mlruns/` is.

Hydra (`hydra.job.chdir=true`) or a part of the user's may change the current folder at any time.
So it is looked up once, before either can, and whatever is kept has its place below it. What is
printed and recorded are paths relative to it: a project may be moved.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

_of_a_call: ContextVar[Path | None] = ContextVar("project folder", default=None)


def folder() -> Path:
    """The project folder, absolute: the current one when this is first asked."""
    return _of_a_call.get() or _of_this_process()


@cache
def _of_this_process() -> Path:
    return Path.cwd()


@contextmanager
def here() -> Iterator[None]:
    """Let it be the folder that is current now, for a call from Python, until the `with` ends."""
    token = _of_a_call.set(Path.cwd())
    try:
        yield
    finally:
        _of_a_call.reset(token)


def forget() -> None:
    """Let the process's project folder be asked for anew."""
    _of_this_process.cache_clear()


def shown(path: Path) -> str:
    """The path as a person sees it: relative to the project folder if it is below it."""
    return str(path.relative_to(folder()) if path.is_relative_to(folder()) else path)
