"""The publisher's process: publishes what an invocation writes, and draws it in the end."""

import gc
import json
import os
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from runner.base.uri import scrubbed
from runner.record import journal
from runner.tracking.log import log, log_to_file

if TYPE_CHECKING:
    from runner.tracking.publisher import Publisher


LEADER_SECONDS = 1.0  # between two looks whether the invocation's process is there
ORDERS_SECONDS = 15.0  # for orders that a process has left behind, to be read after the imports


def follow(leader: int, *, is_late: bool) -> int:
    """Publish what a running invocation writes, until that ends; print a report as JSON.

    `leader` is the id of the invocation's process. The orders come in a line on standard input: the
    fields of `tracking.session.Settings`, and `name`, with which the invocation's journals begin,
    and how many `runs` are to come. With `is_late`, nothing is imported before they have come.
    """
    ended, has_orders = threading.Event(), threading.Event()
    threading.Thread(target=_watch, args=[leader, has_orders, ended], daemon=True).start()
    out = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints
    uri, publisher = "", None
    undrawn: list[str] = []
    try:
        line = sys.stdin.readline() if is_late else ""
        gc.disable()  # looking for garbage takes a fifth of the imports, which make none
        from runner.tracking.files import MANY, Files
        from runner.tracking.publisher import Publisher  # takes longer than to give the orders

        gc.freeze()  # nor will what they have made ever be garbage
        gc.enable()
        line = line or sys.stdin.readline()
        if not line:  # it died before it had any
            return 0
        has_orders.set()
        told = json.loads(line)
        uri = told["uri"]
        files = Files()
        if told["runs"] >= MANY and not uri.startswith("http"):
            files.start()  # by the time that there are any
        threading.Thread(target=_wait_for_the_end, args=[ended], daemon=True).start()
        log_to_file(uri)
        publisher = Publisher(journal.folder(), uri, files, keep=told["keep_journal"], ended=ended)
        if told.get("calls"):
            draw = partial(_draw_one, publisher, told)
            served = publisher.serve(told["name"], undrawn, live=told["live"], draw=draw)
            report = asdict(served)
        else:
            report = asdict(publisher.follow(told["name"], live=told["live"]))
    except Exception as error:
        log.exception("the publisher failed")
        report = {"why": scrubbed(str(error), uri)}
    with suppress(BrokenPipeError):  # nobody waits
        print(json.dumps(report), file=out, flush=True)  # which lets the command return
    try:
        if publisher is not None:
            for name in undrawn:
                _draw_one(publisher, told, name)
            if not told.get("calls"):
                _draw(publisher, told)
    except Exception:
        log.exception("not all is drawn")
    os._exit(0)  # taking mlflow apart again would take a third of a second


def _draw(publisher: "Publisher", told: dict[str, Any]) -> None:
    """Draw what the orders ask for, behind whatever else the machine has to do by now."""
    if told["pictures"] is False and not told["page"]:
        return
    if hasattr(os, "nice"):
        os.nice(10)
    _draw_all(publisher, told, told["name"])


def _draw_one(publisher: "Publisher", told: dict[str, Any], name: str) -> None:
    """Draw what the call has recorded whose journals begin with that name."""
    try:
        if told["pictures"] is not False or told["page"]:
            _draw_all(publisher, told, name)
    except Exception:
        log.exception("not all of %s is drawn", name)


def _draw_all(publisher: "Publisher", told: dict[str, Any], name: str) -> None:
    """Draw the runs that were followed, from their journals or else from the store.

    Where the store could not be reached, a sweep's page is in mlruns all the same.
    """
    from runner.record.journals import Journals
    from runner.report.drawing import draw  # what takes long, once the command has returned
    from runner.tracking.reading import MlflowRuns

    how = {"pictures": told["pictures"] if publisher.published else False, "page": told["page"]}
    journals = Journals(name)
    if own := journals.parentless():
        draw(journals, own, **how, add=publisher.add)
    elif publisher.followed:  # published, and not kept
        with closing(MlflowRuns(told["uri"], trust=False)) as runs:
            draw(runs, publisher.followed, **how, add=publisher.add)


def _wait_for_the_end(ended: threading.Event) -> None:
    sys.stdin.read()  # ends when the invocation closes it, or dies
    ended.set()


def _watch(leader: int, has_orders: threading.Event, ended: threading.Event) -> None:
    """Notice the death of the process that leads, also where another one holds its pipe open."""
    while os.name != "nt" and os.getppid() == leader:
        time.sleep(LEADER_SECONDS)
    if os.name != "nt":
        if not has_orders.wait(ORDERS_SECONDS):
            os._exit(0)
        ended.set()
