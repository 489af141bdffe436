"""Of all solutions descent finds the nearest to where it began; from 0, the one of least norm.

Where there are more parameters than samples, the squares can be made 0 in infinitely many ways.
Every gradient is a combination of the samples, so w never leaves w0 plus the span of these:
momentum and mini-batches in any order do not change that. The solution in there is the start's
projection onto all solutions, w0 + A^+ (y - A w0), A the samples with a column of ones for the
bias, A^+ its pseudo-inverse; from 0 that is A^+ y, the solution of least norm. Nothing in the loss
asks for it. Mini-batches get there at a constant learning rate, for at a solution each sample's
gradient is 0.

The rival for a start at 0 is the least norm of the weights alone, with the bias free of charge, as
least squares on centred samples has it: there w has the least norm, and (w, b) has not. For any
other start it is A^+ y, the least norm whatever the start. Every seed must agree by itself, within
1e-8: what is left is rounding.

Source: Moore 1920, Penrose 1955 for the pseudo-inverse; the argument is that of Zhang et al. 2017,
"Understanding deep learning requires rethinking generalization", section 5.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.study import Claim, Curve, Findings, Picture, Rival
from runner.study.samples import samples

OPTIMIZERS = ("sgd", "momentum", "nesterov")


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, curves = [], []
    for name, sweep in runs.items():
        for number, optimizer in enumerate(OPTIMIZERS):
            some = [run for run in sweep if run.params["optimizer"] == optimizer]
            apart, last, rivals = [], [], []
            for run in some:
                goal, rival = limit(run), rival_limit(run)
                rivals.append(float(np.linalg.norm(rival - goal) / np.linalg.norm(goal)))
                apart.append(np.linalg.norm(run.parameters - goal, axis=1))
                last.append(float(apart[-1][-1] / np.linalg.norm(goal)))
            quantity = f"{name}, {optimizer}: |w - limit| / |limit|"
            rival_name = "bias free of charge" if name == "from 0" else "A^+ y from any start"
            rival_claim = Rival(rival_name, rivals)
            claims.append(Claim(quantity, 0.0, last, values["tolerance"], rival=rival_claim))
            if name == "from elsewhere":
                steps = some[0].parameter_steps
                curves.append(Curve(steps[1:], apart[0][1:], optimizer, colour=number))
    picture = Picture(
        "From any start to its own projection onto the solutions",
        "epoch",
        "distance from the limit of the theory",
        curves,
        log="xy",
        words="One seed of each optimizer, the full batch; the floor is the rounding of float64.",
    )
    return Findings(claims, [picture])


def limit(run: Any) -> Array:
    """Return w0 + A^+ (y - A w0)."""
    ones, y = samples_with_ones(run)
    start = run.parameters[0].astype(np.float64)
    nearest: Array = start + np.linalg.pinv(ones) @ (y - ones @ start)
    return nearest


def rival_limit(run: Any) -> Array:
    """Return A^+ y; from a start at 0, the solution whose weights alone have the least norm."""
    ones, y = samples_with_ones(run)
    if run.parameters[0].any():
        return np.linalg.pinv(ones) @ y
    x = ones[:, :-1]
    w = np.linalg.pinv(x - x.mean(axis=0)) @ (y - y.mean())
    return np.append(w, y.mean() - x.mean(axis=0) @ w)


def samples_with_ones(run: Any) -> tuple[Array, Array]:
    """Return the run's samples with a column of ones for the bias, and what is to be predicted."""
    x, y = samples(run)[:2]
    return np.hstack([x, np.ones((len(x), 1))]), y
