"""With noisy gradients a constant learning rate ends at a floor, and averaging goes below it.

Near the minimum of least squares, with the Hessian H, a step on a batch of b samples, drawn with
replacement, is e <- (I - lr H) e - lr xi with noise of covariance C / b, C that of one sample's
gradient. For small lr the covariance S of e is stationary where H S + S H = lr C / b. Its trace
gives the excess loss tr(H S) / 2 = lr tr C / (4 b): it goes down with the learning rate and up
with nothing else. To the next order it lies above by lr (L / 2 + tr H / b), which is the
tolerance, and what the mean over the steps of all runs is uncertain by: 3 sqrt(2 / (lr tr H N R))
for R runs of N steps.

The mean of the iterates over T steps has the covariance H^-1 C H^-1 / (b T) instead, so its excess
loss is tr(H^-1 C) / (2 b T), as if every sample had been used once: chi squared with as many
degrees of freedom as there are parameters d, so that the mean over R runs is within 3 sqrt(2 / (d
R)).

Sources: Bottou, Curtis and Nocedal 2018, "Optimization methods for large-scale machine learning",
section 4; Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import closed_form
from runner.study import Claim, Curve, Findings, Picture
from runner.study.samples import samples

Array = NDArray[np.floating[Any]]


class Known(NamedTuple):
    """What is known of a problem."""

    optimum: Array
    hessian: Array
    noise: Array
    """The covariance of one sample's gradient at the optimum"""


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    [sweep] = runs.values()
    claims, curves, first = [], [], values["burn_in"]
    for number, seed in enumerate(sorted({run.params["dataset.seed"] for run in sweep})):
        some = [run for run in sweep if run.params["dataset.seed"] == seed]
        own, batch = known(some[0]), int(some[0].params["batch_size"])
        lr, d, count = float(some[0].params["lr"]), len(own.optimum), len(some)
        tables = [run.trajectory["excess_loss"].dropna() for run in some]
        steps = tables[0].index.to_numpy()
        excess = np.array([table.to_numpy() for table in tables])
        theory = lr * np.trace(own.noise) / (4 * batch)
        after = len(some[0].parameters) - 1 - first
        largest, trace = np.linalg.eigvalsh(own.hessian)[-1], np.trace(own.hessian)
        room = lr * (largest / 2 + trace / batch) + 3 * (2 / (lr * trace * after * count)) ** 0.5
        floor = float(excess[:, steps > first].mean())
        claims.append(Claim(f"data {seed}: excess loss at last", theory, [floor], float(room)))
        means = np.array([run.parameters[-after:].mean(axis=0) for run in some]) - own.optimum
        averaged = float(np.einsum("ri,ij,rj->r", means, own.hessian, means).mean() / 2)
        below = np.trace(np.linalg.solve(own.hessian, own.noise)) / (2 * batch * after)
        spread = 3 * (2 / (d * count)) ** 0.5
        claims.append(Claim(f"data {seed}: of the mean iterate", below, [averaged], spread))
        width = 60
        smooth = np.convolve(np.median(excess, axis=0), np.ones(width) / width, "valid")
        label = "median of 8 runs" if number == 0 else ""
        curves += [
            Curve(steps[width - 1 :], smooth, label, colour=number),
            Curve([0, steps[-1]], [theory] * 2, is_theory=True, colour=number),
        ]
    picture = Picture(
        "The floor of the noise",
        "step",
        "excess loss, over 300 steps",
        curves,
        log="y",
        words="Three data sets. Dashed: lr tr C / (4 b), the mean; a median lies a little lower.",
    )
    return Findings(claims, [picture])


def known(run: Any) -> Known:
    """Of the data that the run was on."""
    x, y = samples(run)[:2]
    optimum = closed_form.optimum(x, y)
    slopes = 2 * x * (x @ optimum - y)[:, None]
    return Known(optimum, 2 / len(x) * x.T @ x, np.cov(slopes.T, bias=True))
