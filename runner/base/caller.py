"""Who asks for a run: a command line, or a call from Python."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from runner.base.overrides import without_tracking

_call: ContextVar[str] = ContextVar("call", default="")
_typed: ContextVar[Sequence[str] | None] = ContextVar("typed", default=None)


@contextmanager
def call(text: str) -> Iterator[None]:
    """Be asked by this call, as a person may read it, until the `with` ends."""
    token = _call.set(text)
    try:
        yield
    finally:
        _call.reset(token)


@contextmanager
def rewritten(words: Sequence[str]) -> Iterator[None]:
    """Have Hydra read these words as the command line, until the `with` ends."""
    typed = sys.argv
    token = _typed.set(typed[1:])
    sys.argv = [typed[0], *words]
    try:
        yield
    finally:
        sys.argv = typed
        _typed.reset(token)


def source() -> str:
    """What MLflow's UI shows as a run's source."""
    return "runner, from Python" if _call.get() else "python -m runner"


def asked() -> str:
    """The call or the command as it was typed, less what is said of tracking."""
    if call := _call.get():
        return call
    words = sys.argv[1:] if _typed.get() is None else _typed.get() or []
    return shlex.join(["python", "-m", "runner", *without_tracking(words)])
