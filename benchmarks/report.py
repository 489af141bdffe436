"""What pictures cost a run, which is nothing, and what the page of a large sweep costs."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.startup import RUN, environment, seconds

REPEATS = 7
PAUSE = 6.0  # seconds, in which a publisher has drawn: the next command is not to share with it
CELLS = 1000
MARKED = 2000
POINTING = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const took = [];
  for (const row of [...document.querySelectorAll("#cells tbody tr")].slice(0, 51)) {
    await frame();
    await frame();
    const from = performance.now();
    row.dispatchEvent(new MouseEvent("mouseenter"));
    await frame();
    await frame();
    took.push(performance.now() - from);
  }
  return took.sort((a, b) => a - b)[25];
}"""
SWEEP = [*RUN[:3], "-m", "gradient=by_hand", "optimizer=sgd,adam", "tracking=off"]
VALUES = f"lr=range(0.0005,{0.0005 * (CELLS / 2 + 0.5):.5f},0.0005)"


def rows() -> Iterator[tuple[str, ...]]:
    """A run with pictures against one without; seconds and size of a report of 1,000 cells."""
    with tempfile.TemporaryDirectory() as folder:
        seconds(RUN, folder)  # creates the store, once
        pairs = [(drawn(folder), seconds(RUN, folder)) for _ in range(REPEATS)]
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    yield (
        "one run with pictures, to its end",
        "without",
        f"{ours:.2f} s",
        f"{theirs:.2f} s",
        f"{median(a / b for a, b in pairs):.2f}",
        "<= 1.05",
    )
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*SWEEP, VALUES], cwd=folder, env=environment(), check=True, stdout=-3)
        command = [sys.executable, "-m", "runner.report", "latest", "--html", "page.html"]
        took = median(seconds(command, folder) for _ in range(3))
        size = Path(folder, "page.html").stat().st_size / 1e6
    yield f"a report of {CELLS:,} cells", "", f"{took:.1f} s", "", "", "<= 10 s"
    yield "its size", "", f"{size:.1f} MB", "", "", "<= 5 MB"

    yield (
        f"from pointing to marking, {MARKED:,} cells",
        "",
        f"{marking():.0f} ms",
        "",
        "",
        "<= 100",
    )


def marking() -> float:
    """Milliseconds from pointing at a row of a page to the picture with its marks; the median.

    In the browser of the tests: from the event to the second frame after it, for in the first one
    the plots are painted.
    """
    from tests.support.browser import chromium
    from tests.support.pages import opened

    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        values = f"lr=range(0.0005,{0.0005 * (MARKED / 2 + 0.5):.5f},0.0005)"
        subprocess.run([*SWEEP, values], cwd=folder, env=environment(), check=True, stdout=-3)
        command = [sys.executable, "-m", "runner.report", "latest", "--html", "page.html"]
        seconds(command, folder)
        with opened(browser, Path(folder, "page.html")) as page:
            return float(page.evaluate(POINTING))


def drawn(folder: str) -> float:
    """How long a run takes that draws pictures afterwards."""
    took = seconds([*RUN, "report.pictures=true"], folder)
    time.sleep(PAUSE)
    return took
