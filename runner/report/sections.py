"""What a page shows below its table, a section each: words, and a plot or a table."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.config import ConfigError
from runner.journal import Rows
from runner.report import columns, plots
from runner.report.comparison import Comparison
from runner.report.drawn import Group, label, thin
from runner.report.landscape import landscape
from runner.report.parity import parity
from runner.report.problem import edge, problem
from runner.report.runs import Run

Array = NDArray[np.floating[Any]]

MOST_PARAMETERS = 6
MOST_BANDS = 6


class Section(NamedTuple):
    """A heading, sentences, plots by Bokeh, and perhaps a table."""

    id: str
    title: str
    words: list[str]
    plots: list[Any]
    head: list[str]
    body: list[list[str]]


def section(
    id: str, title: str, words: list[str], plots: list[Any], table: Sequence[list[str]] = ()
) -> Section:
    """A section; the table's first row is its head."""
    return Section(id, title, words, plots, table[0] if table else [], list(table[1:]))


def curves(compared: Comparison, groups: Sequence[Group], rows: dict[int, Rows]) -> Section:
    """Losses over epochs."""
    shown = {}
    longest = 0
    for place, own in rows.items():
        loss = own["loss"][1:]
        kept = thin(loss)
        longest = max(longest, len(loss) if len(kept) < len(loss) else 0)
        shown[place] = np.stack([own["step"][1:][kept].astype(np.float64), loss[kept]], axis=1)
    words = []
    if len(rows) < (there := sum(line.epochs > 0 for line in compared.lines)):
        words.append(
            f"Drawn are {len(rows)} of {there} cells: the best and the worst of all and of each "
            "optimizer, and between them evenly spaced ones by their final loss. The median and "
            "the band, from a quarter to three quarters, are over all cells; a cell that has "
            "stopped goes on with its last loss, one that diverged as infinite."
        )
    if longest:
        words.append(
            f"Of a curve of up to {longest:,} epochs the page has at most {len(kept)} points: "
            "the first, the last, and the extremes between."
        )
    return section("losses", "Loss", words, [plots.losses(compared, groups, shown)])


def paths(
    compared: Comparison, groups: Sequence[Group], rows: dict[int, Rows]
) -> Iterator[Section]:
    """The ways of one or two parameters over their landscape; of others, each over the epochs."""
    runs = {place: _run(compared, place) for place in rows}
    names = {tuple(columns.names(run)) for run in runs.values()}
    if len(names) > 1:
        yield section("paths", "Parameters", ["The runs have different parameters."], [])
        return
    [own_names] = names
    why = ""
    if len(own_names) <= 2:
        best = next(place for place in compared.ranked() if place in rows)
        try:
            fitted = problem(runs[best])
            others = [problem(run) for run in runs.values()]
        except ConfigError as error:
            why = f"No landscape: {str(error).splitlines()[0]}."
        else:
            tracks: dict[int, Array] = {}
            words: list[str] = []
            for place, own in rows.items():
                track = own["parameters"].astype(np.float64)
                tracks[place] = track[_thin_path(track)]
            ended = [compared.lines[place].outcome != "diverged" for place in rows]
            land = landscape(fitted, list(tracks.values()), ended)
            tracks = {place: land.inside(track) for place, track in tracks.items()}
            exact = "in closed form" if land.exact else "the lowest point drawn"
            at = ", ".join(f"{v:.6g}" for v in land.minimum)
            words.append(
                f"Circles are starts, squares ends, the star is the minimum ({exact}): "
                f"{', '.join(own_names)} = {at}, loss {land.loss(land.minimum[None])[0]:.6g}."
            )
            if not all(ended):
                words.append("A diverged run is drawn up to where it leaves the picture.")
            ends = np.array([track[[0, -1]] for track in tracks.values()]).reshape(
                -1, len(own_names)
            )
            if not all(np.allclose(fitted.loss(ends), other.loss(ends)) for other in others):
                words.append(
                    "The cells differ in data or loss: the landscape is that of the best cell, "
                    f"{label(compared, best)}, and the heights of the others' paths are on it."
                )
            plot = plots.paths(compared, groups, tracks, own_names, land)
            yield section("paths", "Parameters on the loss", words, [plot])
            return
    yield _over_epochs(compared, groups, rows, runs, why)


def _run(compared: Comparison, place: int) -> Run:
    run = compared.lines[place].run
    assert run is not None
    return run


