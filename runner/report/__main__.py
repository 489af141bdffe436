"""The command that compares runs afterwards: `python -m runner.report RUN_OR_SWEEP...`."""

import argparse
import sys
from pathlib import Path

from runner.console import say
from runner.report.comparison import Comparison, compare
from runner.report.find import NotFound, find
from runner.report.runs import SourceError, page_path
from runner.report.text import as_csv, printed


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
    parser.add_argument("--to", type=float, help="the loss to reach (each run's own tolerance)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="where the page goes")
    parser.add_argument("--uri", help="the MLflow store to look in, instead of the journals")
    parser.add_argument(
        "--trust", action="store_true", help="build whatever a config from MLflow names"
    )
    typed = parser.parse_args()
    try:
        sweep, runs = find(typed.words, typed.uri, trust=typed.trust)
    except (NotFound, SourceError) as error:
        print(error, file=sys.stderr)
        return 1
    compared = compare(runs, sweep, typed.to)
    say(printed(compared))
    if typed.csv:
        typed.csv.write_text(as_csv(compared), encoding="utf-8", newline="")
        say(f"{'csv':<12}{typed.csv}")
    say(f"{'report':<12}{write(compared, typed.html)}")
    return 0


def write(compared: Comparison, path: Path | None = None) -> Path:
    """Write the page; where it is."""
    from runner.report.page import page  # now that it is worth Bokeh's import

    lines = [line.run for line in compared.lines if line.run]
    known = compared.sweep or (lines[0] if lines else None)
    path = path or page_path(known.id if known else "nothing")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(compared), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
