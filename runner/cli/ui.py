"""The command that opens MLflow's UI where a run or a sweep is: `python -m runner.ui [RUN]`."""

import argparse
import os
import sys
import webbrowser

from runner.base import project
from runner.base.address import fault
from runner.base.console import complain, say
from runner.base.uri import LOCAL, is_of_here, with_credentials, without_credentials
from runner.cli.entry import enter
from runner.cli.find import find_one, take_word
from runner.record import journal
from runner.record.run import RecordedRun
from runner.tracking.bounded import BOUNDED

PORT = 5000


def main() -> int:
    """Open the page; the exit status is 1 if there is none, 2 for what cannot have been meant."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.ui",
        description="Open MLflow's UI: a sweep's cells over one another, or a run's own page.",
        epilog="It stays until Ctrl-C if it had to start MLflow's server.",
    )
    take_word(parser)
    parser.add_argument("--no-browser", action="store_true", help="print the address, and no more")
    parser.add_argument("--host", default="127.0.0.1", help="where the server listens (127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, help=f"or the next free one ({PORT})")
    parser.add_argument("--uri", help="the MLflow store, instead of the one that the run is for")
    typed = parser.parse_args()
    if not 1 <= typed.port <= 65535:
        complain(f"--port: expected a number from 1 to 65535, got {typed.port}")
        return 2
    if typed.uri is not None and (why := fault(typed.uri)):
        complain(f"--uri: {why}")
        return 2
    project.folder()
    os.environ.update(BOUNDED)
    return _open(typed)


def _open(typed: argparse.Namespace) -> int:
    """Do what was typed. Raises NotFound and SourceError."""
    from runner.tracking import pages  # and mlflow, which takes seconds to import
    from runner.tracking.server import serving, started

    run = find_one(typed.word, typed.uri, trust=False)
    uri = typed.uri or _store(run)
    if uri.startswith("http"):
        return _show(pages.of(uri, run), run, typed)
    found = serving(typed.host, typed.port, run)
    if found:
        say(f"{'server':<12}{found} serves this store already")
        return _show(pages.of(found, run), run, typed)
    with started(uri, typed.host, typed.port) as server:
        if server.port != typed.port:
            say(f"{'port':<12}{typed.port} is something else's: {server.port} instead")
        if status := _show(pages.of(server.address, run), run, typed):
            return status
        say(f"{'server':<12}of {without_credentials(uri)}, until Ctrl-C")
        return server.wait()


def _store(run: RecordedRun) -> str:
    """Return the run's store, as its journal has it; else the one that it was found in.

    That is the environment's, or this folder's.
    """
    store = journal.destination(run.journal) if run.journal else None
    if store and run.journal and (is_of_here(store) or journal.is_from_here(run.journal)):
        return with_credentials(store)
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{LOCAL}"


def _show(address: str | None, run: RecordedRun, typed: argparse.Namespace) -> int:
    """Print the address and open it."""
    if address is None:
        complain(f"{run.name}: is not in MLflow yet: python -m runner.publish --status says why")
        return 1
    say(f"{'sweep' if run.is_sweep else 'run':<12}{run.name}\n{'address':<12}{address}")
    if not typed.no_browser and _has_a_screen():
        webbrowser.open(address)
    return 0


def _has_a_screen() -> bool:
    """Whether a browser would open a window, and not take over this terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


if __name__ == "__main__":
    enter(main)
