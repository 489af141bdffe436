"""Paths through a landscape as a film: a GIF, by matplotlib and Pillow."""

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from PIL import Image, ImageSequence

from runner.base.colour import colour
from runner.errors import ConfigError
from runner.report.comparison import Comparison
from runner.report.drawn import label
from runner.report.paths import paths
from runner.report.theory import Curve, Picture, drawn, on_white

FRAMES, PER_SECOND, REST = 40, 12, 10
COLOURS = 64
DPI = 70


def of_runs(compared: Comparison) -> Picture:
    """The paths of these runs. Raises ConfigError where there are none on a plane."""
    found = paths(compared)
    if len(found.land.grid) != 2:
        raise ConfigError("a film needs two parameters or more: one has no plane")
    shown = [path for path in found.paths if path.line in found.first]
    tracks = [
        Curve(path.x, path.y, label(compared, path.line), colour=number, steps=path.steps)
        for number, path in enumerate(shown)
    ]
    stars = Curve(found.land.minima[:, 0], found.land.minima[:, 1], "minimum", is_points=True)
    x, y = found.land.grid
    return Picture("", *found.names, [*tracks, stars], levels=(x, y, found.land.values))


def as_gif(picture: Picture) -> bytes:
    """The picture's tracks, step by step: the first ones slowly, as the logarithm of their number.

    A track without steps has one for each of its points.
    """
    moving = [curve for curve in picture.curves if not curve.is_points]
    still = [curve for curve in picture.curves if curve.is_points]
    made = drawn(replace(picture, curves=still))
    on_white(made)
    [axes] = made.axes
    lines = []
    for curve in moving:
        own = colour(curve.colour)
        [line] = axes.plot([], [], color=own, linewidth=1.6, label=curve.label)
        [head] = axes.plot([], [], "o", color=own, markersize=7, markeredgecolor="white")
        at = np.arange(len(curve.x)) if curve.steps is None else curve.steps
        lines.append((curve, at, line, head))
    axes.legend(fontsize=8, loc="upper left")
    last = max(int(at[-1]) for _, at, _, _ in lines)
    steps = np.unique(np.expm1(np.linspace(0, np.log1p(last), FRAMES)).round().astype(int))
    steps = np.concatenate([steps, np.repeat(steps[-1:], REST)])

    def show(frame: int) -> list[Any]:
        for curve, at, line, head in lines:
            count = int(np.searchsorted(at, steps[frame], side="right"))
            line.set_data(curve.x[:count], curve.y[:count])
            head.set_data(curve.x[count - 1 : count], curve.y[count - 1 : count])
        axes.set_title(" ".join([picture.title, f"step {steps[frame]}"]).strip(), fontsize=10)
        return []

    moves = FuncAnimation(made, show, frames=len(steps), blit=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.gif"  # Pillow asks its name what it is
        moves.save(path, PillowWriter(fps=PER_SECOND), dpi=DPI)
        return _in_few_colours(path)


def _in_few_colours(path: Path) -> bytes:
    """The film in a fifth of its size: lines and greys need no more colours."""
    with Image.open(path) as film:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
        lasts = [frame.info.get("duration", 0) for frame in ImageSequence.Iterator(film)]
    last = frames[-1].quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    plain = [frame.quantize(palette=last, dither=Image.Dither.NONE) for frame in frames]
    content = io.BytesIO()
    more = {"save_all": True, "append_images": plain[1:], "duration": lasts, "loop": 0}
    plain[0].save(content, "gif", optimize=True, **more)
    return content.getvalue()
