"""What a process of a pool does: answers questions, and carries out units of work."""

import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle

from runner.base.console import prepare
from runner.base.failure import summary, whole
from runner.engine.measure import MEASURES
from runner.errors import JournalError
from runner.record.journal import Journal
from runner.sweeps.executors.work import Work, do

DONE = "done"
"""What it says after a unit."""


class Asked(NamedTuple):
    """A question to a process of the pool: the value of the function."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Answer(NamedTuple):
    """What has come of it."""

    value: Any
    raised: BaseException | None


def serve(line: Any, path: Path, environment: Mapping[str, str], measures: bytes) -> None:
    """What a process of the pool does: units, one after another, until nobody sends any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that leads
    prepare()
    os.environ.clear()
    os.environ.update(environment)
    MEASURES.update(cloudpickle.loads(measures))
    works: queue.SimpleQueue[Work | Asked | None] = queue.SimpleQueue()
    received: list[str] = []

    def listen() -> None:
        try:
            while True:
                message = line.recv()
                if isinstance(message, str):
                    received.append(message)
                else:
                    works.put(message)
        except (EOFError, OSError):
            received.append("the end of the process that led")
            works.put(None)

    threading.Thread(target=listen, daemon=True).start()
    journal = None
    try:
        while (work := works.get()) is not None:
            if isinstance(work, Asked):
                line.send(_answer(work))
                continue
            journal = journal or Journal(path)
            do(work, journal, received, line.send)
            line.send(DONE)
    except JournalError as error:
        line.send(JournalError(str(error)))
    except (BrokenPipeError, ConnectionResetError):  # nobody listens
        pass
    finally:
        if journal is not None:
            journal.close()


def _answer(asked: Asked) -> Answer:
    """What comes of it, as it can be sent."""
    try:
        answer = Answer(asked.function(*asked.arguments), None)
    except BaseException as error:  # whatever a part of somebody's raises
        error.add_note(whole(error))  # where it was, which is not sent with it
        answer = Answer(None, error)
    with suppress(OSError):
        sys.stdout.flush()  # what parts have printed comes before what is said of them
    try:
        pickle.dumps(answer)
    except Exception:  # of a class that nobody else has
        why = summary(answer.raised) if answer.raised else "a part cannot be sent"
        return Answer(None, RuntimeError(why))
    return answer
