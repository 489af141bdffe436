"""The sections about all runs: sensitivity, spread over seeds, loops, and what did not finish."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.config import ConfigError
from runner.report import plots_overall as plots
from runner.report.comparison import Comparison
from runner.report.drawn import label
from runner.report.parity import parity
from runner.report.plots import TOP
from runner.report.problem import edge
from runner.report.section import Section, section
from runner.stop import is_ranked

Array = NDArray[np.floating[Any]]

MOST_BANDS = 6


def sensitivity(compared: Comparison) -> Section | None:
    """Final loss over the learning rate, or over what else was swept and is a number."""
    key = next(filter(None, (_numeric(compared, key) for key in _by_lr(compared.swept))), None)
    if key is None or not any(line.has_curve for line in compared.lines):
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
        elif line.epochs and is_ranked(line.outcome, line.final_loss):
            own = ended.setdefault(name, {}).setdefault(float(line.swept[key]), [])
            own.append(line.final_loss)
    starts = compared.losses[:, :1]
    if (not ended and not left) or not np.isfinite(starts).any():
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
    first = float(starts[np.isfinite(starts)].max())
    if any((final > TOP * first).any() for _, final in lines.values()):
        words.append(f"What ended above {TOP:g} times the start is drawn at the top edge.")
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
    for index, line in enumerate(compared.lines):
        if line.epochs and (line.outcome == "diverged" or is_ranked(line.outcome, line.final_loss)):
            name = " ".join(_values(line.swept, others)) or "all"
            together.setdefault(name, []).append(index)
    body, bands = [], {}
    ranked = []
    for name, indices in together.items():
        final = np.array([compared.lines[index].final_loss for index in indices])
        off = sum(compared.lines[index].outcome == "diverged" for index in indices)
        kept = [p for p in indices if compared.lines[p].outcome != "diverged"]
        own = np.array([compared.lines[index].final_loss for index in kept])
        said = [_figure(f, own) for f in (np.mean, _deviation, np.min, np.max)]
        ranked.append((float(np.mean(own)) if kept else np.inf, name))
        body.append([name, str(len(final)), *said, str(off)])
        losses = compared.losses[[index for index in kept if compared.lines[index].has_curve]]
        if len(losses):
            bands[name] = (losses.min(axis=0), losses.mean(axis=0), losses.max(axis=0))
    order = [name for _, name in sorted(ranked)]
    body.sort(key=lambda row: order.index(row[0]))
    shown = {name: bands[name] for name in order[:MOST_BANDS] if name in bands}
    words = [
        "Mean, standard deviation (by n - 1), least and largest final loss over the seeds that "
        "neither diverged nor failed; the band is from the least to the largest, the line the mean."
    ]
    if len(bands) > len(shown):
        words.append(f"Drawn are the {len(shown)} best of {len(bands)}, by their mean.")
    if len(body) > 50:
        words.append(f"The table has the 50 best of {len(body)}.")
    head = [" and ".join(others) or "swept", "seeds", "mean", "std", "least", "largest", "diverged"]
    drawn = [plots.spread(compared.epochs, shown)] if shown else []
    return section("seeds", "Over seeds", words, drawn, [head, *body[:50]])


def _deviation(values: Array) -> float:
    """Of what the values are a sample of: by n - 1; NaN for a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _figure(of: Callable[[Array], float], values: Array) -> str:
    found = of(values) if len(values) else math.nan
    return "" if math.isnan(found) else f"{found:.6g}"


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
    curves = {pair.name: (pair.epochs, pair.parameters) for pair in found.pairs}
    head = ["loops", "epochs", "largest difference of a parameter", "of the loss", "relative"]
    body = [
        [
            pair.name,
            f"{pair.epochs[-1]:g}",
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
    some = [index for index, line in enumerate(compared.lines) if line.outcome in odd]
    if not some:
        return None
    rows = [
        [label(compared, index), compared.lines[index].outcome, compared.lines[index].reason]
        for index in some
    ]
    words = [f"The first 100 of {len(some)}."] if len(some) > 100 else []
    return section(
        "unfinished", "What did not finish", words, [], [["cell", "outcome", "why"], *rows[:100]]
    )


Maker = Callable[[Comparison], Section | None]
SECTIONS: tuple[Maker, ...] = (sensitivity, seeds, loops, unfinished)
