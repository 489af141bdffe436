"""Descent sharpens a network until it is about to become unstable, and goes on there.

The largest eigenvalue of the Hessian, the sharpness, rises while a network is trained by full-
batch descent, until it is 2 / lr. Past that a quadratic would grow; the loss of a network does
not, for the growth itself takes the sharpness down again. So it stays there: at 2 / lr for plain
descent, at 2 (1 + b) / lr with momentum b, at 2 (1 + b) / ((1 + 2b) lr) with Nesterov's. A run's
value is the median of the last third of its steps, times lr; a seed's is the mean over three
learning rates. Runs are chaotic, and one in thirty is still on its way to the edge, so it is the
median over the seeds that is held against the theory, its standard error by the median deviation.
It hovers at the edge and does not stop there, up to 2 % above for Nesterov's: 3 % are allowed for
that, and five standard errors for the seeds.

The rivals: for plain descent 1 / lr, where a step along the largest curvature ends at its minimum;
with momentum what the edges are for b near 1, 4 / lr and 4 / (3 lr). That the sharpness is a
matter of lr at all is another claim: fitted to a seed's learning rates, it goes like lr to the
power -1; were it a matter of data and network alone, the rival, the power would be 0. And it
rises: it begins below the edge, where the rival has it stay from the beginning.

With mini-batches the sharpness of the full batch stays below. What settles at 2 / lr is that of
the batches: g'Hg / g'g, with the gradient and the Hessian of each step's own batch. For a step
changes the loss of its own batch by -lr g'g + lr^2 / 2 g'Hg, which on average is 0 where the mean
of g'Hg by the mean of g'g is 2 / lr. The means are over the last half of the steps. Third
derivatives and the loss's further fall are left out: 5 % are allowed for them. The rival
is of Andreyev and Beneventano, who take the mean of the quotients: were that 2 / lr, the quotient
of the means would be higher, by as much as the one that was measured is above the other. That mean
gives batches that are fitted already the same weight; on a problem as small as this one it settles
15 % below 2 / lr.

Sources: Cohen et al. 2021, "Gradient descent on neural networks typically occurs at the edge of
stability"; Andreyev and Beneventano, "Edge of stochastic stability", arXiv 2412.20553.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.objective.closed_form import stability_edge
from runner.study import Claim, Curve, Findings, Picture, Rival
from runner.study.claim import AT_MOST

RIVALS = {
    "plain": Rival("1 / lr", 1.0),
    "heavy ball": Rival("4 / lr", 4.0),
    "nesterov": Rival("4 / (3 lr)", 4 / 3),
}


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
    """Return where the sharpness should stay."""
    return stability_edge(1.0, b, nesterov=method == "nesterov") / lr


def of_full_batch(name: str, sweep: Any, values: Mapping[str, Any]) -> tuple[list[Claim], Picture]:
    """Return the claims on the sharpness of runs on full batches, and its picture."""
    momentum = float(sweep[0].params["optimizer.momentum"])
    rates = sorted({float(run.params["lr"]) for run in sweep})
    first, last, curves = [], [], []
    for number, lr in enumerate(rates):
        runs = [run for run in sweep if float(run.params["lr"]) == lr]
        runs.sort(key=lambda run: int(run.params["seed"]))
        theory = edge(name, lr, momentum)
        steps, sharpness = measured(runs, "sharpness")
        first.append(sharpness[:, 0] / theory)
        last.append(lr * np.array(late(sharpness)))
        curves += [
            Curve(steps, sharpness, f"lr = {lr}", colour=number),
            Curve([0, steps[-1]], [theory, theory], is_theory=True, colour=number),
        ]
    errors = values["errors"]
    claims = [
        Claim(
            f"{name}: lr x sharpness", edge(name, 1.0, momentum), np.mean(last, axis=0).tolist(),
            values["tolerance"], errors=errors, robust=True, rival=RIVALS[name],
        ),
        Claim(
            f"{name}: at first, of the edge", 1.0, np.mean(first, axis=0).tolist(), 0.0, AT_MOST,
            errors=errors, robust=True, rival=Rival("it does not rise", 1.0),
        ),
    ]  # fmt: skip
    if len(rates) > 1:  # not where one was typed
        logs = np.log(np.array(last) / np.array(rates)[:, None])
        powers = np.polyfit(np.log(rates), logs, 1)[0].tolist()
        rival = Rival("lr does not matter", 0.0)
        room = values["tolerance_power"]
        claims.append(
            Claim(
                f"{name}: power of lr", -1.0, powers, room, errors=errors, robust=True, rival=rival
            )
        )
    top = 2.2 * edge(name, rates[0], momentum)
    words = "The seeds for each learning rate. Dashed: the edge of the theory."
    return claims, Picture(
        f"Sharpness: {name}", "step", "largest eigenvalue", curves, low=0, high=top, words=words
    )


def of_batches(name: str, sweep: Any, values: Mapping[str, Any]) -> tuple[list[Claim], Picture]:
    """Return the claims on the sharpness of runs on batches, and its picture."""
    lr = float(sweep[0].params["lr"])
    theory = edge("plain", lr, 0.0)
    steps, full = measured(sweep, "sharpness")
    every, quotients = measured(sweep, "batch_sharpness")
    squares = np.array([run.trajectory["grad_norm"].to_numpy()[every] ** 2 for run in sweep])
    half = len(every) // 2
    of_means = (quotients * squares)[:, -half:].mean(axis=1) / squares[:, -half:].mean(axis=1)
    of_quotients = quotients[:, -half:].mean(axis=1)
    below = np.median(full[:, -(full.shape[1] // 2) :], axis=1)
    width = 70  # values of a running mean, one in three steps
    frame = np.ones(width) / width
    smooth = [
        np.convolve(a * b, frame, "valid") / np.convolve(b, frame, "valid")
        for a, b in zip(quotients, squares, strict=True)
    ]
    errors, room = values["errors"], values["tolerance_batch"]
    rival = Rival("2 / lr is the quotients' mean", (2 * of_means / of_quotients).tolist())
    claims = [
        Claim(
            f"{name}: lr mean g'Hg / mean g'g", 2.0, (lr * of_means).tolist(), room, errors=errors,
            robust=True, rival=rival,
        ),
        Claim(
            f"{name}: full batch, of that", 1.0, (below / of_means).tolist(), 0.0, AT_MOST,
            errors=errors, robust=True, rival=Rival("as high", 1.0),
        ),
    ]  # fmt: skip
    curves = [
        Curve(every[width - 1 :], np.array(smooth), "batch sharpness, over 210 steps", colour=0),
        Curve(steps, full, "sharpness of the full batch", colour=1),
        Curve([0, steps[-1]], [theory, theory], "2 / lr", is_theory=True, colour=0),
    ]
    words = f"Batches of 5 of 20 samples, {len(sweep)} seeds."
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
    """Return the steps at which a measure was taken, and its values, (runs, steps)."""
    tables = [run.trajectory[name].dropna() for run in runs]
    return tables[0].index.to_numpy(), np.array([table.to_numpy() for table in tables])


def late(values: Array) -> list[float]:
    """Return the median of the last third of each row."""
    medians: list[float] = np.median(values[:, -(values.shape[1] // 3) :], axis=1).tolist()
    return medians
