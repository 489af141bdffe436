"""Descent has a sharp edge: past 2 / L it grows. Adam settles at an edge of its own.

Near a minimum with the largest curvature L, plain descent multiplies the error along that
curvature by 1 - lr L at each step, so it shrinks as long as lr < 2 / L. With momentum b the error
obeys the recurrence z^2 - t z + d, and leaves when a root passes -1, that is where 1 + t + d = 0:
for the heavy ball, t = 1 + b - lr L and d = b, at lr = 2 (1 + b) / L; for Nesterov's as PyTorch
has it, t = (1 + b)(1 - lr L) and d = b (1 - lr L), at lr = 2 (1 + b) / ((1 + 2b) L). What is
measured is between which two learning rates of a grid, 0.1 % apart, the loss begins to grow; that
spacing is the tolerance. The rivals: for plain descent the rate at which it converges fastest, 2
/ (L + m); with momentum the edges for b near 1, 4 / L and 4 / (3 L), which are quoted for any b.

Adam divides its steps by P = sqrt(v) + eps, which shrinks with the gradient, so no learning rate
is too large on a quadratic for ever. On a network the largest eigenvalue of P^-1 H rises until
steps would grow, and stays there. Adam's momentum is a mean, which is the heavy ball at lr (1 -
b1): so it settles where lr times that eigenvalue is 2 (1 + b1) / (1 - b1), 38 for b1 = 0.9. It
hops over that edge and is thrown back, so what is measured is the median over the last third of
the steps, and of these the median over the seeds. While P changes, the theory, which holds it
fixed, is off: by up to a twentieth here, which is allowed beside six standard errors. The rival at
b1 = 0.5 is the limit for b1 near 1, 4 / (1 - b1). At 0.9 that is 40, which these runs cannot tell
from 38; the rival there is 2 / (1 - b1), for a mean that only scales the steps.

Sources: Polyak 1964; Cohen et al. 2021, "Gradient descent on neural networks typically occurs at
the edge of stability", appendix B; Cohen et al. 2022, "Adaptive gradient methods at the edge of
stability".
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.objective.closed_form import stability_edge
from runner.study import Claim, Curve, Findings, Picture, Rival

SHARP = "preconditioned_sharpness"


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, growth, settles = [], [], []
    for number, (name, sweep) in enumerate(runs.items()):
        method, _, beta = name.rpartition(" ")
        if method == "adam":
            b = float(beta)
            theory = 2 * (1 + b) / (1 - b)
            steps, own = settled(sweep)
            last = np.nanmedian(own[:, -(own.shape[1] // 3) :], axis=1)
            claims.append(
                Claim(
                    f"{name}: lr x sharpness", theory, last.tolist(), values["tolerance_adam"],
                    errors=values["errors"], robust=True, rival=rival_of_adam(b),
                )
            )  # fmt: skip
            settles.append(Curve(steps, own / theory, f"b1 = {b}", colour=number))
            continue
        rates = np.array([float(run.params["lr"]) for run in sweep])
        logs = np.array([growth_of(run) for run in sweep])
        momentum = float(beta) if method else 0.0
        theory = stability_edge(1.0, momentum, nesterov=method == "nesterov")
        measured, rival = edge(rates, logs > 0), rival_edge(method, sweep[0])
        claims.append(Claim(f"{name}: lr L", theory, [measured], values["tolerance"], rival=rival))
        growth += [
            Curve(rates, logs, name, colour=number),
            Curve([theory, theory], [-3, 3], is_theory=True, colour=number),
        ]
    edges = Picture(
        "Where the loss begins to grow",
        "lr L",
        "decades by which the loss grows in 100 steps",
        growth,
        low=-3,
        high=3,
        words="Dashed: the edge of the theory, where growth should be 0.",
    )
    adam = Picture(
        "Adam settles at its own edge",
        "step",
        "lr x preconditioned sharpness / theory",
        [
            *settles,
            Curve([0, steps[-1]], [1, 1], "2 (1 + b1) / (1 - b1)", is_theory=True, colour=6),
        ],
        low=0,
        high=1.5,
        words="The seeds of a tanh network on 20 points, with two pairs of betas.",
    )
    return Findings(claims, [edges, adam])


def rival_edge(method: str, run: Any) -> Rival:
    """Return where another theory has the edge, times L."""
    if not method:
        return Rival("2 / (L + m)", 2 / (1 + 1 / float(run.params["objective.condition"])))
    if method == "nesterov":
        return Rival("4 / (3 L)", 4 / 3)
    return Rival("4 / L", 4.0)


def rival_of_adam(b1: float) -> Rival:
    """Return the nearest other theory from which the runs can tell lr times the sharpness."""
    if b1 > 0.8:
        return Rival("2 / (1 - b1)", 2 / (1 - b1))
    return Rival("4 / (1 - b1)", 4 / (1 - b1))


def growth_of(run: Any) -> float:
    """Decades in 100 steps, over the second half; it is large where it has diverged."""
    losses = run.trajectory["loss"].to_numpy()[1:]
    half = losses[len(losses) // 2 :]
    if run.outcome == "diverged" or not np.isfinite(half[-1]):
        return 3.0
    if half[-1] <= 1e-280:  # there is nothing left
        half = losses[losses > 1e-280]
        half = half[len(half) // 2 :]
    size = len(half) // 2
    change = np.log10(half[-size:].max() / half[:size].max()) / size
    return float(np.clip(100 * change, -3, 3))


def edge(rates: Array, grows: NDArray[np.bool_]) -> float:
    """Between the last rate, ascending, that does not grow and the first that does; else NaN."""
    first = int(grows.argmax())
    if not first > 0 or not grows[first:].all() or grows[:first].any():
        return float("nan")
    return float((rates[first - 1] + rates[first]) / 2)


def settled(sweep: Any) -> tuple[Array, Array]:
    """Steps, and lr times the preconditioned sharpness after each of them, (seeds, steps)."""
    tables = [run.trajectory[SHARP].dropna() for run in sweep]
    lr = float(sweep[0].params["lr"])
    return tables[0].index.to_numpy(), lr * np.array([table.to_numpy() for table in tables])
