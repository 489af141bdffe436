"""The publisher beside a process that calls `runner.run` and `runner.sweep` again and again.

One for all calls with the same settings: each call has a journal of its own, which is published
when it is closed, or as it grows. It ends when that process does.
"""

import atexit
import itertools
import os
from pathlib import Path
from threading import Lock

from runner.base import project
from runner.tracking import process
from runner.tracking.session import Session, Settings, new_name, told

_Key = tuple[int, Path, Settings]  # the process, for a fork has none yet, and the project folder

_lock = Lock()
_publishers: dict[_Key, "_Background"] = {}
_leaving: list[process.Publisher] = []


class _Background:
    def __init__(self, settings: Settings) -> None:
        self.name = new_name()
        self.numbers = itertools.count(1)
        self.latest: Session | None = None
        self.has_recorded = False
        orders = {**settings.orders(), "name": self.name, "runs": 1, "calls": True}
        self.publisher = process.start(orders)

    def note(self) -> None:
        """Remember whether there is anything to hear of."""
        self.has_recorded |= self.latest is not None and self.latest.has_recorded


def session(settings: Settings) -> Session:
    """The session of one call: close its journal when the call ends."""
    if not settings.uri:
        return Session(settings, new_name())
    key = os.getpid(), project.folder(), settings
    with _lock:
        _leaving[:] = [one for one in _leaving if one.poll() is None]
        found = _publishers.get(key)
        if found is not None and found.publisher.poll() is not None:  # somebody has killed it
            process.abandon(found.publisher)
            found = None
        if found is None:
            found = _publishers[key] = _Background(settings)
        found.note()
        found.latest = Session(settings, f"{found.name}-{next(found.numbers):06d}")
        return found.latest


def finish() -> list[str]:
    """Wait until all that this process has recorded is published; what a person should know.

    The publishers have ended by then.
    """
    with _lock:
        mine = [key for key in _publishers if key[0] == os.getpid()]
        ended = [_publishers.pop(key) for key in mine]
    for one in ended:
        process.close(one.publisher)
    said = []
    for one in ended:
        one.note()
        report = process.read(one.publisher)
        said += [told(report)] if one.has_recorded else []
        _leaving.append(process.abandon(one.publisher))  # it may have something left to draw
    return said


def _leave() -> None:
    """Let them finish by themselves."""
    mine = [one.publisher for key, one in _publishers.items() if key[0] == os.getpid()]
    for publisher in mine:
        process.abandon(publisher)
    for publisher in [*mine, *_leaving]:
        publisher.returncode = 0  # or Popen would complain that they still run


atexit.register(_leave)