def _thin_path(track: Array) -> NDArray[np.intp]:
    """So many points that the first parameter's and the last one's extremes are kept."""
    half = [thin(track[:, column], 120) for column in {0, track.shape[1] - 1}]
    return np.unique(np.concatenate(half))


def _over_epochs(
    compared: Comparison,
    groups: Sequence[Group],
    rows: dict[int, Rows],
    runs: dict[int, Run],
    why: str,
) -> Section:
    own_columns: dict[int, Array] = {
        place: columns.columns(own, runs[place]) for place, own in rows.items()
    }
    steps: dict[int, Array] = {p: own["step"].astype(np.float64) for p, own in rows.items()}
    names = columns.names(next(iter(runs.values())))
    words = [why] if why else []
    if len(names) > MOST_PARAMETERS:
        words.append(f"The first {MOST_PARAMETERS} of {len(names)} parameters.")
    if any(compared.lines[place].outcome == "diverged" for place in rows):
        words.append("The plots keep to the range of the runs that did not diverge.")
    made = [
        plots.parameter(
            compared,
            groups,
            steps,
            {place: values[:, number] for place, values in own_columns.items()},
            name,
            number,
        )
        for number, name in enumerate(names[:MOST_PARAMETERS])
    ]
    return section("paths", "Parameters", words, made)


def sensitivity(compared: Comparison) -> Section | None:
    """Final loss over the learning rate, or over what else was swept and is a number."""
    key = next(filter(None, (_numeric(compared, key) for key in _by_lr(compared.swept))), None)
    if key is None:
        return None
    others = [other for other in compared.swept if other != key and not _is_seed(other)]
    if len({_values(line.swept, others) for line in compared.lines}) > 8:
        others = [other for other in others if other == "optimizer"]
    ended: dict[str, dict[float, list[float]]] = {}
    left: dict[str, set[float]] = {}
    for line in compared.lines:
        name = " ".join(_values(line.swept, others)) or "all cells"
        if line.outcome == "diverged":
            left.setdefault(name, set()).add(float(line.swept[key]))
        elif line.epochs:
            own = ended.setdefault(name, {}).setdefault(float(line.swept[key]), [])
            own.append(line.final_loss)
    if not ended and not left:
        return None
    several = any(len(found) > 1 for own in ended.values() for found in own.values())
    lines = {
        name: (np.array(sorted(own)), np.array([float(np.median(own[x])) for x in sorted(own)]))
        for name, own in ended.items()
    }
    crosses = {name: np.array(sorted(own)) for name, own in left.items()}
    words = ["A cross at the top edge is a value at which cells diverged."] if left else []
    if several:
        words.append("Where several cells share a value, the median of their final losses.")
    edges: list[float] = []
    if key.endswith("lr"):
        edges, why = _edges(compared)
        words += why
    first = float(np.nanmax(compared.losses[:, 0]))
    if any((final > plots.TOP * first).any() for _, final in lines.values()):
        words.append(f"What ended above {plots.TOP:g} times the start is drawn at the top edge.")
    drawn = plots.sensitivity(key, lines, crosses, edges[:1], first)
    return section("sensitivity", f"Final loss over {key}", words, [drawn])


def _by_lr(keys: Sequence[str]) -> list[str]:
    return sorted((key for key in keys if not _is_seed(key)), key=lambda key: key[-2:] != "lr")


def _is_seed(key: str) -> bool:
    return key.rpartition(".")[2] == "seed"


def _numeric(compared: Comparison, key: str) -> str | None:
    try:
        values = {float(line.swept[key]) for line in compared.lines}
    except ValueError:
        return None
    return key if len(values) > 1 else None


