"""What the publisher's process draws once the command has returned: pictures, and pages."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runner.base.files import write_atomic
from runner.record.place import page_path, pages
from runner.record.run import RecordedRun, RunSource

FEW = 8
"""Of sweeps of up to so many cells each cell has pictures, unless it is said otherwise."""

Add = Callable[[str, Path], None]
"""Adds a file to a run, by the run's id in the journal."""


def draw(
    source: RunSource, runs: Sequence[str], *, pictures: bool | None, page: bool, add: Add
) -> None:
    """Draw what belongs to these runs and sweeps, and add it to them in the store."""
    found = [run for word in runs for run in source.found(word)]
    lone = [run for run in found if not run.is_sweep]
    pages().mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=pages()) as name:
        folder = Path(name)
        for run, path in _pictures(lone, pictures, folder):
            add(run, path)
        for sweep in (run for run in found if run.is_sweep):
            cells = source.cells(sweep)
            if page:
                add(_id(sweep), _page(sweep, cells, folder))
            for run, path in _pictures(cells, pictures, folder):
                add(run, path)


def _pictures(
    runs: Sequence[RecordedRun], wanted: bool | None, folder: Path
) -> Iterator[tuple[str, Path]]:
    if not (len(runs) <= FEW if wanted is None else wanted):
        return
    from runner.report import pictures  # now that it is worth matplotlib's import

    for run in runs:
        for path in pictures.draw(run, folder):
            yield _id(run), path


def _page(sweep: RecordedRun, cells: Sequence[RecordedRun], folder: Path) -> Path:
    """The page's file, of which there is another one in mlruns by then."""
    from runner.report.comparison import compare
    from runner.report.page import page

    path = folder / "report.html"
    path.write_text(page(compare(cells, sweep)), encoding="utf-8")
    write_atomic(pages() / page_path(_id(sweep)).name, path.read_bytes())
    return path


def _id(run: RecordedRun) -> str:
    """In the journal."""
    return run.tags.get("journal", run.id)
