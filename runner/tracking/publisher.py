"""Carries journals into MLflow: those of a running invocation as they grow, others from before.

This runs in a process of its own, the only one that writes into the store. So a run waits for
nobody, and parallel runs cannot lock each other out.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from runner.base import project
from runner.base.uri import recorded, scrubbed
from runner.errors import GivenUp, JournalGone, JournalUnavailable, RunsRefused
from runner.record import journal
from runner.tracking.batch import Batch, Store
from runner.tracking.errors import PublishingReport, brief, is_for_good
from runner.tracking.files import Files
from runner.tracking.opening import opened
from runner.tracking.publication import Publication
from runner.tracking.waiting import Waiting

SOON_SECONDS = 0.02  # before the next look for more, where the last has found some
POLL_SECONDS = 0.2  # where many in a row have found none

log = logging.getLogger("runner.publish")


class Publisher:
    """Publishes the journals of a folder into one store."""

    def __init__(
        self, folder: Path, uri: str, files: Files, *, keep: bool, ended: threading.Event
    ) -> None:
        """`keep` journals once published; `ended` is set when nothing more will come."""
        self._folder, self._files = folder, files
        self._uri = uri
        self._keep = keep
        self._ended = ended
        self._waiting = Waiting(folder, uri, ended)
        self._store: Store | None = None
        self._published: list[str] = []
        self._refused: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._damaged: list[str] = []
        self._unreadable: list[str] = []
        self._first: list[str] = []
        self.followed: list[str] = []  # the runs that are no cells of a sweep

    def follow(self, name: str, *, live: bool) -> PublishingReport:
        """Publish the journals of that name as they grow, then those that others left behind.

        Without `live`, nothing is written before `ended`.
        """
        try:
            with ExitStack() as stack:
                growing: dict[Path, Publication | None] = {}
                wait = SOON_SECONDS
                while True:
                    # Asked first: what came before is read below. A process of a pool may live a
                    # little longer than the one that leads it.
                    over = self._ended.is_set() and not any(map(journal.is_being_written, growing))
                    moved = False
                    if live or self._ended.is_set():
                        for path in sorted(self._folder.glob(f"{name}*.db"), key=_in_order):
                            if path not in growing:
                                growing[path] = self._publication(path, stack)
                                over = False  # until it has been asked whether that is written
                        for publication in filter(None, growing.values()):
                            moved |= self._advance(publication)
                    if over and not moved:
                        break
                    self._waiting.check_folder()
                    self._waiting.check_writers(moved)
                    if moved:
                        wait = SOON_SECONDS
                    elif self._ended.is_set():
                        time.sleep(SOON_SECONDS)  # somebody waits
                    else:
                        self._ended.wait(wait)
                        wait = min(2 * wait, POLL_SECONDS)
                for publication in filter(None, growing.values()):
                    self._finish(publication)
            mine, self.followed = list(self._published), list(self._first)
            before = self._report(mine)
            journal.tidy(self._folder)
            self.recover()
            left = len(self._refused.keys() - self._deleted) if not before.why else 0
            return replace(self._report(mine), why=before.why, left=left)
        except (GivenUp, OSError) as error:  # OSError: no room for what is built
            return self._report(self._published, str(error))

    def serve(
        self, name: str, undrawn: list[str], *, live: bool, draw: Callable[[str], None]
    ) -> PublishingReport:
        """Publish the journals of that name until `ended`, each as it grows and to its end.

        Each belongs to a call by itself, but for those of a pool's processes. When there is nothing
        else to do, what somebody else has left behind is published, and `draw` called for what is;
        what is not drawn when it ends is left in `undrawn`.
        """
        growing: dict[Path, tuple[ExitStack, Publication]] = {}
        finished: set[Path] = set()  # of which some stay: what the store refuses, say
        has_recovered = False
        try:
            journal.tidy(self._folder)
            while True:
                over = self._ended.is_set()  # asked first: what came before is read below
                moved = False
                found = {*self._folder.glob(f"{name}*.db")} - finished - growing.keys()
                for path in sorted(found, key=_in_order):
                    if live or not journal.is_being_written(path):
                        stack = ExitStack()
                        if publication := self._publication(path, stack):
                            growing[path] = stack, publication
                        else:
                            stack.close()
                for path, (stack, publication) in list(growing.items()):
                    try:
                        written = journal.is_being_written(path)
                        advanced = self._advance(publication)
                        moved |= advanced
                        if written or advanced:
                            continue
                        self._finish(publication)
                        finished.add(path)
                        undrawn.append(path.stem)
                    except JournalGone as error:  # a person has removed it; more may come
                        self._unreadable.append(str(error))
                    stack.close()
                    del growing[path]
                self._waiting.check_folder()
                self._waiting.check_writers(moved or not growing)
                if moved:
                    continue
                if not growing and not has_recovered:
                    self.recover()
                    has_recovered = True
                    continue
                if over and not growing:
                    break
                if undrawn and not growing:
                    draw(undrawn.pop(0))
                else:
                    self._ended.wait(SOON_SECONDS if growing else POLL_SECONDS)
            return self._report(self._published)
        except (GivenUp, OSError) as error:
            return self._report(self._published, str(error))
        finally:
            for stack, _ in growing.values():
                stack.close()

    def recover(self, *, everything: bool = False, wait: float = 0) -> PublishingReport:
        """Publish what nobody writes or publishes any more, if it is meant for this store.

        With `everything`, whichever store it is meant for. What another process is publishing is
        waited for, so many seconds.
        """
        try:
            for path in sorted(self._folder.glob("*.db"), key=_in_order):
                if journal.is_being_written(path):
                    continue
                if everything or self._is_for_me(path):
                    with ExitStack() as stack:
                        publication = self._publication(path, stack, wait)
                        if publication is None:
                            continue
                        try:
                            while self._advance(publication):
                                pass
                            self._finish(publication)
                        except GivenUp as error:
                            if not isinstance(error.__cause__, JournalUnavailable):
                                raise
                            self._unreadable.append(str(error))  # those behind it are not
                            self._waiting.succeeded()
            return self._report(self._published)
        except (GivenUp, OSError) as error:
            return self._report(self._published, str(error))

    @property
    def published(self) -> frozenset[str]:
        """The runs whose ends are in the store, by their ids in the journal."""
        return frozenset(self._published)

    def add(self, run: str, path: Path) -> None:
        """Add an artifact to a run, if that is published."""
        if self._store is not None and run in self.published:
            self._store.add(run, path)

    def _is_for_me(self, path: Path) -> bool:
        meant = journal.destination(path)
        return meant is None or (bool(self._uri) and recorded(meant) == recorded(self._uri))

    def _publication(self, path: Path, stack: ExitStack, wait: float = 0) -> Publication | None:
        """The journal, for this process alone; None if another one is at it or was."""
        lock = FileLock(path.with_suffix(".publishing"))
        try:
            stack.enter_context(lock.acquire(timeout=wait))
        except Timeout:
            return None
        stack.callback(Path(lock.lock_file).unlink, missing_ok=True)
        if not path.exists():
            return None
        publication = Publication(path, self._folder)
        stack.callback(publication.close)
        return publication

    def _advance(self, publication: Publication) -> bool:
        """Write what has come; whether anything had."""
        try:
            batch = publication.next_batch()
        except JournalUnavailable as error:
            self._await(publication, error)
            return True
        self._write(batch)
        return bool(batch.runs())

    def _finish(self, publication: Publication) -> None:
        """Write the ends that a dead process owes, and put the journal away."""
        while publication.has_open:
            try:
                self._write(publication.cut_off())
            except JournalUnavailable as error:
                self._await(publication, error)
        if publication.damage:
            log.error("%s", publication.damage)
            self._damaged.append(publication.damage)
        if not publication.runs.isdisjoint(self._refused.keys() - self._deleted):
            return
        publication.close()  # first, so that a kill leaves nothing that nobody comes back to
        keep = self._keep or bool(publication.damage)
        journal.put_away(publication.path, keep=keep)

    def _write(self, batch: Batch) -> None:
        """Write the batch, however often that takes; GivenUp when it takes too long."""
        batch = batch.without(self._refused)
        while batch.runs():
            began = self._waiting.begin()
            try:
                if self._store is None:
                    self._store = opened(self._uri, self._files, self._folder)
                self._store.write(batch)
            except GivenUp:
                raise
            except RunsRefused as refused:
                log.error("%s", refused)
                self._refused |= refused.reasons
                self._deleted |= refused.deleted
                batch = batch.without(self._refused)
            except Exception as error:  # whatever a driver raises when nobody answers
                if is_for_good(error):
                    self._write_halves(batch, error)
                    return
                self._waiting.pause(error, began)
                continue
            self._published += batch.ends
            self._first += [run for run, start in batch.starts.items() if not start.parent]
            self._waiting.succeeded()
            return

    def _write_halves(self, batch: Batch, error: Exception) -> None:
        """Write the batch but for the run, or runs, that the store cannot take."""
        runs = batch.runs()
        if len(runs) == 1:
            log.error("%s", error, exc_info=error)
            self._refused[runs[0]] = f"run {runs[0]} cannot be published: {brief(error, self._uri)}"
            return
        middle = len(runs) // 2
        for others in (runs[middle:], runs[:middle]):
            self._write(batch.without(dict.fromkeys(others)))

    def _await(self, publication: Publication, error: JournalUnavailable) -> None:
        """Wait for a journal that cannot be read now. Raises GivenUp if it will never be."""
        if publication.is_gone():
            why = f"{project.shown(publication.path)} is gone: deleted or moved"
            raise JournalGone(why) from error
        self._waiting.pause(error)

    def _report(self, runs: list[str], why: str = "") -> PublishingReport:
        kept = {run: why for run, why in self._refused.items() if run not in self._deleted}
        reasons = dict.fromkeys([*kept.values(), *self._unreadable])
        why = scrubbed(why or "; ".join(reasons), self._uri)
        return PublishingReport(len(runs), why, self._damaged, len(self._deleted))


def _in_order(path: Path) -> str:
    """A sweep's own journal before those of the processes that it has started."""
    return path.stem
