"""Descent sharpens a network until it is about to become unstable, and goes on there.

The largest eigenvalue of the Hessian, the sharpness, rises while a network is trained by full-
batch descent, until it is 2 / lr. Past that a quadratic would grow; the loss of a network does
not, for the growth itself takes the sharpness down again. So it stays there: at 2 / lr for plain
descent, at 2 (1 + b) / lr with momentum b, at 2 (1 + b) / ((1 + 2b) lr) with Nesterov's. What is
measured is the median of the last third of the steps, for several learning rates; and that it has
risen: at the start it is below 0.8 of that.

With mini-batches the sharpness of the full batch stays below. What settles at 2 / lr is that of
the batches: g'Hg / g'g, with the gradient and the Hessian of each step's own batch. For a step
changes the loss of its own batch by -lr g'g + lr^2 / 2 g'Hg, which on average is 0 where the mean
of g'Hg by the mean of g'g is 2 / lr. Andreyev and Beneventano take the mean of the quotients
instead, which gives batches that are fitted already the same weight; on a problem as small as this
one that settles 6 to 18 % below 2 / lr, so it is not claimed.

Sources: Cohen et al. 2021, "Gradient descent on neural networks typically occurs at the edge of
stability"; Andreyev and Beneventano, "Edge of stochastic stability", arXiv 2412.20553.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.closed_form import stability_edge
from runner.study import Claim, Curve, Findings, Picture
from runner.study.claim import AT_MOST

Array = NDArray[np.floating[Any]]
ROSE = 0.8
"""Of the edge: below that it begins"""


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, pictures = [], []
    for name, sweep in runs.items():
        if name.startswith("batches"):
            made, picture = of_batches(name, sweep, values)
        else:
            made, picture = of_full_batch(name, sweep, values)
        claims += made
        pictures.append(picture)
    return Findings(claims, pictures)


def edge(method: str, lr: float, b: float) -> float:
    """Where the sharpness should stay."""
    return stability_edge(1.0, b, nesterov=method == "nesterov") / lr


def of_full_batch(name: str, sweep: Any, values: Mapping[str, Any]) -> tuple[list[Claim], Picture]:
    claims, curves = [], []
    rates = sorted({float(run.params["lr"]) for run in sweep})
    for number, lr in enumerate(rates):
        some = [run for run in sweep if float(run.params["lr"]) == lr]
        theory = edge(name, lr, float(some[0].params["optimizer.momentum"]))
        steps, own = measured(some, "sharpness")
        last = late(own)
        middle = [float(np.median(last))]
        claims.append(Claim(f"{name} {lr}: sharpness", theory, last, values["tolerance"]))
        claims.append(Claim(f"{name} {lr}: median", theory, middle, values["tolerance_median"]))
        first = (own[:, 0] / theory).tolist()
        claims.append(Claim(f"{name} {lr}: at first, of that", ROSE, first, 0.0, AT_MOST))
        curves += [
            Curve(steps, own, f"lr = {lr}", colour=number),
            Curve([0, steps[-1]], [theory, theory], is_theory=True, colour=number),
        ]
    top = 2.2 * edge(name, rates[0], float(sweep[0].params["optimizer.momentum"]))
    words = "Five seeds for each learning rate. Dashed: the edge of the theory."
    return claims, Picture(
        f"Sharpness: {name}", "step", "largest eigenvalue", curves, low=0, high=top, words=words
    )


def of_batches(name: str, sweep: Any, values: Mapping[str, Any]) -> tuple[list[Claim], Picture]:
    theory = edge("plain", float(sweep[0].params["lr"]), 0.0)
    steps, full = measured(sweep, "sharpness")
    every, quotients = measured(sweep, "batch_sharpness")
    squares = np.array([run.trajectory["grad_norm"].to_numpy()[every] ** 2 for run in sweep])
    third = len(every) // 3
    of_means = (quotients * squares)[:, -third:].mean(axis=1) / squares[:, -third:].mean(axis=1)
    below = np.array(late(full))
    middle = float(np.median(of_means))
    width = 70  # values of a running mean, one in three steps
    frame = np.ones(width) / width
    smooth = [
        np.convolve(a * b, frame, "valid") / np.convolve(b, frame, "valid")
        for a, b in zip(quotients, squares, strict=True)
    ]
    claims = [
        Claim(f"{name}: mean g'Hg / mean g'g", theory, [middle], values["tolerance_batch"]),
        Claim(f"{name}: full-batch, of that", 1.0, (below / of_means).tolist(), 0.0, AT_MOST),
    ]
    curves = [
        Curve(every[width - 1 :], np.array(smooth), "batch sharpness, over 210 steps", colour=0),
        Curve(steps, full, "sharpness of the full batch", colour=1),
        Curve([0, steps[-1]], [theory, theory], "2 / lr", is_theory=True, colour=0),
    ]
    words = "Batches of 5 of 20 samples, ten seeds."
    return claims, Picture(
        f"Sharpness: {name}",
        "step",
        "largest eigenvalue",
        curves,
        low=0,
        high=1.6 * theory,
        words=words,
    )


def measured(runs: Any, name: str) -> tuple[NDArray[np.int64], Array]:
    """Steps, and the measure at each of them, (runs, steps)."""
    tables = [run.trajectory[name].dropna() for run in runs]
    return tables[0].index.to_numpy(), np.array([table.to_numpy() for table in tables])


def late(values: Array) -> list[float]:
    """The median of the last third of each row."""
    found: list[float] = np.median(values[:, -(values.shape[1] // 3) :], axis=1).tolist()
    return found
