"""The command that brings journals into MLflow: `python -m runner.publish [DIR] [--status]`."""

import argparse
import gc
import json
import logging
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from runner import journal, project
from runner.console import complain, escaped, prepare, say
from runner.journal import FOLDER
from runner.tracking.address import fault
from runner.tracking.session import see_it
from runner.tracking.uri import recorded, scrubbed

LOG = Path("mlruns/publish.log")

NOTHING = "published   nothing was left to publish"

WAIT_SECONDS = 60.0  # for a publisher that is still at the journals of a run that has ended

log = logging.getLogger("runner.publish")

# MLflow would try for minutes by itself. Here an error is told at once, and waited out as long as
# that pays.
BOUNDED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "PGCONNECT_TIMEOUT": "4",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves the machine unasked
}


def main() -> int:
    """Publish, or say what is not published yet; the exit status is 1 if something is left."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.publish",
        description="Bring into MLflow what a crash or an absent server has left in the journals.",
    )
    parser.add_argument("dir", nargs="?", default=".", help="the folder that holds mlruns/ (.)")
    parser.add_argument("--status", action="store_true", help="only list what is not published")
    parser.add_argument("--uri", help="the store, instead of the one that each run was meant for")
    parser.add_argument(
        "--again",
        action="store_true",
        help="also what was published before: into a store that has lost it",
    )
    parser.add_argument("--follow", action="store_true", help=argparse.SUPPRESS)
    typed = parser.parse_args()
    os.environ.update(BOUNDED)
    try:
        os.chdir(typed.dir)
    except (OSError, ValueError):
        parser.error(f"{escaped(typed.dir) or 'an empty name'} is no folder")
    project.folder()  # is that one, whatever a part of the user's does when it is drawn
    if typed.follow:
        return follow()
    if typed.uri is not None and (why := fault(typed.uri)):
        complain(f"--uri: {why}")
        return 2
    if typed.status:
        return status()
    if typed.again:
        journal.take_back()
    return publish(typed.uri)


def follow() -> int:
    """Publish what a running invocation writes, until that ends; print a report as JSON.

    The orders come in a line on standard input: the fields of `tracking.session.Settings`, and
    `name`, with which the invocation's journals begin, and how many `runs` are to come.
    """
    out = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints
    uri, publisher = "", None
    undrawn: list[str] = []
    try:
        gc.disable()  # looking for garbage takes a fifth of the imports, which make none
        from runner.tracking import files
        from runner.tracking.publisher import Publisher  # takes longer than to give the orders

        gc.freeze()  # nor will what they have made ever be garbage
        gc.enable()
        line = sys.stdin.readline()
        if not line:  # it died before it had any
            return 0
        told = json.loads(line)
        uri = told["uri"]
        if told["runs"] >= files.MANY and not uri.startswith("http"):
            files.start()  # by the time that there are any
        ended = threading.Event()
        threading.Thread(target=_wait_for_the_end, args=[ended], daemon=True).start()
        _log_to_file(uri)
        publisher = Publisher(journal.folder(), uri, keep=told["keep_journal"], ended=ended)
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
        for name in undrawn:
            _draw_one(publisher, told, name)
        if publisher is not None and not told.get("calls"):
            _draw(publisher, told)
    except Exception:
        log.exception("not all is drawn")
    os._exit(0)  # taking mlflow apart again would take a third of a second


def _draw(publisher: Any, told: dict[str, Any]) -> None:
    """Draw what the orders ask for, behind whatever else the machine has to do by now."""
    if told["pictures"] is False and not told["page"]:
        return
    if hasattr(os, "nice"):
        os.nice(10)
    publisher.draw(told["name"], pictures=told["pictures"], page=told["page"])


def _draw_one(publisher: Any, told: dict[str, Any], name: str) -> None:
    """Draw what the call has recorded whose journals begin with that name."""
    try:
        if told["pictures"] is not False or told["page"]:
            publisher.draw(name, pictures=told["pictures"], page=told["page"])
    except Exception:
        log.exception("not all of %s is drawn", name)


def _wait_for_the_end(ended: threading.Event) -> None:
    sys.stdin.read()  # ends when the invocation closes it, or dies
    ended.set()


def publish(uri: str | None) -> int:
    """Publish all journals that nobody writes, each into the store that it was meant for."""
    journal.tidy(journal.folder())
    found = map(journal.destination, journal.folder().glob("*.db"))
    meant = {store and recorded(store) for store in found}
    stores = {uri} if uri else set(filter(None, meant))
    if None in meant and not stores:
        stores = {""}  # damaged from the start: nothing for any store, but not to be left silently
    if not meant - {""} and not uri:
        say(f"kept        {FOLDER}: for no store; --uri names one" if meant else NOTHING)
        return 0
    from runner.tracking.publisher import Publisher  # now that it is worth its imports

    left = 0
    ended = threading.Event()
    ended.set()
    for store in sorted(stores):
        if store and (why := fault(store)):
            complain(f"kept        {FOLDER}: meant for {store}: {why}; --uri names another one")
            left = 1
            continue
        actual = with_credentials(store)
        _log_to_file(actual)
        publisher = Publisher(journal.folder(), actual, keep=True, ended=ended)
        report = publisher.recover(everything=uri is not None, wait=WAIT_SECONDS)
        if report.published:
            say(f"published   {report.published} run(s)\n{see_it()}")
        if report.deleted:
            say(f"deleted     {report.deleted} run(s), by somebody in MLflow: left as they are")
        for damage in report.damaged:
            complain(f"damaged     {damage}; kept in {FOLDER / journal.PUT_AWAY}")
        if report.why:
            complain(f"kept        {FOLDER}: {report.why}")
        if report.why or report.damaged:
            left = 1
    return left


def status() -> int:
    """List every run that is not in its store yet."""
    rows, damaged = [], False
    for path in sorted(journal.folder().glob("*.db")):
        written = journal.is_being_written(path)
        try:
            found = journal.summaries(path)
        except journal.JournalError as error:
            complain(str(error))
            damaged = True
            continue
        for run in found.values():
            state = run.end.outcome if run.end else "running" if written else "cut off"
            rows.append((state, str(run.epochs), run.start.name, run.start.store or "no store"))
    for row in [("outcome", "epochs", "run", "meant for"), *rows] if rows else []:
        say("{:<12}{:>10}  {:<32}  {}".format(*row))
    if not rows and not damaged:
        none = "" if journal.folder().exists() else f": there are no journals in {journal.folder()}"
        say(f"everything is published{none}")
    return 0


def with_credentials(store: str) -> str:
    """The store's URI as the environment has it, if that is the same store."""
    known = os.environ.get("MLFLOW_TRACKING_URI", "")
    return known if known and recorded(known) == store else store


def _log_to_file(uri: str) -> None:
    """Send what is logged to `mlruns/publish.log`, without the credentials of `uri`."""

    class Scrubbing(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return scrubbed(super().format(record), uri)

    class File(logging.FileHandler):
        def handleError(self, record: logging.LogRecord) -> None:
            """Say nothing, and no traceback: the disk is full, which the report tells."""

    handler = File(LOG, delay=True, encoding="utf-8")
    handler.setFormatter(Scrubbing("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Its own as well: some MLflows take the root's away where they create tables.
    log.handlers, log.propagate = [handler], False


if __name__ == "__main__":
    prepare()
    sys.exit(main())
