"""What is linked on a report's page, in a real browser: marking, filters, choices, play.

Numbers are held against a stock MLflow client and NumPy.
"""

import contextlib
import csv
import io
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.support.pages import PAGES, column, marks, opened, shown
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

EDGE = 4  # pixels of a plot, where a line shows that it has the focus
SEEDED = "240 cells"


class Sweep:
    """A published sweep, its report, and its runs by name as stock MLflow has them."""

    def __init__(self, folder, client, runs):
        self.client, self.folder = client, folder
        self.runs = {
            run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags
        }
        [self.path] = folder.glob("mlruns/report/*.html")

    def history(self, name, metric):
        """Values by step."""
        points = self.client.get_metric_history(self.runs[name].info.run_id, metric)
        return {point.step: point.value for point in points}

    def finals(self, **params):
        """Final losses of the runs with these params; infinite for those that diverged."""
        return [
            math.inf if run.data.tags["outcome"] == "diverged" else run.data.metrics["final_loss"]
            for run in self.runs.values()
            if all(float(run.data.params[key]) == value for key, value in params.items())
        ]


@pytest.fixture(scope="module")
def published(runner, store, tmp_path_factory):
    """Publish one of the sweeps, by name, with its page."""

    def publish(name):
        folder = tmp_path_factory.mktemp("sweep")
        runner(folder, *PAGES[name], RUNNER_PAGE="true")
        client, runs = store(folder)
        wait_for(lambda: [*folder.glob("mlruns/report/*.html")])
        return Sweep(folder, client, runs)

    return publish


@pytest.fixture(scope="module")
def few(published):
    """A dozen cells of two optimizers, of which some diverge."""
    return published("12 cells")


@pytest.fixture(scope="module")
def seeded(published):
    """Settings of ten cells each, whose seeds draw data."""
    return published(SEEDED)


@pytest.fixture(scope="module")
def two(published):
    """Two numbers swept, over seeds that draw no data."""
    return published("two numbers")


@pytest.fixture
def page(few, browser):
    """Open the page of a dozen cells."""
    with opened(browser, few.path) as page:
        yield page


def row_of(page, text):
    """The row of the table that has the words in a cell."""
    return page.locator("#cells tbody tr").filter(has=page.get_by_text(text, exact=True))


def plot_of(page, name):
    """The canvas of a plot, in view."""
    ids = {"converge": "convergence", "sensitivity": "breaks", "heat": "breaks", "paths": "paths"}
    plot = page.locator(f"#{ids[name]} .plot").first
    plot.scroll_into_view_if_needed()
    return plot


def places(plot, colour):
    """(points, 2) as x, y: where a plot shows the colour, also when white shines through it."""
    picture = Image.open(io.BytesIO(plot.screenshot())).convert("RGB")
    own = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    ink, most = 255 - np.asarray(picture).astype(int), 255 - own
    strength = (ink @ most) / (most @ most)
    off = np.abs(ink - strength[..., None] * most).max(axis=2)
    y, x = np.nonzero(((strength > 0.5) & (strength < 1.05) & (off < 12))[EDGE:-EDGE, EDGE:-EDGE])
    found = np.stack([x, y], axis=1) + EDGE
    return found[found[:, 1] > plot.bounding_box()["height"] / 4]  # below its legend


def crowded(found):
    """From a list of places, those with the most others around first: markers, then lines."""
    near = (np.abs(found[:, None] - found).max(axis=2) <= 3).sum(axis=1)
    return iter(found[np.argsort(-near, kind="stable")][::7])


def readout(page):
    """What is told of what is marked."""
    return page.locator("#readout").inner_text()


# --- Marking ---


def test_pointing_at_a_row_marks_its_cell_everywhere(page):
    """In each plot, in the table and in words; and no longer once the mouse has left."""
    row_of(page, "sgd lr=0.1").hover()
    assert marks(page) == {"converge": 1, "sensitivity": 1, "paths": 1}
    assert shown(page, "converge", "marks")["what"] == ["sgd lr=0.1"]
    assert shown(page, "paths", "marks")["what"] == ["sgd lr=0.1"]
    assert readout(page).startswith("sgd lr=0.1: final loss ")
    assert page.locator("#cells tr.pointed").count() == 1
    page.locator("h1").hover()
    assert marks(page) == {"converge": 0, "sensitivity": 0, "paths": 0}
    assert page.locator("#cells tr.pointed").count() == 0


