"""Reports to be looked at in a browser: the sweeps that they are of, and what a page shows."""

from contextlib import contextmanager

from tests.support.browser import PLOTS_ARE_DRAWN, visit

LINE = "gradient=by_hand", "model=linear", "dataset=noisy_line"
MLP = "dataset=digits", "model=mlp", "loss=cross_entropy", "batch_size=128", "epochs=3"


def rates(count, last):
    """So many learning rates, up to the last."""
    return ",".join(f"{last * number / count:g}" for number in range(1, count + 1))


PAGES = {
    "2 cells": ["-m", "gradient=by_hand", "lr=0.01,0.1"],  # one parameter
    "12 cells": ["-m", *LINE, "optimizer=sgd,adam", "lr=0.01,0.03,0.1,0.3,1.2,3", "epochs=80"],
    "240 cells": [
        *("-m", *LINE, "optimizer=sgd,momentum,adam,rmsprop", "lr=0.01,0.03,0.1,0.3,0.9,3"),
        *("seed=range(10)", "epochs=80"),
    ],
    "two numbers": [
        *("-m", *LINE, "optimizer=momentum", "optimizer.momentum=0,0.3,0.6,0.9"),
        *("lr=0.03,0.1,0.3,1,1.5,3", "seed=1,2,3", "dataset.seed=0", "epochs=60"),
    ],
    "a search": [
        *("-m", "gradient=by_hand", "model=linear", "model.bias=false", "dataset=ill_conditioned"),
        *("optimizer=momentum", "optimizer.momentum=interval(0,0.99)", "epochs=60"),
        *("lr=tag(log,interval(1e-3,9))", "sweep.sampler=tpe", "sweep.samples=80"),
        "sweep.prune=median",
    ],
    "diverged only": ["-m", *LINE, "lr=3,5,9"],
    "one run": [*LINE, "validation=0.2", "schedule=cosine", "lr=0.3", "epochs=60"],
    "20 parameters": [
        *("-m", "gradient=by_hand", "model=linear", "model.bias=false", "dataset=ill_conditioned"),
        *("dataset.features=20", "optimizer=sgd,adam", "lr=0.1,0.3,0.9", "epochs=200"),
    ],
    "10,000 parameters": [
        *("-m", *MLP, "model.widths=[135]", "optimizer=sgd,adam", "lr=0.003,0.03"),
        *("validation=0.2", "schedule=cosine"),
    ],
    "2,000 cells": ["-m", *LINE, "optimizer=sgd,adam", f"lr={rates(1000, 1.2)}", "epochs=50"],
    "10,000 cells": [
        *("-m", *LINE, "optimizer=sgd,adam", f"lr={rates(1000, 1.2)}", "seed=range(5)"),
        "epochs=30",
    ],
}
"""By name, what is typed."""

# The cells that each plot marks, by the names of their sources.
MARKS = """() => Object.fromEntries([...page.plots].flatMap(([name, plot]) =>
  plot.renderers.map((one) => one.data_source)
    .filter((one) => one?.name === `${name} marks`)
    .map((one) => [name, Object.values(one.data)[0].length])))"""

SOURCE = """([plot, name]) => {
  const source = page.plots.get(plot).renderers.map((one) => one.data_source)
    .find((one) => one?.name === `${plot} ${name}`);
  const plain = (one) => (one?.map ? [...one].map(plain)
    : typeof one === "number" && !Number.isFinite(one) ? String(one) : one);
  return Object.fromEntries(Object.entries(source.data).map(([key, own]) => [key, plain(own)]));
}"""


def marks(page):
    """How many marked things each plot shows."""
    return page.evaluate(MARKS)


def shown(page, plot, name):
    """What a plot draws from one of its sources, by column; infinity and NaN as text."""
    return page.evaluate(SOURCE, [plot, name])


@contextmanager
def opened(browser, path, width=1280, **how):
    """Open a report, which whatever is done there must not complain or ask for anything."""
    said = []
    size = {"width": width, "height": 900}
    with visit(browser, path.as_uri(), viewport=size, **how) as (page, refused):
        page.on("console", lambda told: said.append((told.type, told.text)))
        page.on("pageerror", lambda error: said.append(("error", str(error))))
        page.goto(path.as_uri())
        page.wait_for_function(PLOTS_ARE_DRAWN)
        yield page
        assert refused == []
        assert [text for kind, text in said if kind in ("error", "warning")] == []


def column(page, name, rows="tr"):
    """What the table shows in a column, from above."""
    heads = [text.strip() for text in page.locator("#cells th").all_inner_texts()]
    [at] = [at for at, text in enumerate(heads) if text.rstrip(" ▲▼") == name]
    return page.locator(f"#cells tbody {rows} td:nth-child({at + 1})").all_inner_texts()
