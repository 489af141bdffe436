"""Opens a store for a publisher: one process of a folder at a time, and not for ever."""

import threading
from concurrent.futures import Future
from pathlib import Path

from runner.errors import GivenUp
from runner.tracking.batch import Store
from runner.tracking.create import create
from runner.tracking.files import Files
from runner.tracking.moved import mend
from runner.tracking.sql import open_engine
from runner.tracking.store import open_store
from runner.tracking.waiting import locked

OPENING_SECONDS = 50.0
"""Without an answer from a driver, which may have no limit of its own."""

CREATING_SECONDS = 600.0
"""For a database that has answered: MLflow may have its tables to create, on a busy machine."""

SERVERS = ("postgresql", "mysql", "mssql")
"""How the addresses of databases begin that are reached through a network."""

LOCK = "store.opening"


def opened(uri: str, files: Files, folder: Path) -> Store:
    """Open the store at `uri`, with its tables created where it has none.

    Raises GivenUp if a driver does not return, and whatever it raises if it does.
    """
    store: Future[Store] = Future()
    answered = threading.Event()

    def attempt() -> None:
        try:
            create(uri)
            mend(uri)
            if uri.startswith(SERVERS):
                _ask(uri)
                answered.set()
            store.set_result(open_store(uri, files))
        except BaseException as error:
            store.set_exception(error)

    with locked(folder / LOCK, "opening the store"):  # two would both create tables
        # In a daemon thread: a driver's call cannot be interrupted, only left behind.
        threading.Thread(target=attempt, daemon=True).start()
        for seconds in (OPENING_SECONDS, CREATING_SECONDS):
            try:
                return store.result(seconds)
            except TimeoutError:
                if store.done():  # the store's own
                    raise
                if not answered.is_set():
                    break
        raise GivenUp(f"the store does not open within {seconds:g} seconds")


def _ask(uri: str) -> None:
    """Connect to the database once. Raises whatever its driver raises."""
    engine = open_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()