@pytest.mark.parametrize("name", ["converge", "sensitivity", "paths"])
def test_pointing_into_a_plot_marks_that_cell_everywhere(name, page):
    """A curve, a point or a path: the row, and the same cell in the other plots."""
    plot = plot_of(page, name)
    sources = {"converge": "lines", "sensitivity": "cells", "paths": "tracks"}
    colour = shown(page, name, sources[name])["colour"][0]
    for x, y in crowded(places(plot, colour)):
        box = plot.bounding_box()
        page.mouse.move(box["x"] + float(x), box["y"] + float(y))
        page.wait_for_timeout(50)
        if page.locator("#cells tr.pointed").count():
            break
    marked = page.evaluate("page.state.pointed")
    assert len(marked) == 1
    [label] = shown(page, "converge", "marks")["what"]
    assert readout(page).startswith(f"{label}: ")
    assert label in page.locator("#cells tr.pointed").inner_text()
    assert marks(page)["sensitivity"] == 1
    assert shown(page, "paths", "marks")["what"] == [label]
    told = page.locator(".bk-Tooltip:visible .bk-tooltip-row-value").first
    assert told.inner_text().strip() == label


def test_a_click_keeps_and_another_lets_go(page):
    """With a colour of its own, a chip that lets go of it, and nothing else on the landscape."""
    row_of(page, "adam lr=0.3").click()
    row_of(page, "sgd lr=0.03").click()
    page.locator("h1").hover()
    assert marks(page) == {"converge": 2, "sensitivity": 2, "paths": 2}
    chips = page.locator("#kept button").all_inner_texts()
    assert [chip.strip() for chip in chips] == ["adam lr=0.3 ✕", "sgd lr=0.03 ✕", "keep none"]
    colours = shown(page, "converge", "marks")["colour"]
    assert len(set(colours)) == 2
    page.reload()
    page.wait_for_function("document.body.dataset.ready")
    assert marks(page)["converge"] == 2  # as one has left it
    assert shown(page, "paths", "tracks")["what"] == ["adam lr=0.3", "sgd lr=0.03"]
    row_of(page, "adam lr=0.3").click()
    page.locator("h1").hover()
    assert shown(page, "converge", "marks")["what"] == ["sgd lr=0.03"]
    page.locator("#kept button").first.click()
    page.locator("h1").hover()
    assert marks(page) == {"converge": 0, "sensitivity": 0, "paths": 0}
    assert len(shown(page, "paths", "tracks")["what"]) == 12


def test_a_tap_in_a_plot_keeps(page):
    """A click on a point keeps its cell, and leaves the plot as it was."""
    plot = plot_of(page, "sensitivity")
    x, y = next(crowded(places(plot, shown(page, "sensitivity", "cells")["colour"][-1])))
    plot.click(position={"x": float(x), "y": float(y)})
    page.wait_for_function("page.state.kept.length === 1")
    assert page.locator("#kept button").count() == 1


def test_the_keyboard_marks_and_keeps(page):
    """Arrows go from row to row, Enter keeps."""
    rows = page.locator("#cells tbody tr")
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    label = column(page, "run")[1]
    assert readout(page).startswith(f"{label}: ")
    assert shown(page, "converge", "marks")["what"] == [label]
    page.keyboard.press("Enter")
    assert page.evaluate("page.state.kept.length") == 1
    page.keyboard.press("Space")
    assert page.evaluate("page.state.kept.length") == 0


def test_a_setting_is_marked_with_its_cells(seeded, browser):
    """It opens below itself; what is drawn of its cells is up to a dozen."""
    with opened(browser, seeded.path) as page:
        assert page.locator("#cells tbody tr").count() == 24
        first = page.locator("#cells tbody tr").first
        first.hover()
        assert len(page.evaluate("page.state.pointed")) == 10
        assert marks(page)["converge"] == 10
        assert marks(page)["sensitivity"] == 10
        assert "10 cells" in readout(page)
        first.get_by_role("button").click()
        assert page.locator("#cells tbody tr.below").count() == 10
        finals = [float(text) for text in column(page, "excess loss", "tr.below")]
        assert finals == sorted(finals)  # by rank, as the settings are
        page.locator("#cells tr.below").nth(2).hover()
        assert marks(page)["converge"] == 1
        page.locator("#cells tbody tr").first.focus()
        page.keyboard.press("ArrowLeft")
        assert page.locator("#cells tbody tr.below").count() == 0
        page.keyboard.press("ArrowRight")
        assert page.locator("#cells tbody tr.below").count() == 10


