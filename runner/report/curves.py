"""The sections about the runs that are drawn: their losses, and the ways of their parameters."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.column import MEASURE, PARAMETERS, VALIDATION
from runner.config import ConfigError
from runner.recorded.run import Run
from runner.recorded.trajectory import Trajectory
from runner.report import plots
from runner.report.comparison import Comparison
from runner.report.drawn import MOST_POINTS, Group, label, thin
from runner.report.landscape import landscape
from runner.report.problem import problem
from runner.report.section import Section, section

Array = NDArray[np.floating[Any]]

MOST_PLOTS = 6


def curves(compared: Comparison, groups: Sequence[Group], rows: dict[int, Trajectory]) -> Section:
    """Losses over epochs."""
    shown = {}
    longest = 0
    for index, own in rows.items():
        epochs, loss = own.losses
        kept = thin(loss)
        longest = max(longest, len(loss) if len(kept) < len(loss) else 0)
        shown[index] = np.stack([epochs[kept].astype(np.float64), loss[kept]], axis=1)
    words = []
    if len(rows) < (there := sum(line.has_curve for line in compared.lines)):
        words.append(
            f"Drawn are {len(rows)} of {there} cells: the best and the worst of all and of each "
            "optimizer, and between them evenly spaced ones by their final loss. The median and "
            "the band, from a quarter to three quarters, are over all cells; a cell that has "
            "stopped goes on with its last loss, one that diverged as infinite."
        )
    if longest:
        words.append(
            f"Of a curve of up to {longest:,} epochs the page has at most {MOST_POINTS} points: "
            "the first, the last, and the extremes between."
        )
    return section("losses", "Loss", words, [plots.losses(compared, groups, shown)])


def paths(
    compared: Comparison, groups: Sequence[Group], rows: dict[int, Trajectory]
) -> Iterator[Section]:
    """The ways of one or two parameters over their landscape; of others, each over the epochs."""
    runs = {index: _run(compared, index) for index in rows}
    names = {tuple(own.names(PARAMETERS)) for own in rows.values()}
    if len(names) > 1:
        yield section("paths", "Parameters", ["The runs have different parameters."], [])
        return
    why = ""
    if all(len(own) <= 2 for own in names):
        try:
            yield _on_the_loss(compared, groups, rows, runs)
            return
        except ConfigError as error:
            why = f"No landscape: {str(error).splitlines()[0]}."
    words = [why] if why else []
    yield _over_epochs(compared, groups, rows, (PARAMETERS,), ("paths", "Parameters"), words)


def _on_the_loss(
    compared: Comparison,
    groups: Sequence[Group],
    rows: dict[int, Trajectory],
    runs: dict[int, Run],
) -> Section:
    """The paths on one landscape. Raises ConfigError where it cannot be built."""
    best = next(index for index in compared.ranked() if index in rows)
    fitted, names = problem(runs[best]), rows[best].names(PARAMETERS)
    if fitted.parameters != len(names):
        raise ConfigError("the run has other parameters than its config")
    others = [problem(run) for run in runs.values()]
    tracks: dict[int, Array] = {}
    for index, own in rows.items():
        track = own.parameters[1].astype(np.float64)
        tracks[index] = track[_thin_path(track)]
    ended = [compared.lines[index].outcome != "diverged" for index in rows]
    land = landscape(fitted, list(tracks.values()), ended)
    tracks = {index: land.inside(track) for index, track in tracks.items()}
    exact = "in closed form" if land.exact else "the lowest point drawn"
    at = ", ".join(f"{v:.6g}" for v in land.minimum)
    words = [
        f"Circles are starts, squares ends, the star is the minimum ({exact}): "
        f"{', '.join(names)} = {at}, loss {land.loss(land.minimum[None])[0]:.6g}."
    ]
    if fitted.solution and not fitted.solution.is_unique:
        words.append("Of all minima, the one nearest to 0.")
    if not all(ended):
        words.append("A diverged run is drawn up to where it leaves the picture.")
    ends = np.concatenate([track[[0, -1]] for track in tracks.values()])
    if not all(np.allclose(fitted.loss(ends), other.loss(ends)) for other in others):
        words.append(
            "The cells differ in data or loss: the landscape is that of the best cell, "
            f"{label(compared, best)}, and the heights of the others' paths are on it."
        )
    drawn = plots.paths(compared, groups, tracks, names, land)
    return section("paths", "Parameters on the loss", words, [drawn])


def _run(compared: Comparison, index: int) -> Run:
    run = compared.lines[index].run
    assert run is not None
    return run


def _thin_path(track: Array) -> NDArray[np.intp]:
    """So many points that the first parameter's and the last one's extremes are kept."""
    half = [thin(track[:, column], 120) for column in {0, track.shape[1] - 1}]
    return np.unique(np.concatenate(half))


def measures(
    compared: Comparison, groups: Sequence[Group], rows: dict[int, Trajectory]
) -> Section | None:
    """What else was recorded along the trajectories, each over the epochs."""
    if not compared.measures():
        return None
    return _over_epochs(compared, groups, rows, (MEASURE, VALIDATION), ("measures", "Measures"), [])


def _over_epochs(
    compared: Comparison,
    groups: Sequence[Group],
    rows: dict[int, Trajectory],
    roles: Sequence[str],
    titles: tuple[str, str],
    words: list[str],
) -> Section:
    """A plot for each of what is told of the columns of these roles."""
    told = {
        index: {name: (steps, values) for name, steps, values in own.told(*roles)}
        for index, own in rows.items()
    }
    names = list(dict.fromkeys(name for own in told.values() for name in own))
    if len(names) > MOST_PLOTS:
        words.append(f"The first {MOST_PLOTS} of {len(names)} {titles[1].lower()}.")
    if any(compared.lines[index].outcome == "diverged" for index in rows):
        words.append("The plots keep to the range of the runs that did not diverge.")
    made = [
        plots.over_epochs(
            compared,
            groups,
            {index: own[name] for index, own in told.items() if name in own},
            name,
            f"{titles[0]} {number}",
        )
        for number, name in enumerate(names[:MOST_PLOTS])
    ]
    return section(*titles, words, made)
