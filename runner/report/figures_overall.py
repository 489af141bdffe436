"""The page's plots of all runs together: a value over what was swept, and how far loops differ."""

from typing import Any

import numpy as np
from bokeh.models import ColorBar, LinearColorMapper, LogColorMapper, Range1d
from bokeh.palettes import Cividis256

from runner.base.colour import colour
from runner.report.drawn import DASHES, MARKERS
from runner.report.plot import HEIGHT, INK, answer, bands, legend, named_lines, plot, source, steady


def sensitivity(name: str) -> Any:
    """A value of each cell over a number that was swept: cells, medians, quartiles, edges."""
    made = plot(name, "", "")
    bands(made, name)
    named_lines(made, f"{name} lines")
    made.segment(
        "x",
        "low",
        "x",
        "high",
        source=source(f"{name} edges", "x", "low", "high", "colour"),
        color="colour",
        line_dash="dashed",
        line_width=2,
    )
    _points(made, name, ("at", "@x{%.6g}"), 0.6, "cell")
    legend(made)
    return made


def _points(made: Any, name: str, where: tuple[str, str], alpha: float | str, more: str) -> None:
    """A point for each cell, which answers by what it is; `more`: one more column of the source."""
    shown = "x", "y", "what", "value", "colour", "marker", "size", more
    cells = steady(
        made.scatter(
            "x",
            "y",
            source=source(f"{name} cells", *shown),
            marker="marker",
            size="size",
            color="colour",
            fill_alpha=alpha,
        )
    )
    _rings(made, name)
    answer(made, cells, ("run", "@what"), where, ("value", "@value"))


def _rings(made: Any, name: str) -> None:
    """Around what is marked."""
    made.scatter(
        "x",
        "y",
        source=source(f"{name} marks", "x", "y", "colour"),
        size=15,
        fill_color=None,
        line_color="colour",
        line_width=3,
        level="overlay",  # which is painted by itself: thousands of points stay as they are
    )


def samples(name: str, value: str) -> Any:
    """The value of each sample of a search in their order, and the best so far."""
    made = plot(name, "sample", value)
    best = source(f"{name} best", "x", "y")
    made.step("x", "y", source=best, mode="after", color=INK, line_width=2)
    _points(made, name, ("sample", "@x"), "alpha", "alpha")
    return made


def heat_map(name: str) -> Any:
    """A value over two numbers that were swept, a box for each pair; with the stability edge."""
    made = plot(name, "", "", height=HEIGHT + 40)
    columns = "left", "right", "bottom", "top", "colour", "hatch", "what", "value", "cells"
    boxes = steady(
        made.quad(
            "left",
            "right",
            "top",
            "bottom",
            source=source(f"{name} boxes", *columns),
            fill_color="colour",
            hatch_pattern="hatch",
            hatch_color="#D55E00",
            hatch_alpha=0.8,
            line_color=INK,
            line_width=0.5,
        )
    )
    edges = source(f"{name} edges", "xs", "ys")
    made.multi_line("xs", "ys", source=edges, color="#ffffff", line_width=6)
    made.multi_line("xs", "ys", source=edges, color="#D55E00", line_width=3, line_dash="dashed")
    made.quad(
        "left",
        "right",
        "top",
        "bottom",
        source=source(f"{name} marks", "left", "right", "bottom", "top", "colour"),
        fill_color=None,
        line_color="colour",
        line_width=4,
        level="overlay",
    )
    answer(made, boxes, ("setting", "@what"), ("value", "@value"))
    mappers = {
        "log": LogColorMapper(palette=Cividis256, low=1, high=10),
        "linear": LinearColorMapper(palette=Cividis256, low=0, high=1),
    }
    for kind, mapper in mappers.items():
        made.add_layout(
            ColorBar(color_mapper=mapper, name=f"{name} {kind}", width=12, visible=False), "right"
        )
    return made


OUTCOME_COLOURS = {
    "converged": "#009E73",
    "stopped_early": "#56B4E9",
    "exhausted": "#E69F00",
    "diverged": "#7F7F7F",
    "pruned": "#CC79A7",
}
"""Those of the boxes of a heat map: what diverged is hatched as well."""


def differences(curves: dict[str, tuple[Any, Any]]) -> Any:
    """How far loops are apart, over the epochs: for each pair of them (epochs, differences)."""
    made = plot("loops", "epoch", "largest difference of a parameter", y_axis_type="log")
    for number, (name, (epochs, apart)) in enumerate(curves.items()):
        seen = np.where(apart > 0, apart, np.nan)
        look = {"color": colour(number), "legend_label": name}
        made.line(epochs, seen, line_width=2, line_dash=DASHES[number % 8], **look)
        made.scatter(epochs, seen, size=5, marker=MARKERS[number % 8], **look)
    there = np.concatenate([apart[apart > 0] for _, apart in curves.values()])
    last = max(float(epochs[-1]) for epochs, _ in curves.values())
    made.x_range, made.y_range = (
        Range1d(0, last),
        Range1d(float(there.min()) / 2, float(there.max()) * 2),
    )
    legend(made)
    return made
