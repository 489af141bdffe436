"""MLflow's own UI in a real browser, over the store of a real sweep: what a person sees there."""

import re

import pytest

from tests.conftest import TrackingServer
from tests.support.browser import unfold, visit

pytestmark = pytest.mark.slow

SIZE = {"width": 1600, "height": 1000}
CELLS = ["sgd lr=0.01", "sgd lr=0.1", "adam lr=0.01", "adam lr=0.1"]


@pytest.fixture(scope="module")
def ui(browser, runner, environment, tmp_path_factory):
    """Start MLflow's UI over a sweep; its address."""
    folder = tmp_path_factory.mktemp("sweep")
    sweep = "-m", "optimizer=sgd,adam", "lr=0.01,0.1", "epochs=60"
    runner(folder, *sweep, RUNNER_PAGE="true")
    started = TrackingServer(folder, environment, "mlruns/mlflow.db").start()
    yield started.uri
    started.kill()


@pytest.fixture
def page(browser, ui):
    """Open a page that reaches MLflow's UI and nothing else."""
    with visit(browser, ui, viewport=SIZE) as (opened, _):
        yield opened


def row_of(page, name):
    """The row of a run in the table of runs."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def compare(page, ui):
    """Choose all four cells and press Compare."""
    unfold(page, ui)
    for name in CELLS:
        row_of(page, name).get_by_role("checkbox", name="row selection").check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="Comparing 4 Runs").wait_for()


def lines(chart, count):
    """The lines drawn in a chart, once there are so many: the shape of each, and its colour."""
    drawn = chart.locator(".scatterlayer path.js-line:not([d='M0,0Z'])")
    drawn.nth(count - 1).wait_for(state="attached")
    return dict(
        drawn.evaluate_all("all => all.map(line => [line.getAttribute('d'), line.style.stroke])")
    )


def test_children_nest_under_their_sweep(page, ui, keep):
    """One row, which unfolds to a row for each cell, further in, with a name of its own."""
    page.goto(f"{ui}/#/experiments/1/runs")
    sweep = page.get_by_role("link", name="sweep of 4 cells over optimizer, lr")
    sweep.wait_for()
    assert page.get_by_role("link", name="lr=").all() == []
    unfold(page, ui)
    cells = page.get_by_role("link", name=re.compile("^(sgd|adam) lr="))
    cells.nth(3).wait_for()
    assert sorted(cells.all_inner_texts()) == sorted(CELLS)
    assert {cell.bounding_box()["x"] > sweep.bounding_box()["x"] for cell in cells.all()} == {True}
    keep(page, "mlflow-runs")


def test_the_sweep_says_what_was_swept_and_where_its_report_is(page, ui, keep):
    """A description on its own page, and links to its cells."""
    unfold(page, ui)
    page.get_by_role("link", name="sweep of").click()
    described = page.get_by_text("A sweep of 4 cells over optimizer, lr")
    described.wait_for()
    assert "report.html" in described.inner_text()
    for name in CELLS:
        page.get_by_role("link", name=name, exact=True).wait_for()
    described.scroll_into_view_if_needed()
    keep(page, "mlflow-sweep")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report.html", exact=True).click()
    shown = page.frame_locator("iframe")
    shown.get_by_role("heading", name="sweep of 4 cells over optimizer, lr").wait_for()
    shown.get_by_role("cell", name="4.36557e-10").first.wait_for()
    keep(page, "mlflow-report")


def test_params_tell_compared_cells_apart(page, ui, keep):
    """Among the params that differ, those that were swept; below them the same metrics for all."""
    compare(page, ui)
    names = page.get_by_role("row", name="Run Name:").get_by_role("cell").all_inner_texts()
    assert sorted(names) == sorted(CELLS)
    page.get_by_role("switch", name="Parameters - Show diff only").click()
    page.get_by_role("row", name=re.compile("^epochs ")).wait_for(state="detached")
    cells = [
        page.get_by_role("row", name=re.compile(f"^{key} ")).get_by_role("cell").all_inner_texts()
        for key in ("optimizer", "lr")
    ]
    told = [f"{optimizer} lr={lr}" for optimizer, lr in zip(*cells, strict=True)]
    assert told == names
    for metric in ("loss", "w", "grad_norm", "final_loss"):
        page.get_by_role("link", name=metric, exact=True).wait_for()
    keep(page, "mlflow-compare")


@pytest.mark.parametrize("metric", ["loss", "w"])
def test_compared_runs_overlay(metric, page, ui, keep):
    """Compare, then the metric: a line for each run in one chart, and its values in a table."""
    compare(page, ui)
    page.get_by_role("link", name=metric, exact=True).click()
    for name in CELLS:
        page.get_by_text(f"{name} ({metric})").wait_for()  # the legend
    assert len(lines(page.get_by_test_id("experiment-view-compare-runs-card"), 4)) == 4
    cells = page.get_by_role("row", name="adam lr=0.01 ").get_by_role("cell").all_inner_texts()
    assert "(step=60)" in cells[1]
    keep(page, f"mlflow-{metric}")


def test_charts_of_a_sweep_overlay_its_cells(page, ui, keep):
    """The view of charts: `loss` and `w` of all cells, each in a colour of its own."""
    unfold(page, ui, "&compareRunsMode=CHART")
    page.get_by_role("searchbox", name="Search metric charts").fill("^(loss|w)$")
    for metric in ("loss", "w"):
        chart = page.get_by_test_id("experiment-view-compare-runs-card").filter(
            has=page.get_by_role("heading", name=metric, exact=True)
        )
        for name in CELLS:
            chart.get_by_text(f"{name} ({metric})").wait_for(state="attached")
        assert len(set(lines(chart, 4).values())) == 4
    keep(page, "mlflow-charts")
