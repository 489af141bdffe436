"""How long a publisher waits for what gives no answer: a store, a lock, a folder that is gone."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from runner.base.uri import scrubbed
from runner.errors import GivenUp
from runner.tracking.errors import brief

PAUSE_SECONDS = 0.5  # before a store that gave no answer is tried again
PATIENCE_SECONDS = 4.0  # without an answer, once nothing more will come
LOCK_SECONDS = 25.0  # for another process that opens the same store
ORPHAN_SECONDS = 45.0  # without a record, from a process that outlived the one that led it

log = logging.getLogger("runner.publish")


class Waiting:
    """Decides whether a publisher keeps waiting; raises GivenUp when it should not.

    While the run lasts, a store may be away for days. Once it has ended, or its process is gone,
    the publisher ends within a minute of the last answer.
    """

    def __init__(self, folder: Path, uri: str, ended: threading.Event) -> None:
        """`folder` is a project's for journals; `ended` is set when nothing more will come."""
        self._project = folder.parents[1]
        self._uri, self._ended = uri, ended
        self._deadline: float | None = None
        self._idle_since: float | None = None
        self._complaint = ""

    def begin(self) -> float | None:
        """Return when an attempt begins, if nothing more will come; None while the run lasts."""
        return time.monotonic() if self._ended.is_set() else None

    def succeeded(self) -> None:
        """Forget the attempts that failed before."""
        self._deadline = None

    def pause(self, error: Exception, began: float | None = None) -> None:
        """Wait before the next attempt. Raises GivenUp where that does not pay any more.

        `began` is what `begin` returned before the attempt that has failed with `error`.
        """
        if str(error) != self._complaint:  # once, not at each attempt
            self._complaint = str(error)
            log.warning("%s", error, exc_info=error)
        self.check_folder()
        now = time.monotonic()
        if self._ended.is_set():
            self._deadline = self._deadline or (began or now) + PATIENCE_SECONDS
            if now + PAUSE_SECONDS > self._deadline:
                raise GivenUp(scrubbed(brief(error, self._uri), self._uri)) from error
            time.sleep(PAUSE_SECONDS)
        else:
            self._ended.wait(PAUSE_SECONDS)

    def check_folder(self) -> None:
        """Raise GivenUp if the project's folder is gone: deleted, renamed, or with its disk."""
        if not self._project.is_dir():
            raise GivenUp(f"{self._project} is gone: deleted or moved")

    def check_writers(self, moved: bool) -> None:
        """Raise GivenUp if the run's process is gone, and another one writes but records nothing.

        `moved` says whether any record has come since this was last asked.
        """
        if moved or not self._ended.is_set():
            self._idle_since = None
            return
        self._idle_since = self._idle_since or time.monotonic()
        if time.monotonic() - self._idle_since > ORPHAN_SECONDS:
            raise GivenUp("a process of the run that has lost the one that led it does not end")


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path`, under which `what` is done.

    Raises OSError where that file cannot be, and TimeoutError where another process keeps it.
    """
    path.open(
        "ab"
    ).close()  # FileLock itself retries for ever, in a folder that is gone for example
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout as error:
        why = f"another process has been {what} for {LOCK_SECONDS:g} seconds"
        raise TimeoutError(why) from error
    try:
        yield
    finally:
        lock.release()