# --- Filters ---


def test_filters_act_on_everything(page, few):
    """By words and by outcome: the table, the curves, the points, the paths."""

    def there():
        return (
            sorted(column(page, "run")),
            sorted(shown(page, "converge", "lines")["what"]),
            sorted(shown(page, "sensitivity", "cells")["what"]),
            sorted(shown(page, "paths", "tracks")["what"]),
        )

    everything = sorted(few.runs)
    assert there() == (everything,) * 4
    page.get_by_role("searchbox").fill("sgd lr=0.")
    some = [name for name in everything if name.startswith("sgd lr=0.")]
    assert there() == (some,) * 4
    assert "8 cells are filtered out" in page.locator("#shown").inner_text()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("checkbox", name="diverged").uncheck()
    ended = [n for n, run in few.runs.items() if run.data.tags["outcome"] != "diverged"]
    assert len(ended) < 12
    assert there() == (sorted(ended),) * 4


def test_a_filter_by_seed_leaves_figures_of_those_seeds(seeded, browser):
    """In the table and in the plots; the sentences are of all, and say so."""
    with opened(browser, seeded.path) as page:
        whole = shown(page, "converge", "lines")
        page.get_by_role("searchbox").fill("seed=3")
        assert set(column(page, "seeds")) == {"1"}
        by_name = dict(zip(seeded.runs, seeded.runs.values(), strict=True))
        for label, final in zip(labels(page), column(page, "final loss"), strict=True):
            run = by_name[f"{label} seed=3"]
            wanted = (
                math.inf
                if run.data.tags["outcome"] == "diverged"
                else run.data.metrics["final_loss"]
            )
            assert float(final) == pytest.approx(wanted, rel=1e-5)
        assert len(shown(page, "sensitivity", "cells")["x"]) == 24
        lone = shown(page, "converge", "lines")
        assert all(name.endswith("seed=3") for name in lone["what"])
        assert page.locator("#of-all").is_visible()
        page.get_by_role("searchbox").fill("sgd lr=0.1 seed")
        page.get_by_role("searchbox").fill("")
        assert shown(page, "converge", "lines") == whole
        assert page.locator("#of-all").is_hidden()


def labels(page):
    """Of the settings in the table, as their cells' names begin."""
    pairs = zip(column(page, "optimizer"), column(page, "lr"), strict=True)
    return [f"{optimizer} lr={lr}" for optimizer, lr in pairs]


def test_a_click_leaves_the_table_where_it_is(seeded, browser):
    """So that another one at the same place takes the mark back."""
    with opened(browser, seeded.path) as page:
        row = page.locator("#cells tbody tr").nth(2)
        row.hover()
        before = row.bounding_box()
        row.click()
        assert row.bounding_box() == before
        assert page.locator("#kept button").first.inner_text().endswith(", 10 cells ✕")
        row.click()
        assert page.locator("#kept button").count() == 0
        row.click()
        page.keyboard.press("Escape")
        assert page.evaluate("page.state.kept") == []


# --- What is chosen ---


def test_a_curve_of_one_point_is_seen(lone):
    """Of a run of one epoch."""
    with lone("epochs=1", "lr=0.01") as (_, _, page):
        assert len(shown(page, "converge", "points")["x"]) == 1


@pytest.mark.parametrize(
    ("label", "metric"), [("loss", "loss"), ("grad_norm", "grad_norm"), ("w", "w")]
)
def test_a_curve_is_mlflows(label, metric, page, few):
    """Whatever quantity is chosen: each value as the store has it, at that step."""
    page.locator("#y").select_option(label)
    page.locator("#y-log").uncheck()
    drawn = shown(page, "converge", "lines")
    assert len(drawn["what"]) == 12
    for name, xs, ys in zip(drawn["what"], drawn["xs"], drawn["ys"], strict=True):
        history = few.history(name, metric)
        told = {int(x): float(y) for x, y in zip(xs, ys, strict=True)}
        assert told == {step: pytest.approx(history[step], rel=1e-6) for step in told}
        assert max(told) == max(history)


