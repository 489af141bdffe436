"""Writes the files of many runs in a process of its own, beside the one that writes their rows.

A short run's two files take as long as its rows, and Python has one thread at work at a time.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

MANY = 100
"""For so many files at once the process is started, which takes half a second."""

File = tuple[Path, Callable[[Path], None]]
"""Where it belongs, and what writes it to a path."""


def write(file: File) -> None:
    """Write it, so that it is there whole or not at all."""
    place, write_to = file
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{place.name}")
    write_to(new)
    new.replace(place)


class Writer:
    """Writes files here as long as they are few, in a process once they are many."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, files: Sequence[File]) -> None:
        """Write them all. Raises OSError."""
        if len(files) < MANY or not self._have_written(files):
            for file in files:
                write(file)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _have_written(self, files: Sequence[File]) -> bool:
        """Whether the process has; if it is gone, it has not. Raises OSError."""
        try:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            assert self._process.stdin
            assert self._process.stdout
            pickle.dump(files, self._process.stdin)
            self._process.stdin.flush()
            error = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError):  # somebody has killed it
            self.close()
            return False
        if error is not None:
            raise error
        return True


def main() -> None:
    """Write what standard input says, until that ends, as it does if the publisher dies."""
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            files, told = pickle.load(sys.stdin.buffer), None
            try:
                for file in files:
                    write(file)
            except OSError as error:
                told = error
            pickle.dump(told, sys.stdout.buffer)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
