"""The command that compares runs afterwards: `python -m runner.report RUN_OR_SWEEP...`."""

import argparse
import math
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from runner.base import project
from runner.base.address import fault
from runner.base.console import complain, say
from runner.cli.entry import enter
from runner.cli.find import find
from runner.cli.text import as_csv, printed
from runner.errors import ConfigError, RunnerError
from runner.report.comparison import Comparison, compare

PAUSE = 3.0  # seconds until a page is written anew, and read again


def _loss(text: str) -> float:
    """The number that was typed. Raises ValueError for one that no loss can be below."""
    if math.isnan(value := float(text)):
        raise ValueError
    return value


def main() -> int:
    """Print a table and write the page; the exit status is 1 if a run is not found."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Compare runs: a table here, and a page with their curves.",
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="RUN_OR_SWEEP",
        help="an id or its beginning, a name, or `latest`; a sweep stands for its cells",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="every figure in full precision")
    parser.add_argument("--to", type=_loss, help="the loss to reach (each run's own tolerance)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="where the page goes")
    parser.add_argument("--film", type=Path, metavar="FILE", help="their paths, as a GIF")
    parser.add_argument("--uri", help="the MLflow store to look in, instead of the journals")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="write the page anew until a sweep that runs has ended",
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="build whatever a config from MLflow, or a copied journal, names",
    )
    typed = parser.parse_args()
    project.folder()  # before a dataset that is built changes the current one
    if typed.uri is not None and (why := fault(typed.uri)):
        complain(f"--uri: {why}")
        return 2
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of runs that have diverged
        try:
            return _report(typed)
        except OSError as error:
            place = error.filename or "the report"
            raise RunnerError(f"{place}: cannot be written: {error.strerror}") from error


def _report(typed: argparse.Namespace) -> int:
    """Do what was typed. Raises NotFound, SourceError, and OSError for files."""
    html = typed.html and project.folder() / typed.html
    if typed.film and typed.film.suffix != ".gif":
        raise ConfigError(f"--film: expected the name of a .gif, got {typed.film}")
    compared = _compared(typed)
    is_followed = typed.follow and _goes_on(compared)
    if is_followed:
        say("following   what goes on: Ctrl-C leaves it")
    if not is_followed:
        _tell(compared, typed.csv)
    from runner.report.page import write  # now that it is worth Bokeh's import

    path = write(compared, html, PAUSE if is_followed else None)
    more = ", written anew as it goes on" if is_followed else ""
    say(f"{'report':<12}{project.shown(path)}{more}")
    if typed.film:
        from runner.report import animation

        film = animation.as_gif(animation.of_runs(compared))
        (project.folder() / typed.film).write_bytes(film)
        say(f"{'film':<12}{typed.film}")
    with suppress(KeyboardInterrupt):  # the way to stop following
        while is_followed:
            time.sleep(PAUSE)
            compared = _compared(typed)
            is_followed = _goes_on(compared)
            write(compared, path, PAUSE if is_followed else None)
            if not is_followed:
                _tell(compared, typed.csv)
    return 0


def _tell(compared: Comparison, csv: Path | None) -> None:
    """The table, here and as a file."""
    say(printed(compared))
    if csv:
        file = project.folder() / csv
        file.write_text(as_csv(compared), "utf-8", "backslashreplace", newline="")
        say(f"{'csv':<12}{csv}")


def _compared(typed: argparse.Namespace) -> Comparison:
    sweep, runs = find(typed.words, typed.uri, trust=typed.trust)
    return compare(runs, sweep, typed.to)


def _goes_on(compared: Comparison) -> bool:
    """Whether the sweep, or any of the runs, has not ended."""
    runs = [compared.sweep, *(line.run for line in compared.lines)]
    return any(run is not None and run.outcome == "running" for run in runs)


if __name__ == "__main__":
    enter(main)
