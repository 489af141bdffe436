"""The report of a sweep in a real browser, from disk: it works without a network, for everybody."""

import io
import itertools
import re
import time

import numpy as np
import pytest
from PIL import Image

from runner.colour import COLOURS
from tests.browser import PLOTS_ARE_DRAWN, visit
from tests.vision import VISIONS, distance

pytestmark = pytest.mark.slow

QUICK = "-m", "gradient=by_hand", "dataset=noisy_line", "epochs=40"
SWEEPS = {
    5: ["lr=0.03,0.1,0.3,2,10"],
    100: [
        "optimizer=sgd,momentum,adam,rmsprop",
        f"lr={','.join(f'{n / 50:g}' for n in range(1, 26))}",
    ],
    2000: [
        "optimizer=sgd,adam",
        f"lr={','.join(f'{n / 200:g}' for n in range(1, 201))}",
        "seed=range(5)",
    ],
}
WIDTHS = 1280, 400
FAR = 15  # in CIE Lab
EDGE = 4  # pixels of a plot, where a line shows that it has the focus
# What has the focus, also inside a plot, and the line around it.
FOCUSED = """() => {
  let one = document.activeElement;
  while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
  const style = getComputedStyle(one);
  return [one.tagName, style.outlineStyle, style.outlineWidth];
}"""
# Of each plot's legend, each entry: what is drawn for it, apart from the colour, and the colour.
LEGENDS = """Bokeh.documents.flatMap((one) => one.roots()).map((plot) =>
  plot.above.concat(plot.center).filter((part) => part.type === "Legend")
    .flatMap((legend) => legend.items).map((item) => {
      const glyphs = item.renderers.map((one) => one.glyph);
      const shape = glyphs.map((one) => [one.type, one.line_dash?.value, one.marker?.value]);
      const ink = glyphs[0].line_color ?? glyphs[0].fill_color;
      return [JSON.stringify(shape), ink.value === "black" ? "#000000" : ink.value];
    }))"""


@pytest.fixture(scope="module", params=SWEEPS, ids=lambda count: f"{count} cells")
def sweep(browser, request, runner, tmp_path_factory):
    """Make a sweep; how many cells, its folder and its report."""
    folder = tmp_path_factory.mktemp("sweep")
    done = runner(folder, *QUICK, *SWEEPS[request.param], RUNNER_PAGE="true")
    assert done.stdout.startswith(f"{request.param} cells")
    # The page is drawn once the command has returned.
    [report] = until(lambda: list(folder.glob("mlruns/report/*.html")), len, seconds=120)
    return request.param, folder, report


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width} wide")
def width(request):
    """Give a width for tests of the layout."""
    return request.param


@pytest.fixture
def page(browser, sweep, request):
    """Open the report, which whatever a test does must not complain or ask for anything."""
    wide = request.getfixturevalue("width") if "width" in request.fixturenames else WIDTHS[0]
    said = []
    with visit(browser, sweep[2].as_uri(), viewport={"width": wide, "height": 900}) as (
        opened,
        refused,
    ):
        opened.on("console", lambda told: said.append((told.type, told.text)))
        opened.on("pageerror", lambda error: said.append(("error", str(error))))
        opened.goto(sweep[2].as_uri())
        opened.wait_for_function(PLOTS_ARE_DRAWN)
        yield opened
        assert refused == []
        assert [text for kind, text in said if kind in ("error", "warning")] == []


def until(found, wanted, seconds=30):
    """Look again until what is found is as wanted; what it is."""
    deadline = time.monotonic() + seconds
    while not wanted(value := found()):
        assert time.monotonic() < deadline, value
        time.sleep(0.05)
    return value


def pixels(plot):
    """(height, width, 3): what a plot shows."""
    return np.asarray(Image.open(io.BytesIO(plot.screenshot())).convert("RGB")).astype(int)


def places(plot, colour):
    """(points, 2) as x, y: where a plot shows the colour, also when white shines through it."""
    own = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    ink = 255 - pixels(plot)
    most = 255 - own
    strength = (ink @ most) / (most @ most)
    off = np.abs(ink - strength[..., None] * most).max(axis=2)
    seen = (strength > 0.5) & (strength < 1.05) & (off < 12)
    y, x = np.nonzero(seen[EDGE:-EDGE, EDGE:-EDGE])
    return np.stack([x, y], axis=1) + EDGE


def legend(page):
    """Label, colour and dash of each group of curves, from the boxes that show and hide them."""
    return [
        (box.inner_text().strip(), line.get_attribute("stroke"), line.get_attribute("class"))
        for box in page.locator("fieldset label").all()
        for line in [box.locator("line")]
    ]


def column(page, name):
    """What the table shows in a column, from above."""
    heads = [text.strip() for text in page.locator("#cells th").all_inner_texts()]
    [at] = [at for at, text in enumerate(heads) if text.rstrip(" ▲▼") == name]
    return page.locator(f"#cells tbody td:nth-child({at + 1})").all_inner_texts()


def part(page, name):
    """The plot of a section, in view."""
    plot = page.locator(f"#{name} .plot")
    plot.scroll_into_view_if_needed()
    return plot


def test_cells_are_those_that_mlflow_has(sweep, page, store):
    """Every row of the table, as a stock client reads that run, to the digits that are shown."""
    count, folder, _ = sweep
    _, runs = store(folder)
    by_id = {run.info.run_id: run for run in runs}
    if count > 200:
        page.get_by_role("button", name="Show all").click()
    shown = {name: column(page, name) for name in ("id", "lr", "outcome", "epochs", "seconds")}
    shown |= {name: column(page, name) for name in ("final loss", "best loss", "run")}
    assert len(set(shown["id"])) == count
    for row in (
        dict(zip(shown, cells, strict=True)) for cells in zip(*shown.values(), strict=True)
    ):
        run = by_id[row["id"]]
        assert row["run"] == run.info.run_name
        assert row["outcome"] == run.data.tags["outcome"]
        assert float(row["lr"]) == float(run.data.params["lr"])
        for name in ("epochs_run", "final_loss", "best_loss", "seconds"):
            text = row[name.removesuffix("_run").replace("_", " ")]
            assert float(text) == pytest.approx(run.data.metrics[name], rel=5e-6)


