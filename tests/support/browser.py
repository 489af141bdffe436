"""A real browser: Debian's Chromium, without a window, that Playwright drives."""

import os
import shutil
from contextlib import contextmanager

from tests.support.waiting import PATIENCE

NAMES = "chromium", "chromium-browser", "google-chrome"
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


PLOTS_ARE_DRAWN = (
    "document.body?.dataset.ready && "
    "(globalThis.Bokeh?.documents ?? []).every((one) => one.is_idle)"
)
"""In a report."""


def installed():
    """Where the system's browser is; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium():
    """Start the system's Chromium, never one that was downloaded, with a profile of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        sandbox = os.geteuid() != 0  # Chromium has none for root
        with driver.chromium.launch(
            executable_path=installed(), args=QUIET, chromium_sandbox=sandbox
        ) as started:
            yield started


@contextmanager
def visit(browser, address, **settings):
    """A new page, as for somebody who comes back, that reaches only what begins with `address`.

    Yields the page and the list of the other requests, which have been refused.
    """
    refused = []

    def refuse(route):
        refused.append(route.request.url)
        route.abort()

    with browser.new_context(service_workers="block", **settings) as context:
        context.set_default_timeout(1000 * PATIENCE)
        context.route(lambda url: not url.startswith((address, "data:", "blob:")), refuse)
        # MLflow opens its assistant, over a quarter of the page, to whom it has not seen before.
        context.add_init_script(
            "localStorage['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1'] = 'true'"
        )
        yield context.new_page(), refused


def unfold(page, uri, view=""):
    """Open MLflow's table of runs, or another view of it, and the sweep in it."""
    page.goto(f"{uri}/#/experiments/1/runs?workflowType=machine_learning{view}")
    sweep = page.get_by_role("gridcell").filter(has=page.get_by_role("link", name="sweep of"))
    sweep.get_by_role("button").click()
