"""Run every benchmark and print a table; ratios are medians of pairs measured in turn."""

import logging
import sys

from benchmarks import (
    batches,
    engines,
    large,
    loops,
    measures,
    publishing,
    report,
    stacks,
    startup,
    sweeps,
)

ALL = loops, batches, large, measures, publishing, report, stacks, startup, sweeps, engines
COLUMNS = "{:<34}{:<36}{:>12}{:>12}{:>9}{:>9}"


def main() -> None:
    """Print one row for each comparison as it is done."""
    wanted = sys.argv[1:]
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    print(COLUMNS.format("what", "against", "ours", "theirs", "ratio", "wanted"))
    for module in ALL:
        if not wanted or module.__name__.split(".")[1] in wanted:
            for row in module.rows():
                print(COLUMNS.format(*row), flush=True)


main()