def test_it_fits_the_width(page, width, sweep, keep):
    """Nothing sticks out of the page, and every control can be used."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for control in page.locator("button:visible, input:visible").all():
        control.click(trial=True)
    for plot in page.locator(".plot").all():
        box = plot.bounding_box()
        assert 0.5 * min(width, 500) < box["width"] <= width - box["x"]
    keep(page, f"report-{sweep[0]}-{width}", full_page=True)


def hover(page, plot, place):
    """Move the mouse to a place in a plot; the values that are told there."""
    box = plot.bounding_box()
    page.mouse.move(box["x"] + float(place[0]), box["y"] + float(place[1]))
    told = page.locator(".bk-Tooltip:visible .bk-tooltip-row-value")
    told.first.wait_for()
    return [text.strip() for text in told.all_inner_texts()[:3]]


def below_its_legend(plot, colour):
    """Where a plot shows the colour, but for its upper third."""
    there = places(plot, colour)
    return there[there[:, 1] > plot.bounding_box()["height"] / 3]


def test_hovering_over_a_curve_tells_values(sweep, page, store):
    """Which run it is, and its loss at that epoch, as MLflow has it."""
    client, runs = store(sweep[1])
    plot = part(page, "losses")
    name, epoch, loss = hover(page, plot, below_its_legend(plot, legend(page)[0][1])[0])
    [run] = [run for run in runs if set(name.split()) <= set(run.info.run_name.split())]
    history = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "loss")}
    assert float(loss) == pytest.approx(history[int(epoch)], rel=1e-5)


def test_hovering_over_a_final_loss_tells_it(sweep, page, store):
    """The marker of a value of lr: that, and a final loss that a run with it has in MLflow."""
    _, runs = store(sweep[1])
    plot = part(page, "sensitivity")
    curves = {run.data.params.get("optimizer") for run in runs} - {None}
    there = below_its_legend(plot, COLOURS[len(curves) - 1])  # the one on top of the others
    near = np.abs(there[:, None] - there).max(axis=2) <= 3
    _, lr, loss = hover(page, plot, there[near.sum(axis=1).argmax()])  # a marker, not a line
    ended = [run for run in runs if float(run.data.params.get("lr", "nan")) == float(lr)]
    assert float(loss) in [pytest.approx(run.data.metrics["final_loss"], rel=1e-5) for run in ended]


@pytest.mark.parametrize("by", ["click", "keyboard", "legend"])
def test_a_curve_is_hidden_and_shown(by, page):
    """By its box, with the mouse or the space bar, or by its entry in the plot's own legend."""
    plot = part(page, "losses")
    label, colour, _ = legend(page)[0]
    box = page.get_by_role("checkbox", name=label, exact=True)
    entry = places(plot, colour)[0]  # the topmost: the legend is above the curves

    def toggle():
        if by == "click":
            box.click()
        elif by == "keyboard":
            box.press("Space")
        else:
            plot.click(position={"x": float(entry[0]), "y": float(entry[1])})
        page.mouse.move(0, 0)

    def drawn():
        return len(places(plot, colour))

    before = drawn()
    assert before > 300
    toggle()
    until(drawn, lambda count: count < before / 3)
    assert not box.is_checked()
    toggle()
    until(drawn, lambda count: count > before * 0.9)
    assert box.is_checked()


@pytest.mark.parametrize("by", ["click", "Enter", "Space"])
def test_sorting(by, sweep, page):
    """A column's name sorts by its numbers, over all rows, and again the other way."""
    for name in ("final loss", "lr"):
        head = page.get_by_role("columnheader", name=re.compile(f"^{name}"))
        button = head.get_by_role("button")
        for order in ("ascending", "descending"):
            button.click() if by == "click" else button.press(by)
            assert head.get_attribute("aria-sort") == order
            assert page.locator("#cells th[aria-sort$=ending]").count() == 1
            values = [float(text) for text in column(page, name)]
            assert values == sorted(values, reverse=order == "descending")
            assert len(set(values)) > 1


def test_the_keyboard_reaches_everything(page):
    """Tab goes to each control in turn, and one sees where it is."""
    controls = page.locator("main button:visible, main input:visible").count()
    reached = []
    for _ in range(controls + 100):
        page.keyboard.press("Tab")
        tag, style, width = page.evaluate(FOCUSED)
        if tag == "BODY":  # once around
            break
        assert style != "none", tag
        assert float(width.removesuffix("px")) >= 1, tag
        reached.append(tag)
    assert sum(tag in ("BUTTON", "INPUT") for tag in reached) == controls
    assert len(reached) > controls  # the plots' own tools


@pytest.mark.parametrize("vision", VISIONS)
def test_entries_of_a_legend_are_told_apart(vision, page):
    """By dash or marker, or else by colours that stay far apart for who sees few of them."""
    legends = page.evaluate(LEGENDS)
    assert max(len(entries) for entries in legends) > 1
    for entries in legends:
        for _, colour in entries:
            assert distance(colour, "#ffffff", vision) > FAR
        for (shape, colour), (other_shape, other) in itertools.combinations(entries, 2):
            assert shape != other_shape or distance(colour, other, vision) > FAR, (colour, other)
