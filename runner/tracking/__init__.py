"""From journals into MLflow. This file is what a run sees of it; it imports no mlflow."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.journal import Journal
from runner.tracking.uri import without_credentials

FOLDER = Path("mlruns/journal")
"""Of the folder where the command was started."""


PATIENCE_SECONDS = 2.0  # before a person is told what the command waits for
PUBLISH_COMMAND = "publish it with: python -m runner.publish"
STATUS_COMMAND = "see python -m runner.publish --status"


@dataclass(frozen=True)
class Settings:
    """The tracking node of a config."""

    uri: str | None
    experiment: str
    live: bool
    wait: bool
    keep_journal: bool


class Session:
    """The journal of this process, and the publisher that carries it into the store."""

    def __init__(self, settings: Settings) -> None:
        """Start the publisher, so that it imports mlflow while this process gets ready.

        The journal comes with the first run; before that, nothing is written anywhere.
        """
        self.settings = settings
        self.store = without_credentials(settings.uri) if settings.uri else ""
        self._name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{os.urandom(2).hex()}"
        self._journal: Journal | None = None
        self._publisher = _start_publisher(settings, self._name) if settings.uri else None

    @property
    def journal(self) -> Journal:
        """The journal, created when first asked for. Raises JournalError."""
        if self._journal is None:
            self._journal = Journal(FOLDER / f"{self._name}.db")
        return self._journal

    def finish(self) -> str:
        """Close the journal and see it published; what a person should know of that."""
        if self._journal is not None:
            self._journal.close()
        if self._publisher is None:
            return f"kept        {self._journal.path}" if self._journal else ""
        if self._journal is None:  # no run has begun, so there is nothing to publish
            self._publisher.kill()
            self._publisher.communicate()
            return ""
        if not self.settings.wait:
            assert self._publisher.stdin
            with suppress(BrokenPipeError):  # it is gone; the journal is not
                self._publisher.stdin.close()
            return f"publishing  goes on by itself; {STATUS_COMMAND}"
        try:
            try:
                return _told(self._publisher.communicate(timeout=PATIENCE_SECONDS)[0])
            except subprocess.TimeoutExpired:
                print("publishing  what is left (Ctrl-C lets it go on by itself)", flush=True)
            return _told(self._publisher.communicate()[0])
        except KeyboardInterrupt:
            return f"publishing  goes on by itself; {STATUS_COMMAND}"


_sessions: dict[Settings, Session] = {}


def session(settings: Settings) -> Session:
    """The session of this process with these settings, begun when first asked for."""
    if settings not in _sessions:
        _sessions[settings] = Session(settings)
    return _sessions[settings]


def finish() -> None:
    """End every session of this process, and say what became of its runs."""
    while _sessions:
        if told := _sessions.popitem()[1].finish():
            print(told, flush=True)


def _start_publisher(settings: Settings, name: str) -> "subprocess.Popen[str]":
    """A process that publishes until its standard input ends, as it does if this process dies."""
    publisher = subprocess.Popen(
        [sys.executable, "-m", "runner.publish", "--follow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the run, not for what carries it
    )
    assert publisher.stdin
    # Not on the command line, which anybody may read: the URI may hold a password.
    with suppress(BrokenPipeError):  # it is gone already: the run goes on without it
        publisher.stdin.write(json.dumps({**asdict(settings), "name": name}) + "\n")
        publisher.stdin.flush()
    return publisher


def _told(printed: str) -> str:
    """The publisher's report in a line."""
    try:
        report = json.loads(printed.splitlines()[-1])
    except (IndexError, ValueError):
        report = {"why": "the publisher ended without a word"}
    if report["why"]:
        return f"kept        {FOLDER}: {report['why']}\n            {PUBLISH_COMMAND}"
    return f"see it      {report['where']}"
