"""What runs did in parameter space: their paths on the loss, over one parameter, or a plane."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.errors import ConfigError, NoForm
from runner.objective.closed_form import LeastSquares
from runner.objective.minima import Minima
from runner.record.run import RecordedRun
from runner.report.comparison import Comparison
from runner.report.drawn import label, thin
from runner.report.landscape import Landscape, landscape
from runner.report.plane import Plane, plane
from runner.report.problem import FittedProblem, problem

AT_ONCE = 12
BUDGET = 40_000
"""So many points are about what a page has room for, of all paths together."""
FEWEST, MOST_POINTS = 8, 120
COARSE = {True: 31, False: 61}
"""Along each direction of a plane, for a module of PyTorch's, and for a model by hand."""
MOST_NUMBERS = 2 * 10**8
"""Of paths that are kept at once while the plane is looked for."""


class Path(NamedTuple):
    """Of a line of the comparison, at some of its steps."""

    line: int
    steps: NDArray[np.int64]
    x: Array
    y: Array


class Paths(NamedTuple):
    paths: list[Path]
    first: list[int]
    """The lines whose paths are drawn as long as none is kept"""
    names: tuple[str, str]
    """Of the axes"""
    land: Landscape
    words: list[str]


def paths(compared: Comparison) -> Paths:
    """The paths of all runs that can be drawn together. Raises ConfigError where none can."""
    order = [i for i in compared.ranked() if compared.lines[i].has_curve]
    runs = {i: run for i in order if (run := compared.lines[i].run) is not None}
    kinds = {i: (compared.lines[i].parameters, compared.lines[i].numbers) for i in runs}
    kind, count = Counter(kinds.values()).most_common(1)[0]
    names, words = kind[0], []
    if left := len(kinds) - count:
        is_one = left == 1
        words.append(f"{left} run{' has' if is_one else 's have'} other parameters: left out.")
    order = [i for i in order if kinds[i] == kind]
    fitted = _fitted(runs[order[0]])
    even = np.linspace(0, len(order) - 1, min(AT_ONCE, len(order))).round().astype(int)
    first = [order[at] for at in even]
    steps, tracks = _tracks([(i, runs[i]) for i in order], first)
    if any(track.shape[1] != fitted.parameters for track in tracks.values()):
        raise ConfigError("the run has other parameters than its config")
    ended = [compared.lines[i].outcome != "diverged" for i in order]
    own, points = fitted, None
    axes = (names[0], "loss") if len(names) == 1 else (names[0], names[-1])
    if fitted.parameters > 2:
        through = plane([tracks[i] for i in order])
        own = FittedProblem(through.restricted(fitted.loss), 2, fitted.data)
        points = COARSE[fitted.solution is None]
        tracks = {i: through.project(track) for i, track in tracks.items()}
        axes = ("first principal component", "second principal component")
        words += _of_the_plane(through, fitted)
    land = landscape(own, list(tracks.values()), ended, points, whole=own is not fitted)
    words += _of_the_land(compared, order, fitted, land, names)
    made = []
    for index in order:
        track = land.inside(tracks[index].astype(np.float64))
        x = track[:, 0]
        y = land.loss(track) if len(names) == 1 and fitted.parameters == 1 else track[:, 1]
        at = steps[index]
        # The last point is out there, where it has left.
        made.append(Path(index, at[: len(track)], x, y))
    return Paths(made, first, axes, land, words)


def _fitted(run: RecordedRun) -> FittedProblem:
    try:
        return problem(run)
    except NoForm:
        from runner.report.network_loss import of_network  # now that it is worth torch's import

        return of_network(run)


def _tracks(
    runs: Sequence[tuple[int, RecordedRun]], first: Sequence[int]
) -> tuple[dict[int, NDArray[np.int64]], dict[int, Array]]:
    """Steps and parameters of each run, thinned; those that are drawn at first the least."""
    usual = max(FEWEST, min(MOST_POINTS, BUDGET // len(runs)))
    steps, tracks = {}, {}
    for index, run in runs:
        at, parameters = run.trajectory().parameters
        size = max(1, parameters.shape[1])
        most = MOST_POINTS if index in first else usual
        few = max(3, min(most, MOST_NUMBERS // (size * len(runs))))
        kept = _thin(parameters, few)
        steps[index], tracks[index] = at[kept], parameters[kept]
    return steps, tracks


def _thin(track: Array, most: int) -> NDArray[np.intp]:
    """So many points that the first parameter's and the last one's extremes are kept."""
    if len(track) <= most:
        return np.arange(len(track))
    half = [thin(track[:, column], most // 2) for column in {0, track.shape[1] - 1}]
    return np.unique(np.concatenate(half))


def _of_the_plane(through: Plane, fitted: FittedProblem) -> list[str]:
    words = [
        f"The plane is that of the first two principal components of the paths, which have "
        f"{100 * through.share:.3g} % of their variance; the loss on it is computed anew, at every "
        f"point, for all {fitted.parameters:,} parameters."
    ]
    if fitted.of:
        words.append(f"It is that of {fitted.of:,} of the samples, evenly taken.")
    return words


def _of_the_land(
    compared: Comparison, order: Sequence[int], fitted: FittedProblem, land: Landscape, names: Any
) -> list[str]:
    """What a reader of the picture should know."""
    least = f"loss {land.loss(land.minima)[0]:.6g}"
    stars = "the star is the minimum" if len(land.minima) == 1 else "stars are the minima"
    if land.exact:
        at = "; ".join(", ".join(f"{v:.6g}" for v in one) for one in land.minima)
        source = "as published" if isinstance(fitted.solution, Minima) else "in closed form"
        least = f"{source}: {', '.join(names)} = {at}, {least}"
    else:
        least = f"the lowest point of this picture: {least}"
    words = [f"Circles are starts, squares ends, {stars} ({least})."]
    if isinstance(fitted.solution, LeastSquares) and land.exact and not fitted.solution.is_unique:
        words.append("Of all minima, the one nearest to 0.")
    if any(compared.lines[i].outcome == "diverged" for i in order):
        words.append("A diverged run is drawn up to where it leaves the picture.")
    if len({compared.lines[i].fits for i in order}) > 1:
        words.append(
            "The cells differ in data or loss: the landscape is that of the best cell, "
            f"{label(compared, order[0])}, and the heights of the others' paths are on it."
        )
    return words
