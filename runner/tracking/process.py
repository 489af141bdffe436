"""The publisher's process, as the invocation that starts it sees it.

It is started before anything else is imported, so that it gets ready while this process does, and
told later what to publish. This file therefore imports nothing that takes time.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from runner import project

Publisher = subprocess.Popen[str]

_ahead: list[Publisher] = []  # started, and not told yet what to do


def start_ahead(typed: Sequence[str]) -> None:
    """Start one for the command line `typed`, if that is to run something."""
    asks_only = any(word.startswith("-") and word not in ("-m", "--multirun") for word in typed)
    if not asks_only and not {"tracking=off", "sweep.dry_run=true"} & {*typed}:
        _ahead.append(_start())


def start(orders: Mapping[str, Any]) -> Publisher:
    """A process that follows the orders until its standard input ends, as it does if this dies.

    See `runner.publish.follow` for the orders and for what it answers.
    """
    publisher = _ahead.pop() if _ahead else _start()
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


def dismiss(publisher: Publisher) -> None:
    """End one that has nothing to do."""
    publisher.kill()
    publisher.communicate()


def dismiss_ahead() -> None:
    """End those that were never told what to do."""
    while _ahead:
        dismiss(_ahead.pop())


def _start() -> Publisher:
    return subprocess.Popen(
        [sys.executable, "-m", "runner.publish", "--follow"],
        cwd=project.folder(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the run, not for what carries it
    )