def test_the_distance_is_numpys(page, few):
    """From the optimum in closed form, of the parameters that MLflow has."""
    from runner.dataset import linear

    x, y = linear(
        coefficients=[2.0], intercept=1.0, samples=100, low=-1.0, high=1.0, noise=0.1, seed=0
    )
    design = np.stack([np.ravel(x), np.ones(100)], axis=1).astype(np.float32).astype(float)
    optimum = np.linalg.lstsq(design, np.ravel(y).astype(np.float32).astype(float), rcond=None)[0]
    page.locator("#y").select_option("distance to the optimum")
    page.locator("#y-log").uncheck()
    drawn = shown(page, "converge", "lines")
    at = drawn["what"].index("sgd lr=0.1")
    w, b = few.history("sgd lr=0.1", "w"), few.history("sgd lr=0.1", "b")
    for step, value in zip(drawn["xs"][at], drawn["ys"][at], strict=True):
        there = np.array([w[int(step)], b[int(step)]])
        assert value == pytest.approx(np.linalg.norm(there - optimum), rel=1e-4, abs=1e-6)


def test_axes_can_be_chosen(page):
    """Logarithmic or linear, both; over steps and evaluations, which here are epochs."""
    kinds = "[...'xy'].map((one) => page.plots.get('converge')[`${one}_scale`].type)"
    assert page.evaluate(kinds) == ["LinearScale", "LogScale"]
    by_epoch = shown(page, "converge", "lines")["xs"]
    page.locator("#x-log").check()
    page.locator("#y-log").uncheck()
    assert page.evaluate(kinds) == ["LogScale", "LinearScale"]
    page.locator("#x-log").uncheck()
    for name in ("step", "gradient evaluations"):
        page.locator("#x").select_option(name)
        assert shown(page, "converge", "lines")["xs"] == by_epoch
        assert page.evaluate("page.plots.get('converge').below[0].axis_label") == name
    assert "seconds" not in page.locator("#x option").all_inner_texts()  # of a stack, none has any


@pytest.fixture
def lone(browser, runner, store, environment, tmp_path):
    """Make a run with its page: a stock client, the run, and the page, open."""

    @contextlib.contextmanager
    def made(*typed):
        runner(tmp_path, *typed)
        client, [run] = store(tmp_path)
        command = [sys.executable, "-m", "runner.report", "latest", "--html", "page.html"]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
        with opened(browser, tmp_path / "page.html") as page:
            yield client, run.info.run_id, page

    return made


def test_a_lone_run_has_seconds(lone):
    """As MLflow has the times of its steps, to the millisecond; beside and below it the rest."""
    with lone(*PAGES["one run"]) as (client, run, page):
        points = client.get_metric_history(run, "w")
        times = {p.step: (p.timestamp - points[0].timestamp) / 1000 for p in points}
        page.locator("#y").select_option("w")
        page.locator("#y-log").uncheck()
        page.locator("#x").select_option("seconds")
        [xs] = shown(page, "converge", "lines")["xs"]
        assert xs == pytest.approx([times[step] for step in sorted(times)], abs=2e-3)
        for panel, metric in (("panel0", "val_loss"), ("panel1", "lr")):
            [ys] = shown(page, panel, "lines")["ys"]
            own = client.get_metric_history(run, metric)
            assert ys == pytest.approx([point.value for point in own], rel=1e-6)


def test_evaluations_are_counted(lone):
    """Of an optimizer that evaluates the gradient several times a step, as MLflow has them."""
    with lone("model=linear", "dataset=plane", "optimizer=lbfgs", "epochs=6") as (
        client,
        run,
        page,
    ):
        counted = {p.step: p.value for p in client.get_metric_history(run, "gradient_evaluations")}
        page.locator("#x").select_option("gradient evaluations")
        page.locator("#y").select_option("grad_norm")
        [xs] = shown(page, "converge", "lines")["xs"]
        assert xs == [counted[step] for step in range(1, len(xs) + 1)]
        assert xs[0] > 1


