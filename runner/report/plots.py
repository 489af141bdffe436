"""Plots of the runs that are drawn, by Bokeh: losses, paths over a landscape, parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from runner.report.comparison import Comparison
from runner.report.drawn import Group, is_wide, label, positive, thin
from runner.report.landscape import Landscape

Array = NDArray[np.floating[Any]]

HEIGHT = 420
TOP = 100.0  # times the largest first loss: what is beyond leaves the plot


def plot(name: str, x: str, y: str, **options: Any) -> Any:
    """An empty plot that fills the width of the page, and leaves scrolling to the page."""
    made = figure(
        name=name,
        height=options.pop("height", HEIGHT),
        sizing_mode="stretch_width",
        tools="pan,box_zoom,reset,save",
        active_drag=None,
        toolbar_location="above",
        x_axis_label=x,
        y_axis_label=y,
        **options,
    )
    made.xaxis.ticker.desired_num_ticks = 4  # as many as a narrow page has room for
    made.toolbar.logo = None
    made.toolbar.autohide = False
    return made


def hover(made: Any, renderers: Sequence[Any], *shown: tuple[str, str]) -> None:
    """Tell what is under the mouse: label and field, `{%.6g}` after those that are numbers."""
    # Bokeh's own format of a number knows no exponent.
    numbers = {field.partition("{")[0]: "printf" for _, field in shown if "{%" in field}
    made.add_tools(HoverTool(renderers=renderers, tooltips=list(shown), formatters=numbers))


def legend(made: Any) -> None:
    """Put the legend above the plot, where it hides no curve, and make it toggle what it names."""
    if not made.legend:
        return
    [own] = made.legend
    own.click_policy = "hide"
    own.ncols = 2
    own.label_text_font_size = "12px"
    own.padding = own.margin = own.spacing = 2
    own.border_line_color = None
    made.add_layout(own, "above")
    made.height += 20 * -(-len(own.items) // 2)


def losses(compared: Comparison, groups: Sequence[Group], curves: dict[int, Array]) -> Any:
    """Loss over epochs: `curves` has, by index, (steps, 2) of each line that is drawn."""
    everything = np.concatenate([curve[:, 1] for curve in curves.values()])
    log = is_wide(everything)
    first = np.array([curve[0, 1] for curve in curves.values()])
    shown = everything[np.isfinite(everything) & ((everything > 0) | (not log))]
    top = min(shown.max(), TOP * np.nanmax(first)) if len(shown) else 1.0
    bottom = shown.min() if len(shown) else 0.1
    margin = (top / bottom) ** 0.04 if log else 1
    ends = (bottom / margin, top * margin) if log else (bottom - 0.04 * top, 1.04 * top)
    made = plot(
        "losses", "epoch", "loss", y_axis_type="log" if log else "linear", y_range=Range1d(*ends)
    )
    if sum(line.has_curve for line in compared.lines) > len(curves):
        low, middle, high = quantiles(compared.losses)
        high = np.minimum(high, ends[1])
        look = {"fill_color": "#999999", "fill_alpha": 0.3, "legend_label": "half of all cells"}
        made.varea(compared.epochs, np.maximum(low, ends[0]), high, **look)
        look = {"color": "black", "line_width": 4, "legend_label": "median of all cells"}
        made.line(compared.epochs, np.minimum(middle, ends[1]), **look)
    renderers = []
    for number, group in enumerate(groups):
        own = [curves[index] for index in group.indices]
        source = ColumnDataSource(
            {
                "epoch": [curve[:, 0] for curve in own],
                "loss": [positive(curve[:, 1]) if log else curve[:, 1] for curve in own],
                "run": [label(compared, index) for index in group.indices],
            }
        )
        renderers.append(
            made.multi_line(
                "epoch",
                "loss",
                source=source,
                color=group.colour,
                line_dash=group.dash,
                line_width=2,
                line_alpha=0.9 if len(own) == 1 else 0.6,
                legend_label=group.label,
                name=f"group {number}",
            )
        )
    figures = ("epoch", "$snap_x{%d}"), ("loss", "$snap_y{%.6g}")
    hover(made, renderers, ("run", "@run"), *figures)
    legend(made)
    return made


def quantiles(losses: Array) -> tuple[Array, Array, Array]:
    """A quarter, half and three quarters over the cells, of values of which some are infinite."""
    ranked = np.sort(losses[~np.isnan(losses).all(axis=1)], axis=0)  # NaN last
    low, middle, high = (ranked[int(q * (len(ranked) - 1))] for q in (0.25, 0.5, 0.75))
    return low, middle, high


def paths(
    compared: Comparison,
    groups: Sequence[Group],
    tracks: dict[int, Array],
    names: Sequence[str],
    land: Landscape,
) -> Any:
    """The way of one or two parameters over the landscape of the loss.

    `tracks` has (steps, parameters) of each line that is drawn.
    """
    one = len(names) == 1
    low, high = land.low, land.high
    y_range = land.heights if one else (low[1], high[1])
    made = plot(
        "paths",
        names[0],
        "loss" if one else names[1],
        x_range=Range1d(low[0], high[0]),
        y_range=Range1d(*y_range),
    )
    if one:
        made.line(land.grid[0], land.values, color="#777777", line_width=2)
    else:
        levels = land.levels()
        fills = [
            f"#{v:02x}{v:02x}{v:02x}" for v in np.linspace(215, 252, len(levels) - 1).astype(int)
        ]
        made.contour(*land.grid, land.values, levels, fill_color=fills, line_color="#bbbbbb")
    renderers = []
    for number, group in enumerate(groups):
        own = [tracks[index] for index in group.indices]
        heights = [land.loss(points) for points in own]
        ys = heights if one else [points[:, 1] for points in own]
        names_of = [label(compared, index) for index in group.indices]
        source = ColumnDataSource(
            {
                "x": np.concatenate([points[:, 0] for points in own]),
                "y": np.concatenate(ys),
                "loss": np.concatenate(heights),
                "run": np.repeat(names_of, [len(points) for points in own]).tolist(),
            }
        )
        look = {"color": group.colour, "legend_label": group.label, "name": f"group {number}"}
        xs = [points[:, 0] for points in own]
        made.multi_line(xs, ys, line_dash=group.dash, line_width=1.5, line_alpha=0.7, **look)
        renderers.append(made.scatter("x", "y", source=source, size=4, **look))
        ends = [points[-1, 0] for points in own], [y[-1] for y in ys]
        made.scatter(*ends, size=11, marker="square", fill_alpha=0.6, **look)
    starts = np.unique([track[0] for track in tracks.values()], axis=0)
    at = land.loss(starts) if one else starts[:, 1]
    made.scatter(starts[:, 0], at, size=11, marker="circle", fill_color="white", line_color="black")
    least = land.minimum[None, :]
    at = land.loss(least) if one else least[:, 1]
    made.scatter(least[:, 0], at, size=16, marker="star", fill_color="#F0E442", line_color="black")
    shown = [(names[0], "@x{%.6g}"), ("loss", "@loss{%.6g}")]
    shown += [] if one else [(names[1], "@y{%.6g}")]
    hover(made, renderers, ("run", "@run"), *shown)
    legend(made)
    return made


def over_epochs(
    compared: Comparison,
    groups: Sequence[Group],
    curves: dict[int, tuple[NDArray[np.int64], Array]],
    name: str,
    id_in_page: str,
) -> Any:
    """One quantity over epochs: `curves` has, by index, steps and values of each line drawn."""
    made = plot(id_in_page, "epoch", name, height=240)
    renderers = []
    steps: dict[int, Array] = {index: own[0].astype(np.float64) for index, own in curves.items()}
    values: dict[int, Array] = {index: own[1].astype(np.float64) for index, own in curves.items()}
    ended = [v for index, v in values.items() if compared.lines[index].outcome != "diverged"]
    finite = np.concatenate(ended) if ended else np.empty(0)
    finite = finite[np.isfinite(finite)]
    if len(finite):
        low, high = float(finite.min()), float(finite.max())
        margin = 0.05 * (high - low) or 1.0
        made.y_range = Range1d(low - margin, high + margin)
        values = {index: _within(own, low, high) for index, own in values.items()}
    for number, group in enumerate(groups):
        there = [index for index in group.indices if index in values]
        own = [(index, thin(values[index])) for index in there]
        source = ColumnDataSource(
            {
                "epoch": [steps[index][some] for index, some in own],
                "value": [values[index][some] for index, some in own],
                "run": [label(compared, index) for index in there],
            }
        )
        look = {"color": group.colour, "line_dash": group.dash, "name": f"group {number}"}
        renderers.append(
            made.multi_line("epoch", "value", source=source, line_width=1.5, line_alpha=0.8, **look)
        )
    figures = ("epoch", "$snap_x{%d}"), (name, "$snap_y{%.6g}")
    hover(made, renderers, ("run", "@run"), *figures)
    return made


def _within(values: Array, low: float, high: float) -> Array:
    """The values up to where they leave what is looked at, and a last one out there."""
    width = (high - low) or 1.0
    out = ~((values > low - width) & (values < high + width))  # NaN too
    kept = values[: int(out.argmax()) + 1] if out.any() else values
    return np.clip(kept, low - 2 * width, high + 2 * width)
