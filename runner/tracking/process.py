"""The publisher's process, as the invocation that starts it sees it.

It is started before anything else is imported, so that it gets ready while this process does, and
told later what to publish. This file therefore imports nothing that takes time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from runner.base import project

Publisher = subprocess.Popen[str]


def start_ahead(typed: Sequence[str], *, is_late: bool = False) -> Publisher | None:
    """Start one that waits for its orders, if the command line `typed` is to run something.

    With `is_late`, it imports what it needs only then: where two other processes import until then,
    and the machine has two cores, it would hold them up.
    """
    asks_only = any(word.startswith("-") and word not in ("-m", "--multirun") for word in typed)
    if asks_only or {"tracking=off", "sweep.dry_run=true"} & {*typed}:
        return None
    return _start(is_late)


def start(orders: Mapping[str, Any], ahead: Publisher | None = None) -> Publisher:
    """A process that follows the orders until its standard input ends, as it does if this dies.

    `ahead` is one that waits for them, if there is one. See `cli.follow` for the orders and for
    what it answers.
    """
    publisher = ahead or _start()
    assert publisher.stdin
    # Not on the command line, which anybody may read: the URI may hold a password.
    with suppress(BrokenPipeError):  # it is gone already: the run goes on without it
        publisher.stdin.write(json.dumps(orders) + "\n")
        publisher.stdin.flush()
    return publisher


def close(publisher: Publisher) -> None:
    """Let it know that nothing more will come."""
    assert publisher.stdin
    with suppress(BrokenPipeError):  # it is gone; the journals are not
        publisher.stdin.close()


def read(publisher: Publisher) -> str:
    """Its report, once it has one; empty if it died before."""
    assert publisher.stdout
    return publisher.stdout.readline()


def abandon(publisher: Publisher) -> Publisher:
    """Let it finish by itself, with nobody to hear of it."""
    close(publisher)
    assert publisher.stdout
    publisher.stdout.close()
    return publisher


def leave(publisher: Publisher) -> None:
    """Let it finish by itself, and this process end before it does."""
    abandon(publisher).returncode = 0  # or Popen would complain that it still runs


def dismiss(publisher: Publisher) -> None:
    """End one that has nothing to do."""
    publisher.kill()
    publisher.communicate()


def _start(is_late: bool = False) -> Publisher:
    late = ["--late"] if is_late else []
    return subprocess.Popen(
        [sys.executable, "-m", "runner.cli.publish", "--follow", str(os.getpid()), *late],
        cwd=project.folder(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the run, not for what carries it
    )