def test_a_range_test_is_drawn_over_its_rate(lone):
    """From the start, on a logarithmic axis: each loss over the rate of its step."""
    words = ("schedule=range_test", "schedule.to=1", "lr=1e-3", "epochs=50")
    with lone("gradient=by_hand", *words) as (client, run, page):
        rates = {p.step: p.value for p in client.get_metric_history(run, "lr")}
        losses = {p.step: p.value for p in client.get_metric_history(run, "loss")}
        page.locator("#y").select_option("loss")
        drawn = shown(page, "converge", "lines")
        steps = range(1, len(losses) + 1)
        assert drawn["xs"][0] == pytest.approx([rates[step] for step in steps])
        assert drawn["ys"][0] == pytest.approx([losses[step] for step in steps])
        assert page.evaluate("page.plots.get('converge').x_scale.type") == "LogScale"
        top = page.evaluate("page.plots.get('panel0').y_range.end")  # of the rate itself, below
        assert top > max(rates.values())


# --- Where it breaks ---


def test_medians_over_a_number_are_numpys(seeded, browser):
    """Of each optimizer over the learning rate, with what diverged; by the final loss."""
    with opened(browser, seeded.path) as page:
        page.locator("#value").select_option("final loss")
        lines = shown(page, "sensitivity", "lines")
        for name, xs, ys in zip(lines["group"], lines["xs"], lines["ys"], strict=True):
            for x, y in zip(xs, ys, strict=True):
                own = [
                    math.inf
                    if run.data.tags["outcome"] == "diverged"
                    else run.data.metrics["final_loss"]
                    for run in seeded.runs.values()
                    if run.data.params["optimizer"] == name and float(run.data.params["lr"]) == x
                ]
                assert len(own) == 10
                median = float(np.median(own))
                if math.isinf(median):
                    assert y == "NaN"
                elif median < 10:  # what is above is at the top edge
                    assert y == pytest.approx(median, rel=1e-6)
        crosses = [m for m in shown(page, "sensitivity", "cells")["marker"] if m == "x"]
        diverged = [r for r in seeded.runs.values() if r.data.tags["outcome"] == "diverged"]
        assert len(crosses) == len(diverged) > 0


def test_epochs_to_tolerance(browser, runner, environment, tmp_path):
    """Each as it was, however small the losses are."""
    words = ("gradient=by_hand", "model.initial.w=1.9", "lr=0.0005,0.066", "epochs=5000")
    runner(tmp_path, "-m", *words, "tracking=off")
    command = [sys.executable, "-m", "runner.report", "latest", "--html", "page.html"]
    subprocess.run(
        [*command, "--csv", "page.csv"], cwd=tmp_path, env=environment, check=True, stdout=-3
    )
    with open(tmp_path / "page.csv", newline="") as file:
        reached = {float(row["lr"]): int(row["reached"]) for row in csv.DictReader(file)}
    assert max(reached.values()) > 100 * min(reached.values())
    with opened(browser, tmp_path / "page.html") as page:
        page.locator("#value").select_option("epochs to tolerance")
        cells = shown(page, "sensitivity", "cells")
        assert dict(zip(cells["x"], cells["y"], strict=True)) == reached


def test_a_heat_map_over_two_numbers(two, browser):
    """A box for each pair: the median by NumPy, hatched where most diverged; the edge beside it."""
    with opened(browser, two.path) as page:
        boxes = shown(page, "heat", "boxes")
        assert len(boxes["what"]) == 24
        for at, told in enumerate(boxes["value"]):
            lr = {0.03, 0.1, 0.3, 1, 1.5, 3} & set(inside(boxes, at, "left", "right", LRS))
            momentum = inside(boxes, at, "bottom", "top", [0, 0.3, 0.6, 0.9])
            [lr], [momentum] = lr, momentum
            finals = two.finals(**{"lr": lr, "optimizer.momentum": momentum})
            assert len(finals) == 3
            said, *diverged = told.split(", ")
            assert float(said.removeprefix("median ")) == pytest.approx(np.median(finals), rel=1e-5)
            off = sum(map(math.isinf, finals))
            assert diverged == ([f"{off} of 3 diverged"] if off else [])
            assert (boxes["hatch"][at] == "diagonal_cross") == (off >= 2)
        [xs], [ys] = (shown(page, "heat", "edges")[key] for key in ("xs", "ys"))
        assert ys == [0, 0.3, 0.6, 0.9]
        assert np.array(xs) == pytest.approx(xs[0] * (1 + np.array(ys)), rel=1e-12)  # Polyak's
        page.locator("#value").select_option("outcome")
        assert set(shown(page, "heat", "boxes")["colour"]) == {"#E69F00", "#7F7F7F"}
        assert page.locator("#outcome-legend").is_visible()
        page.locator("#across").select_option("optimizer.momentum")
        assert page.locator("#upward").input_value() == "lr"
        row = page.locator("#cells tbody tr").first
        row.hover()
        assert marks(page)["heat"] == 1


