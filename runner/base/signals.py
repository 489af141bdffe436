"""Ctrl-C and SIGTERM: the first is asked for between two steps, the second acts at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

SAID = b"\nends after this step; once more ends it at once\n"


def end_while_loading() -> None:
    """End at once, without a traceback, at a Ctrl-C while a command's modules are imported.

    Nothing has begun by then. A process that was started to ignore Ctrl-C keeps ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)  # an import may take an exception for something else


def loaded() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def was_interrupted(error: BaseException | None) -> bool:
    """Return whether a Ctrl-C came first, amid what cleans up and raises something else."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


@contextmanager
def signals(*numbers: int) -> Iterator[list[str]]:
    """Note the first of these signals, to be looked at between two steps; let a second act."""
    received: list[str] = []
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield received
        return

    def note(number: int, frame: FrameType | None) -> None:
        # Not the former handler yet: Python drops a signal, and prints a traceback, that came
        # together with this one and by now has a handler of the system's.
        for other in numbers:
            signal.signal(other, act)
        received.append(signal.Signals(number).name)
        if (
            sys.stderr is not None and sys.stderr.isatty()
        ):  # written so that nothing can be half-way
            os.write(sys.stderr.fileno(), SAID)

    def act(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        signal.raise_signal(number)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_by(received: Sequence[str]) -> str:
    """Why a run was interrupted; a second Ctrl-C is not received, and acts at once."""
    return f"stopped by {(received or ['SIGINT'])[0]}"
