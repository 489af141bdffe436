"""The page of runs that a caller has in Python."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runner.base import project
from runner.record.journal import PUT_AWAY
from runner.record.run import RecordedRun


def write_page(
    runs: Sequence[RecordedRun], of: RecordedRun | None, path: str | Path | None
) -> Path:
    """Write the page of these runs, of a sweep or of a run; where it is.

    Unless a path is given it goes where the journal is, wherever the caller is now.
    """
    from runner.report.comparison import compare
    from runner.report.page import write

    place = None if path is None else Path(path)
    if place is None and of and of.journal:
        folder = of.journal.parents[1 + (of.journal.parent.name == PUT_AWAY)]
        place = folder / "report" / f"{of.id}.html"
    with project.here(), np.errstate(all="ignore"):
        return write(compare(runs, of if of and of.is_sweep else None), place)
