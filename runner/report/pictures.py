"""Pictures of one run: its path over the loss's landscape, and its loss for a notebook."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.base.colour import colour
from runner.errors import ConfigError
from runner.record.column import PARAMETERS
from runner.record.run import RecordedRun
from runner.record.trajectory import Trajectory
from runner.report.drawn import is_wide, positive, thin
from runner.report.landscape import landscape
from runner.report.problem import problem

SIZE = (7.0, 4.5)  # inches
DOTS = 110  # an inch
MOST_POINTS = 4000  # of a curve: more than a picture has dots


def draw(run: RecordedRun, folder: Path) -> Iterator[Path]:
    """Draw what MLflow's own charts do not show: the path over the landscape, into a file."""
    rows = run.trajectory()
    if len(rows) > 1 and (picture := _landscape(run, rows)) is not None:
        path = folder / "landscape.png"
        picture.savefig(path, dpi=DOTS)
        yield path


def _new(run: RecordedRun, x: str, y: str) -> tuple[Figure, Any]:
    picture = Figure(SIZE, layout="constrained")
    axes = picture.add_subplot()
    axes.set_title(run.name if len(run.name) < 70 else f"{run.name[:67]}...", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return picture, axes


def _mark_the_end(run: RecordedRun, axes: Any, x: float, y: float, steps: int) -> None:
    """Where a diverged run, of so many steps an epoch, was last finite."""
    if run.outcome != "diverged":
        return
    axes.plot(x, y, "X", color="#D55E00", markersize=10, zorder=4)
    at = run.tags.get("diverged_at", "")
    what = "step" if steps > 1 else "epoch"
    said = f"{axes.get_title()}\ndiverged at {what} {at}; the cross is the last finite step"
    axes.set_title(said, fontsize=10)


def loss_picture(run: RecordedRun, rows: Trajectory) -> Figure:
    """The loss over the epochs."""
    picture, axes = _new(run, "epoch", "loss")
    epochs, loss = rows.losses
    kept = thin(loss, MOST_POINTS)
    log = is_wide(loss)
    if log:
        axes.set_yscale("log")
    axes.plot(epochs[kept], positive(loss[kept]) if log else loss[kept], color=colour(0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _mark_the_end(run, axes, epochs[-1], loss[-1], rows.epoch_steps)
    return picture


def _landscape(run: RecordedRun, rows: Trajectory) -> Figure | None:
    """None if there are more than two parameters, or nobody knows what the loss is elsewhere."""
    own_names = rows.names(PARAMETERS)
    if len(own_names) > 2:
        return None
    try:
        fitted = problem(run)
    except ConfigError:
        return None
    if fitted.parameters != len(own_names):  # of a run that is not ours
        return None
    track = rows.parameters[1].astype(np.float64)
    one = len(own_names) == 1
    land = landscape(fitted, [track], [run.outcome != "diverged"])
    inside = land.inside(track)
    picture, axes = _new(run, own_names[0], "loss" if one else own_names[1])
    if one:
        axes.plot(land.grid[0], land.values, color="#7F7F7F")
    else:
        levels = land.levels()
        filled = axes.contourf(*land.grid, land.values, levels, cmap="Greys_r", alpha=0.45)
        axes.contour(*land.grid, land.values, levels, colors="#999999", linewidths=0.6)
        picture.colorbar(filled, label="loss", format="%.3g")
    height = land.loss(inside) if one else inside[:, 1]
    axes.plot(inside[:, 0], height, "o-", color=colour(0), markersize=3, linewidth=1)
    look = {"linestyle": "none", "markeredgecolor": "black", "zorder": 3}
    start, end = (inside[0, 0], height[0]), (inside[-1, 0], height[-1])
    axes.plot(*start, marker="o", color="white", markersize=9, label="start", **look)
    left = bool((inside[-1] < land.low).any() or (inside[-1] > land.high).any())
    if not left:
        axes.plot(*end, marker="s", color=colour(0), markersize=9, label="end", **look)
    least = land.minima[:, 0], land.loss(land.minima) if one else land.minima[:, 1]
    axes.plot(*least, marker="*", color="#F0E442", markersize=15, label="minimum", **look)
    axes.set_xlim(land.low[0], land.high[0])
    axes.set_ylim(*(land.heights if one else (land.low[1], land.high[1])))
    axes.legend()
    if left:
        axes.set_title(f"{run.name}: it leaves the picture", fontsize=10)
    return picture
