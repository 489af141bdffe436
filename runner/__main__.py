"""The command: `python -m runner [-m] [KEY=VALUE ...]`."""

import atexit
import gc
import os
import signal
import sys
import threading

from runner import MODULE
from runner.base import project
from runner.base.signals import loaded
from runner.sweeps import forking
from runner.tracking import process


def main() -> None:
    """Start the publisher, import the rest while it imports its own, and run."""
    if sys.stdout is None:  # closed by whoever has started this
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    project.folder()  # before anything can change the current one
    # All that the imports make stays: looking through it for garbage takes a twentieth of the time.
    gc.set_threshold(50_000)
    has_pool = bool({"-m", "--multirun"} & {*sys.argv}) and "gradient=by_hand" not in sys.argv
    ahead = process.start_ahead(sys.argv[1:], is_late=has_pool)
    if has_pool:
        forking.prepare()
    from runner.base import console
    from runner.cli import command
    from runner.tracking import session

    console.prepare()
    loaded()
    try:
        with session.invocation(ahead):
            command.main()
    finally:
        gc.freeze()  # or Python would look through all of torch for garbage before it exits


def leave() -> None:
    """End this process, which has done all it had to, without taking the interpreter apart.

    Taking torch apart would last a tenth of a second. Where somebody else waits for the end, a
    profiler or a thread, or the output cannot be written any more, Python ends the process as ever.
    """
    if MODULE != "runner" or sys.flags.inspect or threading.active_count() > 1:
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return
    os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # before a run has begun, or between two
        sys.exit(128 + signal.SIGINT)
    leave()
