"""Plots of all runs, by Bokeh: final losses over a value, bands over seeds, loops apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Label, Range1d, Span
from numpy.typing import NDArray

from runner.colour import colour
from runner.report.drawn import is_wide, thin
from runner.report.plots import TOP, hover, legend, plot

Array = NDArray[np.floating[Any]]

MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "plus", "star")


def sensitivity(
    key: str,
    curves: dict[str, tuple[Array, Array]],
    diverged: dict[str, Array],
    edges: Sequence[float],
    first: float,
) -> Any:
    """Final loss over `key`: of each curve (values, losses); diverged ones at the top edge.

    `first` is the largest loss at a start: what ends far above it is drawn at the edge as well.
    """
    x = np.concatenate([*(x for x, _ in curves.values()), *diverged.values()])
    y = np.concatenate([y for _, y in curves.values()] or [np.ones(1)])
    log = bool((x > 0).all()) and (is_wide(x) or key.endswith("lr"))
    height = bool((y > 0).any())
    floor = y[y > 0].min() / 10 if height else 0.0
    y_low = floor / 2 if height else min(0.0, y.min())
    y_top = min(y.max(), TOP * first) * (10 if height else 1.1)
    ends = np.array([x.min(), x.max(), *edges])  # an edge beyond what was swept is shown, too
    low, high = ends.min(), ends.max()
    by = max((high / low) ** 0.05, 1.05) if log else 0.05 * (high - low) or 1.0
    made = plot(
        "sensitivity",
        key,
        "final loss",
        x_range=Range1d(low / by, high * by) if log else Range1d(low - by, high + by),
        x_axis_type="log" if log else "linear",
        y_axis_type="log" if height else "linear",
        y_range=Range1d(y_low, y_top * (2 if height else 1.05)),
    )
    renderers, marks = [], []
    for number, name in enumerate(dict.fromkeys([*curves, *diverged])):
        values, final = curves.get(name, (np.empty(0), np.empty(0)))
        shown = np.clip(final, floor if height else None, y_top)
        source = ColumnDataSource(
            {"x": values, "y": shown, "loss": final, "run": [name] * len(values)}
        )
        look = {"color": colour(number), "legend_label": name}
        made.line("x", "y", source=source, line_width=1.5, **look)
        renderers.append(
            made.scatter(
                "x",
                "y",
                source=source,
                size=6,
                marker=MARKERS[number % len(MARKERS)],
                fill_alpha=0.6,
                **look,
            )
        )
        left = diverged.get(name, np.empty(0))
        source = ColumnDataSource(
            {"x": left, "y": np.full(len(left), y_top), "run": [name] * len(left)}
        )
        marks.append(
            made.scatter("x", "y", source=source, size=9, marker="x", line_width=2, **look)
        )
    for edge in edges:
        made.add_layout(Span(location=edge, dimension="height", line_dash="dashed"))
        made.add_layout(
            Label(
                x=edge,
                y=y_top,
                text=f"stability edge {edge:.6g} ",
                angle=np.pi / 2,
                x_offset=-3,
                text_align="right",
                text_font_size="12px",
                background_fill_color="white",
                background_fill_alpha=0.8,
            )
        )
    value = key, "@x{%.6g}"
    hover(made, renderers, ("", "@run"), value, ("final loss", "@loss{%.6g}"))
    hover(made, marks, ("", "@run, diverged"), value)
    legend(made)
    return made


def spread(steps: NDArray[np.int64], bands: dict[str, tuple[Array, Array, Array]]) -> Any:
    """Of each curve, over seeds: the least loss, the mean and the largest."""
    everything = np.concatenate([part for band in bands.values() for part in band])
    made = plot("spread", "epoch", "loss", y_axis_type="log" if is_wide(everything) else "linear")
    renderers = []
    for number, (name, (low, mean, high)) in enumerate(bands.items()):
        own = colour(number)
        made.varea(steps, low, high, fill_color=own, fill_alpha=0.2, legend_label=name)
        source = ColumnDataSource(
            {"epoch": steps, "low": low, "mean": mean, "high": high, "run": [name] * len(steps)}
        )
        renderers.append(
            made.line("epoch", "mean", source=source, color=own, line_width=2, legend_label=name)
        )
    figures = ("mean", "@mean{%.6g}"), ("least", "@low{%.6g}"), ("largest", "@high{%.6g}")
    hover(made, renderers, ("", "@run"), ("epoch", "@epoch"), *figures)
    legend(made)
    return made


def differences(curves: dict[str, tuple[Array, Array]]) -> Any:
    """How far loops are apart at each epoch; where they agree to the last bit there is no point."""
    last = max(steps[-1] for steps, _ in curves.values())
    ends = Range1d(-0.02 * last, 1.02 * last)
    made = plot("differences", "epoch", "difference", y_axis_type="log", x_range=ends)
    renderers = []
    for number, (name, (steps, values)) in enumerate(curves.items()):
        kept = thin(values)
        shown = np.where(values[kept] > 0, values[kept], np.nan)
        source = ColumnDataSource(
            {"epoch": steps[kept], "difference": shown, "run": [name] * len(kept)}
        )
        look = {"color": colour(number), "legend_label": name}
        made.line("epoch", "difference", source=source, **look)
        renderers.append(
            made.scatter(
                "epoch",
                "difference",
                source=source,
                size=5,
                marker=MARKERS[number % len(MARKERS)],
                **look,
            )
        )
    hover(made, renderers, ("", "@run"), ("epoch", "@epoch"), ("difference", "@difference{%.3g}"))
    legend(made)
    return made
