"""Writes the files of many runs: here, and in a process beside this one.

A short run's two files take as long as its rows, and Python has one thread at work at a time.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runner.base.files import replacing
from runner.tracking.batch import Write

MANY = 100
"""For so many files at once the process is started, which takes half a second."""

AT_ONCE = 50
"""So many files are handed to the process at a time."""

File = tuple[Path, Write]
"""Where it belongs, and what writes it to a path."""


class Files:
    """Files that are still to be written, taken by two threads: one has the process write them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: deque[Sequence[File]] = deque()
        self._are_many = False

    def start(self) -> None:
        """Start the process, unless it is there."""
        if self._process is None:
            command = [sys.executable, "-m", "runner.tracking.files"]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def write(self, files: Sequence[File]) -> None:
        """Write them, each so that it is there whole or not at all. Raises OSError."""
        self.put(files)
        self.write_beside()

    def put(self, files: Sequence[File]) -> None:
        """Files to be written by the calls of `write_beside` and `write_here` that follow."""
        self._waiting = deque(files[at : at + AT_ONCE] for at in range(0, len(files), AT_ONCE))
        self._are_many = len(files) >= MANY

    def write_beside(self) -> None:
        """Write what is left, in the process if it is worth that. Raises OSError."""
        while some := self._next():
            if not (self._are_many and self._have_written(some)):
                _write_all(some)

    def write_here(self) -> None:
        """Write what is left, in this process. Raises OSError."""
        while some := self._next():
            _write_all(some)

    def _next(self) -> Sequence[File]:
        try:
            return self._waiting.popleft()
        except IndexError:
            return []

    def _have_written(self, files: Sequence[File]) -> bool:
        """Whether the process has; if it is gone, it has not. Raises OSError."""
        try:
            self.start()
            assert self._process
            assert self._process.stdin
            assert self._process.stdout
            pickle.dump(files, self._process.stdin)
            self._process.stdin.flush()
            error = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError):  # somebody has killed it
            self.stop()
            return False
        if error is not None:
            raise error
        return True


def _write_all(files: Sequence[File]) -> None:
    for file in files:
        _write(file)


def _write(file: File) -> None:
    place, write_to = file
    if not place.parent.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
    # Two publishers, or two threads of one, may write the same file at once.
    beside = place.with_name(f".{place.name}.{os.getpid()}-{threading.get_ident()}")
    with replacing(place, beside) as new:
        write_to(new)


def main() -> None:
    """Write what standard input says, until that ends, as it does if the publisher dies."""
    import runner.tracking.publication  # noqa: F401  what the files need, before they come

    out, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever a library prints
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            files, told = pickle.load(sys.stdin.buffer), None
            try:
                _write_all(files)
            except OSError as error:
                told = error
            pickle.dump(told, out)
            out.flush()


if __name__ == "__main__":
    main()
