"""Pictures of a study: what was measured, and the theory's line over it, by matplotlib."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from runner.base.arrays import Array
from runner.base.colour import colour

INK = "#808080"
"""Of what has no colour of its own: seen on white and on black"""
BLACK = "#000000"
SIZE = (8.0, 4.2)  # inches
MOST = 1500
"""So many points of a curve are drawn: more are not seen."""


@dataclass(frozen=True)
class Curve:
    """A line through points, or the points alone."""

    x: Any
    """(points,)"""
    y: Any
    """(points,), or of what was measured several times (times, points)"""
    label: str = ""
    """Once for curves that belong together"""
    is_theory: bool = False
    is_points: bool = False
    """Whether it is points that are marked, minima say"""
    colour: int = 0
    """Curves that belong together have the same."""
    steps: Any = None
    """(points,): where it is a track, after which step each of them is"""


@dataclass(frozen=True)
class Picture:
    """Measured curves, and the theory's over them."""

    title: str
    x: str
    y: str
    """What is along the axes"""
    curves: Sequence[Curve]
    log: str = ""
    """Which axes are logarithmic: x, y or xy"""
    words: str = ""
    """What is seen, in a sentence or two"""
    low: float | None = None
    high: float | None = None
    """From where to where the vertical axis goes, where the curves do not say"""
    levels: tuple[Array, Array, Array] | None = field(default=None, repr=False)
    """Along x, along y, and the heights (y, x) that lie under the curves"""
    moves: bool = False
    """Whether its curves are tracks that are shown step by step"""


def drawn(picture: Picture) -> Figure:
    """The picture, on a ground that may be light or dark."""
    made = Figure(figsize=SIZE, layout="constrained")
    made.patch.set_alpha(0)
    axes = made.subplots()
    axes.patch.set_alpha(0)
    if picture.levels:
        along_x, along_y, heights = picture.levels
        above = heights - np.nanmin(heights)
        above = np.log10(above + 1e-3 * (float(np.nanmedian(above)) or 1.0))
        axes.contourf(along_x, along_y, above, 20, cmap="Greys_r", alpha=0.4)
        axes.contour(along_x, along_y, above, 20, colors=INK, linewidths=0.4)
    for curve in picture.curves:
        _add(axes, curve)
    axes.set(title=picture.title, xlabel=picture.x, ylabel=picture.y)
    for name in picture.log:
        axis = axes.xaxis if name == "x" else axes.yaxis
        getattr(axes, f"set_{name}scale")("log")
        axis.set_major_locator(LogLocator(numticks=8))
    axes.set_ylim(picture.low, picture.high)
    axes.grid(color=INK, alpha=0.25, linewidth=0.5)
    for part in (axes.xaxis.label, axes.yaxis.label, axes.title):
        part.set_color(INK)
    axes.tick_params(colors=INK, which="both")
    for spine in axes.spines.values():
        spine.set_color(INK)
    if any(curve.label for curve in picture.curves):
        axes.legend(fontsize=8, framealpha=0, labelcolor=INK)
    return made


def _add(axes: Any, curve: Curve) -> None:
    x, rows = np.asarray(curve.x, float), np.atleast_2d(np.asarray(curve.y, float))
    some = np.unique(np.linspace(0, len(x) - 1, min(MOST, len(x))).round().astype(int))
    own = colour(curve.colour)
    look: dict[str, Any] = {"color": INK if own == BLACK else own, "linewidth": 1.2}
    if curve.is_theory:
        look |= {"linestyle": (0, (5, 3)), "linewidth": 2.2, "zorder": 3}
    elif len(rows) > 1:
        look |= {"alpha": 0.55}
    if curve.is_points:
        look = {"linestyle": "none", "marker": "*", "markersize": 14, "zorder": 4}
        look |= {"color": "#F0E442", "markeredgecolor": "black"}
    for number, row in enumerate(rows):
        axes.plot(x[some], row[some], label=curve.label if number == 0 else None, **look)


def as_svg(picture: Picture) -> str:
    """The same as a part of a page."""
    content = io.StringIO()
    drawn(picture).savefig(
        content, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
    )
    text = content.getvalue()
    return text[text.index("<svg") :]


def as_png(picture: Picture, path: Any) -> None:
    """The same as a file, on white."""
    made = drawn(picture)
    on_white(made)
    made.savefig(path, dpi=110)


def on_white(made: Figure) -> None:
    """Give it a ground of its own."""
    made.patch.set(alpha=1, facecolor="white")