LRS = [0.03, 0.1, 0.3, 1, 1.5, 3]


def inside(boxes, at, low, high, values):
    """Those of the values that a box reaches over."""
    return [value for value in values if boxes[low][at] < value < boxes[high][at]]


# --- Parameter space ---


def test_the_slider_moves_all_paths(page, few):
    """To where each run was at that step, or at its end; by the keyboard too."""
    slider = page.get_by_role("slider")
    slider.fill("600")
    step = int(page.locator("#at").inner_text().split()[1])
    assert 1 < step < 80
    heads, lines = shown(page, "paths", "heads"), shown(page, "paths", "tracks")
    for name, x, y in zip(lines["what"], heads["x"], heads["y"], strict=True):
        w, b = few.history(name, "w"), few.history(name, "b")
        if few.runs[name].data.tags["outcome"] == "diverged" or "lr=1.2" in name:
            continue  # it has left the picture
        assert (x, y) == (pytest.approx(w[step], rel=1e-5), pytest.approx(b[step], rel=1e-5))
    slider.press("Home")
    assert page.locator("#at").inner_text().startswith("step 0 of ")
    assert all(len(xs) == 1 for xs in map(np.unique, shown(page, "paths", "tracks")["xs"]))


def test_play_goes_to_the_end(page):
    """From the beginning; it stops where it is told to, and by itself at the end."""
    play = page.get_by_role("button", name="play")
    play.press("Enter")
    page.wait_for_function("document.getElementById('step').valueAsNumber > 100")
    page.get_by_role("button", name="pause").click()
    there = page.get_by_role("slider").input_value()
    page.wait_for_timeout(200)
    assert page.get_by_role("slider").input_value() == there
    page.get_by_role("slider").fill("950")
    page.get_by_role("button", name="play").click()
    page.wait_for_function("document.getElementById('step').valueAsNumber === 1000")
    page.get_by_role("button", name="play").wait_for()


# --- Files ---


def test_the_table_can_be_saved(page, few, tmp_path):
    """As CSV in full precision: what the filter leaves, in the table's order."""
    page.get_by_role("searchbox").fill("adam")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "cells.csv")
    with open(tmp_path / "cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == column(page, "run")
    for row in rows:
        metrics = few.runs[row["run"]].data.metrics
        assert float(row["final loss"]) == metrics["final_loss"]


def test_each_plot_can_be_saved(page, tmp_path):
    """As a picture with something on it."""
    for name in ("converge", "sensitivity", "paths"):
        with page.expect_download() as download:
            plot_of(page, name).locator(".bk-tool-icon-save").click()
        assert download.value.suggested_filename == f"{name}.png"
        download.value.save_as(tmp_path / f"{name}.png")
        picture = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_a_search_is_shown(published, browser):
    """Each sample in its order, what was pruned hollow, and the best so far: as MLflow has them."""
    sweep = published("a search")
    order = sorted(sweep.runs.values(), key=lambda run: int(run.data.tags["cell"]))
    outcomes = [run.data.tags["outcome"] for run in order]
    values = [
        math.inf if outcome == "diverged" else run.data.metrics["final_loss"]
        for run, outcome in zip(order, outcomes, strict=True)
    ]
    ranked = [math.inf if how == "pruned" else v for v, how in zip(values, outcomes, strict=True)]
    best = np.minimum.accumulate(ranked)
    with opened(browser, sweep.path) as page:
        cells = shown(page, "search", "cells")
        assert cells["x"] == list(range(1, 81))
        assert cells["alpha"] == [0 if outcome == "pruned" else 0.7 for outcome in outcomes]
        assert outcomes.count("pruned") > 10
        near = np.array(values) < 100  # what is beyond is drawn at the top edge
        np.testing.assert_allclose(np.array(cells["y"])[near], np.array(values)[near], rtol=1e-6)
        line = shown(page, "search", "best")
        np.testing.assert_allclose(line["y"], best[np.isfinite(best)], rtol=1e-6)
        page.locator("#cells tbody tr").first.hover()
        assert marks(page)["search"] == 1
        told = page.locator("#search table tbody tr").all_inner_texts()
        assert {row.split("\t")[0] for row in told} == {"lr", "optimizer.momentum"}
