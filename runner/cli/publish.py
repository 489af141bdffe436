"""The command that brings journals into MLflow: `python -m runner.publish [DIR] [--status]`."""

import argparse
import os
import threading
from pathlib import Path

from runner.base import project
from runner.base.address import fault
from runner.base.console import complain, say
from runner.base.uri import is_of_here, recorded, with_credentials, without_credentials
from runner.cli.entry import enter
from runner.cli.follow import follow
from runner.errors import JournalError, escaped
from runner.record import journal
from runner.record.journal import FOLDER
from runner.tracking.bounded import BOUNDED
from runner.tracking.log import log_to_file
from runner.tracking.session import see_it

NOTHING = "published   nothing was left to publish"

WAIT_SECONDS = 60.0  # for a publisher that is still at the journals of a run that has ended


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
    parser.add_argument("--follow", metavar="PID", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--late", action="store_true", help=argparse.SUPPRESS)
    typed = parser.parse_args()
    os.environ.update(BOUNDED)
    try:
        os.chdir(typed.dir)
    except (OSError, ValueError):
        parser.error(f"{escaped(typed.dir) or 'an empty name'} is no folder")
    project.folder()  # is that one, whatever a part of the user's does when it is drawn
    if typed.follow is not None:
        return follow(
            typed.follow, is_late=typed.late
        )  # a process of an invocation's: see `runner.tracking.process`
    if typed.uri is not None and (why := fault(typed.uri)):
        complain(f"--uri: {why}")
        return 2
    if typed.status:
        return status()
    if typed.again:
        journal.take_back()
    return publish(typed.uri)


def publish(uri: str | None) -> int:
    """Publish all journals that nobody writes, each into the store that it was meant for."""
    journal.tidy(journal.folder())
    destinations = {path: journal.destination(path) for path in journal.folder().glob("*.db")}
    left = 0
    if not uri:  # a foreign journal may name any file, and any server
        left = _set_aside(destinations)
    meant = {store and recorded(store) for store in destinations.values()}
    stores = {uri} if uri else set(filter(None, meant))
    if None in meant and not stores:
        stores = {""}  # damaged from the start: nothing for any store, but not to be left silently
    if not meant - {""} and not uri:
        if not left:
            say(f"kept        {FOLDER}: for no store; --uri names one" if meant else NOTHING)
        return left
    from runner.tracking.files import Files
    from runner.tracking.publisher import Publisher  # now that it is worth its imports

    ended = threading.Event()
    ended.set()
    for store in sorted(stores):
        if store and (why := fault(store)):
            complain(f"kept        {FOLDER}: meant for {store}: {why}; --uri names another one")
            left = 1
            continue
        actual = with_credentials(store)
        log_to_file(actual)
        publisher = Publisher(journal.folder(), actual, Files(), keep=True, ended=ended)
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


def _set_aside(destinations: dict[Path, str | None]) -> int:
    """Remove the journals that were copied from elsewhere and name a store unknown here.

    Return the exit status, 1 if there are any; each is reported.
    """
    left = 0
    for path, store in list(destinations.items()):
        if store and not is_of_here(recorded(store)) and not journal.is_from_here(path):
            complain(
                f"kept        {project.shown(path)}: was not written here, and is meant for "
                f"{without_credentials(store)}: --uri names that store, or another one"
            )
            del destinations[path]
            left = 1
    return left


def status() -> int:
    """List every run that is not in its store yet."""
    rows, damaged = [], False
    for path in sorted(journal.folder().glob("*.db")):
        written = journal.is_being_written(path)
        try:
            found = journal.summaries(path)
        except JournalError as error:
            complain(str(error))
            damaged = True
            continue
        for run in found.values():
            state = run.end.outcome if run.end else "running" if written else "cut off"
            rows.append((state, str(run.steps), run.start.name, run.start.store or "no store"))
    for row in [("outcome", "steps", "run", "meant for"), *rows] if rows else []:
        say("{:<12}{:>10}  {:<32}  {}".format(*row))
    if not rows and not damaged:
        none = "" if journal.folder().exists() else f": there are no journals in {journal.folder()}"
        say(f"everything is published{none}")
    return 0


if __name__ == "__main__":
    enter(main)
