"""The README's pictures, made by the project's own commands: `make pictures`.

They have a room of their own: they are looked at with the README, and nothing imports or installs
them. They are taken as the tests look at the same pages, by `tests/support/browser.py`.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.cli.test_ui import address_in, chart, opened
from tests.conftest import ROOT, unused_port
from tests.support.browser import PLOTS_ARE_DRAWN, chromium, visit

HERE = Path(__file__).resolve().parent
SWEEP = (
    *("-m", "gradient=by_hand", "dataset=noisy_line", "model=linear", "epochs=80"),
    *("optimizer=sgd,momentum,nesterov,adam", "lr=0.03,0.3"),
)
STUDIES = (
    ("landscapes", 1, "landscapes.gif"),
    ("rates", 1, "rates.png"),
    ("edge_of_stability", 1, "edge_of_stability.png"),
)
"""Studies, which of their pictures, and what it is called here"""
WIDTH = 1000


def main() -> None:
    """Run the sweep in an empty folder and take its pictures."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        command = [sys.executable, "-m", "runner", *SWEEP]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        report(browser, _drawn(folder))
        for study, number, name in STUDIES:
            words = [study, "--pictures", "pictures"]
            subprocess.run(
                [sys.executable, "-m", "runner.study", *words],
                cwd=folder,
                env=environment,
                check=True,
            )
            shutil.copy(folder / "pictures" / f"{study}-{number}{Path(name).suffix}", HERE / name)
        with opened(folder, environment, "--port", str(unused_port())) as (_, said):
            charts(browser, address_in(said))


def _drawn(folder: Path) -> Path:
    """The page of the sweep, once it is there: it is drawn when the command has returned."""
    deadline = time.monotonic() + 120
    while not (found := list(folder.glob("mlruns/report/*.html"))):
        assert time.monotonic() < deadline, (folder / "mlruns/publish.log").read_text()
        time.sleep(0.1)
    return found[0]


def report(browser, path: Path) -> None:
    """The sweep's report, down to the ways of its parameters."""
    with visit(browser, path.as_uri(), viewport={"width": WIDTH, "height": 800}) as (page, _):
        page.goto(path.as_uri())
        page.wait_for_function(PLOTS_ARE_DRAWN)
        last = page.locator("#paths").bounding_box()
        size = {"x": 0, "y": 0, "width": WIDTH, "height": last["y"] + last["height"] + 16}
        _save(page.screenshot(clip=size, full_page=True), "report.png")


def charts(browser, address: str) -> None:
    """What `python -m runner.ui` opens of the sweep: MLflow's own charts of its cells."""
    base = address.partition("/#")[0]
    with visit(browser, base, viewport={"width": 1500, "height": 950}) as (page, _):
        page.goto(address)
        for metric in ("loss", "w", "b"):
            chart(page, metric).locator(".scatterlayer path.js-line").nth(7).wait_for(
                state="attached"
            )
        page.wait_for_timeout(1000)  # for the last of its animations
        _save(page.screenshot(), "mlflow.png")


def _save(screenshot: bytes, name: str) -> None:
    """In 256 colours: a third of the size, and one sees no difference."""
    with Image.open(io.BytesIO(screenshot)) as image:
        image.convert("RGB").quantize(256).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
