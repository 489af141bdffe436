"""The page's plots of runs: quantities over the steps, and paths through parameter space."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import Range1d

from runner.report.landscape import Landscape
from runner.report.plot import (
    HEIGHT,
    INK,
    LOOK,
    SMALL,
    answer,
    bands,
    legend,
    named_lines,
    plot,
    source,
    steady,
)


def curves(name: str, y: str, *, small: bool = False, named: bool = False) -> Any:
    """A quantity over the steps: lines and bands of settings, and the marked cells over them."""
    made = plot(name, "step", y, height=SMALL if small else HEIGHT)
    bands(made, name)
    columns = "xs", "ys", "what", "group", "colour", "dash", "width", "alpha"
    lines = steady(made.multi_line("xs", "ys", source=source(f"{name} lines", *columns), **LOOK))
    made.scatter(
        "x", "y", source=source(f"{name} points", "x", "y", "colour"), size=8, color="colour"
    )
    made.multi_line("xs", "ys", source=source(f"{name} marks", *columns), **LOOK)
    figures = ("x", "$snap_x{%.6g}"), ("y", "$snap_y{%.6g}")
    answer(made, lines, ("run", "@what"), *figures, line_policy="nearest")
    if named:  # of lines of its own, which are there whatever is faint
        named_lines(made, f"{name} legend")
        legend(made)
    return made


def paths(name: str, land: Landscape, names: Sequence[str]) -> Any:
    """The loss over one parameter, or over two directions; and on it up to a dozen paths."""
    one = len(land.grid) == 1
    made = plot(name, names[0], names[1], height=HEIGHT + 80)
    made.x_range = Range1d(land.low[0], land.high[0])
    made.y_range = Range1d(*(land.heights if one else (land.low[1], land.high[1])))
    if one:
        made.line(land.grid[0], land.values, color=INK, line_width=2)
    else:
        levels = land.levels()
        shades = np.linspace(0.42, 0.02, len(levels) - 1).tolist()
        shades = shades[::-1]  # the higher the darker, on white; on black, the lighter
        made.contour(
            *land.grid,
            land.values,
            levels,
            fill_color=INK,
            fill_alpha=shades,
            line_color=INK,
            line_alpha=0.6,
        )
    columns = "xs", "ys", "what", "colour", "dash", "width", "alpha"
    tracks = source(f"{name} tracks", *columns)
    lines = steady(made.multi_line("xs", "ys", source=tracks, **LOOK))
    made.multi_line("xs", "ys", source=source(f"{name} marks", *columns), **LOOK)
    for kind, size in (("starts", 10), ("heads", 12)):
        made.scatter(
            "x",
            "y",
            source=source(f"{name} {kind}", "x", "y", "colour"),
            marker="circle" if kind == "starts" else "square",
            size=size,
            fill_color="colour" if kind == "heads" else None,
            line_color="colour",
            fill_alpha=0.7,
        )
    least = land.minima
    height = land.loss(least) if one else least[:, 1]
    made.scatter(
        least[:, 0], height, size=16, marker="star", fill_color="#F0E442", line_color="#555555"
    )
    figures = (names[0], "$snap_x{%.6g}"), (names[1], "$snap_y{%.6g}")
    answer(made, lines, ("run", "@what"), *figures, line_policy="nearest")
    return made
