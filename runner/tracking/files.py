"""Writes the files of many runs in a process of its own, beside the one that writes their rows.

A short run's two files take as long as its rows, and Python has one thread at work at a time.
"""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runner.tracking.batch import Write

MANY = 100
"""For so many files at once the process is started, which takes half a second."""

File = tuple[Path, Write]
"""Where it belongs, and what writes it to a path."""

_process: subprocess.Popen[bytes] | None = None


def write(files: Sequence[File]) -> None:
    """Write them, here if they are few, each so that it is there whole or not at all.

    Raises OSError.
    """
    if len(files) < MANY or not _have_written(files):
        for file in files:
            _write(file)


def start() -> None:
    """Start the process, unless it is there."""
    global _process
    if _process is None:
        command = [sys.executable, "-m", "runner.tracking.files"]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        _process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)


def stop() -> None:
    """End the process, if there is one."""
    global _process
    if _process is not None:
        _process.communicate()
        _process = None


def _have_written(files: Sequence[File]) -> bool:
    """Whether the process has; if it is gone, it has not. Raises OSError."""
    try:
        start()
        assert _process
        assert _process.stdin
        assert _process.stdout
        pickle.dump(files, _process.stdin)
        _process.stdin.flush()
        error = pickle.load(_process.stdout)
    except (BrokenPipeError, EOFError):  # somebody has killed it
        stop()
        return False
    if error is not None:
        raise error
    return True


def _write(file: File) -> None:
    place, write_to = file
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{place.name}")
    write_to(new)
    new.replace(place)


def main() -> None:
    """Write what standard input says, until that ends, as it does if the publisher dies."""
    import runner.tracking.publication  # noqa: F401  what the files need, before they come

    out, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever a library prints
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            files, told = pickle.load(sys.stdin.buffer), None
            try:
                for file in files:
                    _write(file)
            except OSError as error:
                told = error
            pickle.dump(told, out)
            out.flush()


if __name__ == "__main__":
    main()
