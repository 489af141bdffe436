"""Reports in a real browser, from disk: they work without a network, for everybody.

Each page at two widths, light and dark; what is linked in it is tested in test_browser_marks.py.
"""

import itertools
import os
import re
import subprocess
import sys

import pytest
from filelock import FileLock

from tests.support.pages import PAGES, column, opened, shown
from tests.support.vision import VISIONS, distance

pytestmark = pytest.mark.slow

WIDTHS = 1280, 400
SCHEMES = {"light": "#ffffff", "dark": "#161616"}
FAR = 15  # in CIE Lab
LARGEST = {"2,000 cells": 5e6, "10,000 cells": 15e6}
"""In bytes; others are smaller."""
# What has the focus, also inside a plot, and the line around it.
FOCUSED = """() => {
  let one = document.activeElement;
  while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
  const style = getComputedStyle(one);
  return [one.tagName, style.outlineStyle, style.outlineWidth];
}"""
# Of each plot's legend, each entry: its dash, and its colour.
LEGENDS = """[...page.plots.values()].flatMap((plot) =>
  plot.above.filter((part) => part.type === "Legend").map((legend) => {
    const {dash, colour, group} = legend.items[0].renderers[0].data_source.data;
    return [...group].map((_, at) => [String(dash[at]), colour[at]]);
  }))"""


@pytest.fixture(scope="module", params=PAGES)
def report(request, browser, runner, environment, tmp_path_factory):
    """Make runs and their report, once for all of pytest's workers: its name, and its path."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / f"report of {request.param}"
    with FileLock(f"{folder}.lock"):
        if not (folder / "page.html").exists():
            folder.mkdir(exist_ok=True)
            runner(folder, *PAGES[request.param], "tracking=off")
            command = [sys.executable, "-m", "runner.report", "latest", "--html", "page.html"]
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return request.param, folder / "page.html"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits(width, scheme, report, browser, keep):
    """Nothing sticks out of the page, every control can be used, and plots show something."""
    name, path = report
    assert path.stat().st_size < LARGEST.get(name, 4e6)
    with opened(browser, path, width, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for control in page.locator("button:visible, input:visible, select:visible").all()[:60]:
            control.click(trial=True)
        plots = page.locator(".plot:visible").all()
        assert plots
        for plot in plots:
            box = plot.bounding_box()
            assert min(width, 500) * 0.4 < box["width"] <= width - box["x"]
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        wanted = SCHEMES[scheme]
        assert paper == f"rgb({', '.join(str(int(wanted[at : at + 2], 16)) for at in (1, 3, 5))})"
        assert page.evaluate("page.plots.get('converge').border_fill_color") == wanted
        page.evaluate("scrollTo(0, 0)")
        keep(page, f"report-{name}-{width}-{scheme}", full_page=True)


def test_it_answers_in_order(report, browser):
    """The questions as headings, each with what answers it."""
    name, path = report
    with opened(browser, path) as page:
        heads = page.locator("h2").all_inner_texts()
        converge = shown(page, "converge", "lines")
        assert converge["xs"]
        assert all(
            len(xs) == len(ys) for xs, ys in zip(converge["xs"], converge["ys"], strict=True)
        )
        panels = page.evaluate("[...page.plots.keys()].filter((name) => name.startsWith('panel'))")
        wanted = {"one run": 2, "10,000 parameters": 4}  # validation, accuracies, a schedule
        assert len(panels) == wanted.get(name, 0)
        assert 1 <= len(shown(page, "paths", "tracks")["xs"]) <= 12
        verdict = " ".join(page.locator(".verdict").all_inner_texts())
    if name == "one run":
        assert heads == [
            "How did it end?",
            "How does it converge?",
            "What did it do in parameter space?",
        ]
    else:
        assert heads[:4] == [
            "Which setting is best, and how sure is that?",
            "How does each converge?",
            "Where does it break?",
            "What did it do in parameter space?",
        ]
        assert ("None is best" in verdict) == (name == "diverged only")


def test_the_keyboard_reaches_everything(report, browser):
    """Tab goes to each control in turn, and one sees where it is."""
    with opened(browser, report[1]) as page:
        wanted = "main button:visible, main input:visible, main select:visible"
        few = "main button.open:visible"  # of which a page has up to hundreds
        controls = page.locator(wanted).count() - page.locator(few).count()
        reached = []
        for _ in range(controls + 700):
            page.keyboard.press("Tab")
            tag, style, width = page.evaluate(FOCUSED)
            if tag == "BODY":  # once around
                break
            assert style != "none", tag
            assert float(width.removesuffix("px")) >= 1, tag
            reached.append(tag)
        assert sum(tag in ("BUTTON", "INPUT", "SELECT") for tag in reached) >= controls
        assert "TR" in reached
        assert len(reached) > controls  # the plots' own tools


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entries_of_a_legend_are_told_apart(scheme, report, browser):
    """By dash, or else by colours that stay far apart for who sees few of them."""
    with opened(browser, report[1], color_scheme=scheme) as page:
        legends = page.evaluate(LEGENDS)
    assert legends
    for entries, vision in itertools.product(legends, VISIONS):
        for _, colour in entries:
            assert distance(colour, SCHEMES[scheme], vision) > FAR
        for (dash, colour), (other_dash, other) in itertools.combinations(entries, 2):
            assert dash != other_dash or distance(colour, other, vision) > FAR, (colour, other)


def test_sorting(report, browser):
    """A column's name sorts by its numbers, over all rows, and again the other way."""
    with opened(browser, report[1]) as page:
        for name, by in (("final loss", "click"), ("epochs", "Enter"), ("best loss", "Space")):
            head = page.get_by_role("columnheader", name=re.compile(f"^{name}"))
            button = head.get_by_role("button")
            for order in ("ascending", "descending"):
                button.click() if by == "click" else button.press(by)
                assert head.get_attribute("aria-sort") == order
                assert page.locator("#cells th[aria-sort$=ending]").count() == 1
                values = [float(text) for text in column(page, name)]
                assert values == sorted(values, reverse=order == "descending")


def test_on_paper_it_is_light(report, browser, tmp_path):
    """Also for who reads it dark: plots and text; what cannot be used is not printed."""
    with opened(browser, report[1], color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        )
        assert page.evaluate("page.plots.get('converge').border_fill_color") == "#ffffff"
        assert page.locator(".bar").is_hidden()
        assert page.locator(".controls").first.is_hidden()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate("page.plots.get('converge').border_fill_color") == "#161616"
        page.pdf(path=tmp_path / "page.pdf")
        assert (tmp_path / "page.pdf").stat().st_size > 10_000
