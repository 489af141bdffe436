"""Where every command begins and ends: what it raises becomes one message and an exit status."""

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from runner.base.console import complain, prepare
from runner.base.failure import summary
from runner.base.signals import loaded, was_interrupted
from runner.errors import RunnerError

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Set to 1 in the environment, it has everything raised as it is."""

INTERRUPTED = 128 + signal.SIGINT


def enter(main: Callable[[], int], *, failed: int = 1, interrupted: str = "") -> NoReturn:
    """Carry out a command and exit with the status that `main` returns.

    An error is printed on standard error, and the status is `failed`. After Ctrl-C the text
    `interrupted` is, and the status is that of every command.
    """
    prepare()
    loaded()
    sys.exit(status_of(main, failed=failed, interrupted=interrupted))


def status_of(main: Callable[[], int], *, failed: int = 1, interrupted: str = "") -> int:
    """Return the exit status of a command, its errors printed as `enter` says."""
    try:
        return main()
    except KeyboardInterrupt:
        pass
    except RunnerError as error:
        complain(str(error))
        return failed
    except Exception as error:
        if not was_interrupted(error):
            if os.environ.get(FULL_ERROR) == "1":
                raise
            complain(_message(error))
            return failed
    if interrupted:
        complain(interrupted)
    return INTERRUPTED


def _message(error: Exception) -> str:
    """Return a message for an error that was not foreseen."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return f"{summary(error)}\nSet {FULL_ERROR}=1 to see where."
