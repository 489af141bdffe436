"""What a run sees of tracking: its journal, and at the end where its publisher has brought it."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.base import project
from runner.base.console import command, say
from runner.base.uri import recorded
from runner.config.spec import ReportSpec, Spec, TrackingSpec
from runner.record import journal
from runner.record.journal import FOLDER, Journal
from runner.tracking import process

PATIENCE_SECONDS = 2.0  # before a person is told what the command waits for


@dataclass(frozen=True)
class Settings(ReportSpec, TrackingSpec):
    """What a config says of tracking and of reports."""

    @classmethod
    def of(cls, spec: Spec) -> "Settings":
        """Return the settings of a run."""
        return cls(**vars(spec.tracking), **vars(spec.report))

    @property
    def store(self) -> str:
        """Where the runs go, as a journal may say it; empty for none."""
        return recorded(self.uri) if self.uri else ""

    def orders(self) -> dict[str, Any]:
        """As a publisher takes them."""
        return asdict(self)


def new_name() -> str:
    """With which the journals of an invocation begin, in the order of time."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{os.urandom(2).hex()}"


class Session:
    """The journal of this process, and the publisher that carries it into the store."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        publisher: process.Publisher | None = None,
        *,
        goes_on: bool = False,
    ) -> None:
        """The journal comes with the first run, not before; its name begins with `name`.

        `goes_on`: it is there, and is gone on with.
        """
        self._goes_on = goes_on
        self.settings = settings
        self.store = settings.store
        self.name = name
        self._journal: Journal | None = None
        self._publisher = publisher

    @property
    def journal(self) -> Journal:
        """The journal, created when first asked for. Raises JournalError."""
        if self._journal is None:
            path = journal.folder() / f"{self.name}.db"
            self._journal = Journal(path, goes_on=self._goes_on)
        return self._journal

    @property
    def has_recorded(self) -> bool:
        """Whether a run has begun."""
        return self._journal is not None

    def path(self, suffix: str) -> Path:
        """Where a further journal of this invocation belongs: another process's."""
        return journal.folder() / f"{self.name}-{suffix}.db"

    def paths(self) -> list[Path]:
        """Every journal of this invocation so far."""
        return journal.paths(self.name)

    def close(self) -> None:
        """Give the journal over to whoever publishes it."""
        if self._journal is not None:
            self._journal.close()

    def finish(self) -> str:
        """Close the journal and see it published; what a person should know of that."""
        self.close()
        if self._publisher is None:
            return f"kept        {project.shown(self._journal.path)}" if self._journal else ""
        if self._journal is None:  # no run has begun, so there is nothing to publish
            process.dismiss(self._publisher)
            return ""
        process.close(self._publisher)
        goes_on = f"publishing  goes on by itself; see {_status()}"
        if not self.settings.wait:
            process.leave(self._publisher)
            return goes_on
        try:
            answer = _answer(self._publisher)
        except KeyboardInterrupt:  # a thread reads what it says, and ends with this process
            return goes_on
        process.leave(self._publisher)  # it may have something left to draw
        return told(answer)


def _answer(publisher: process.Publisher) -> str:
    """The line that the publisher reports; it may go on drawing when all is published."""
    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.append(process.read(publisher)), daemon=True)
    listener.start()
    listener.join(PATIENCE_SECONDS)
    if listener.is_alive():
        say("publishing  what is left (Ctrl-C lets it go on by itself)")
        listener.join()
    return heard[0]


class Invocation:
    """What a command has begun: a session for all of its runs, as a rule."""

    def __init__(self, ahead: process.Publisher | None = None) -> None:
        """`ahead` is a publisher that waits for its orders."""
        self._ahead = ahead
        self._sessions: dict[Settings, Session] = {}

    def session(self, settings: Settings, runs: int, journal: str | None = None) -> Session:
        """The session with these settings, begun when first asked for."""
        if settings not in self._sessions:
            name = journal or new_name()
            orders = {**settings.orders(), "name": name, "runs": runs}
            publisher = None
            if settings.uri:
                publisher, self._ahead = process.start(orders, self._ahead), None
            goes_on = journal is not None
            self._sessions[settings] = Session(settings, name, publisher, goes_on=goes_on)
        return self._sessions[settings]

    def finish(self) -> None:
        """End every session, and say what became of its runs."""
        if self._ahead is not None:
            process.dismiss(self._ahead)
        while self._sessions:
            if said := self._sessions.popitem()[1].finish():
                say(said)


_current: ContextVar[Invocation] = ContextVar("invocation")


@contextmanager
def invocation(ahead: process.Publisher | None = None) -> Iterator[None]:
    """Let the runs in the `with` be one command's; at its end, all of them are published."""
    token = _current.set(own := Invocation(ahead))
    try:
        yield
    finally:
        own.finish()
        _current.reset(token)


def session(settings: Settings, runs: int = 1, journal: str | None = None) -> Session:
    """The session of this command with these settings; `runs` are expected, and more may come.

    `journal` is the name of one that is there, and is gone on with.

    A process of another launcher of Hydra's, which begins no command, has one for all its jobs.
    """
    if (own := _current.get(None)) is None:
        _current.set(own := Invocation())
    return own.session(settings, runs, journal)


def see_it() -> str:
    """The line that says how a person gets to see what is recorded."""
    return f"{'see it':<12}{command('ui')}"


def _status() -> str:
    return command("publish --status")


def told(printed: str) -> str:
    """The publisher's report in a line."""
    try:
        report = json.loads(printed)
    except ValueError:
        report = {"why": "the publisher died before it could report"}
    if not any(map(report.get, ("why", "published", "deleted"))):  # somebody has moved it, say
        report["why"] = "the publisher found no journal"
    if report["why"]:
        how = f"publish it with: {command('publish')}"
        return f"kept        {FOLDER}: {report['why']}\n            {how}"
    lines = [see_it()]
    if report.get("deleted"):
        lines.insert(
            0, f"deleted     {report['deleted']} run(s), by somebody in MLflow: left as they are"
        )
    if report.get("left"):
        lines.append(f"kept        {report['left']} earlier run(s); see {_status()}")
    return "\n".join(lines)