def _values(swept: dict[str, str], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(swept[key] if key == "optimizer" else f"{key}={swept[key]}" for key in keys)


def _edges(compared: Comparison) -> tuple[list[float], list[str]]:
    """The stability edges of the cells that are plain descent on least squares, and what to say."""
    found: dict[float, int] = {}
    for line in compared.lines:
        if line.run is None:
            continue
        try:
            at = edge(line.run)
        except ConfigError:  # told already, where the optimum is missing
            continue
        if at is not None:
            found[at] = found.get(at, 0) + 1
    if not found:
        return [], []
    edges = sorted(found, key=lambda at: -found[at])
    if len(edges) == 1:
        said = f"{edges[0]:.6g}"
    else:
        said = f"{min(edges):.6g} to {max(edges):.6g}, as the cells' data differ; drawn is one"
    return edges, [
        f"The stability edge of plain descent, 2 / lambda_max of the loss's Hessian, is {said}: "
        "from there on it moves away from the minimum. Other optimizers have other edges."
    ]


def seeds(compared: Comparison) -> Section | None:
    """Mean and spread over seeds, for each of the other values that were swept."""
    keys = [key for key in compared.swept if _is_seed(key)]
    if not keys:
        return None
    others = [key for key in compared.swept if key not in keys]
    together: dict[str, list[int]] = {}
    for place, line in enumerate(compared.lines):
        if line.epochs:
            name = " ".join(_values(line.swept, others)) or "all"
            together.setdefault(name, []).append(place)
    body, bands = [], {}
    ranked = []
    for name, places in together.items():
        final = np.array([compared.lines[place].final_loss for place in places])
        off = sum(compared.lines[place].outcome == "diverged" for place in places)
        kept = [p for p in places if compared.lines[p].outcome != "diverged"]
        own = np.array([compared.lines[place].final_loss for place in kept])
        said = [f"{f(own):.6g}" for f in (np.mean, np.std, np.min, np.max)] if kept else [""] * 4
        ranked.append((float(np.mean(own)) if kept else np.inf, name))
        body.append([name, str(len(final)), *said, str(off)])
        losses = compared.losses[kept]
        if len(kept):
            bands[name] = (losses.min(axis=0), losses.mean(axis=0), losses.max(axis=0))
    order = [name for _, name in sorted(ranked)]
    body.sort(key=lambda row: order.index(row[0]))
    shown = {name: bands[name] for name in order[:MOST_BANDS] if name in bands}
    words = [
        "Mean, standard deviation, least and largest final loss over the seeds that did not "
        "diverge; the band is from the least to the largest, the line the mean."
    ]
    if len(bands) > len(shown):
        words.append(f"Drawn are the {len(shown)} best of {len(bands)}, by their mean.")
    if len(body) > 50:
        words.append(f"The table has the 50 best of {len(body)}.")
    head = [" and ".join(others) or "swept", "seeds", "mean", "std", "least", "largest", "diverged"]
    drawn = [plots.spread(compared.steps, shown)] if shown else []
    return section("seeds", "Over seeds", words, drawn, [head, *body[:50]])


def loops(compared: Comparison) -> Section | None:
    """How far loops differ on the same experiment, step by step."""
    runs = [line.run for line in compared.lines if line.run is not None and line.epochs]
    found = parity(runs)
    if not found.pairs:
        return None
    words = [
        "Runs of one experiment through several loops: at each epoch the largest difference of a "
        "parameter. Where two agree to the last bit there is no point."
    ]
    if found.left_out:
        words.append(f"Compared are {len(found.pairs)} pairs; {found.left_out} more are left out.")
    curves = {pair.name: (pair.steps.astype(float), pair.parameters) for pair in found.pairs}
    head = ["loops", "epochs", "largest difference of a parameter", "of the loss", "relative"]
    body = [
        [
            pair.name,
            str(pair.steps[-1]),
            f"{pair.parameters.max():.3g}",
            f"{np.nanmax(pair.loss, initial=0):.3g}",
            f"{pair.relative:.3g}",
        ]
        for pair in found.pairs
    ]
    drawn = [plots.differences(curves)] if any(p.parameters.any() for p in found.pairs) else []
    if not drawn:
        words.append("All agree to the last bit.")
    return section("loops", "Loops", words, drawn, [head, *body])


def unfinished(compared: Comparison) -> Section | None:
    """What failed, was interrupted or not run, and why."""
    odd = ("failed", "interrupted", "not run", "running")
    some = [place for place, line in enumerate(compared.lines) if line.outcome in odd]
    if not some:
        return None
    rows = [
        [label(compared, place), compared.lines[place].outcome, compared.lines[place].reason]
        for place in some
    ]
    words = [f"The first 100 of {len(some)}."] if len(some) > 100 else []
    return section(
        "unfinished", "What did not finish", words, [], [["cell", "outcome", "why"], *rows[:100]]
    )


Maker = Callable[[Comparison], Section | None]
OF_ALL: tuple[Maker, ...] = (sensitivity, seeds, loops, unfinished)
"""Sections that are about all lines, not only those that are drawn."""
