"""Momentum makes the square root of a condition number out of the number itself.

On a quadratic with curvatures from m to L, k = L / m, each step multiplies the distance from the
minimum by a constant. Plain descent at its best rate, 2 / (L + m), has (k - 1) / (k + 1); the
rival is 1 - 1 / k, that of the rate 1 / L. Polyak's heavy ball with the rate 4 / (sqrt L + sqrt
m)^2 and the momentum ((sqrt k - 1) / (sqrt k + 1))^2 has (sqrt k - 1) / (sqrt k + 1), the best that
any method of gradients can do; the rival is Nesterov's constant. Nesterov's with the rate 1 / L and
the momentum (sqrt k - 1) / (sqrt k + 1) has 1 - 1 / sqrt k; the rival is the bound of his book,
where the loss is multiplied by that, and the distance by its square root.

Along an eigenvector of curvature h the error obeys a recurrence z^2 - t z + d of two terms: for
the heavy ball t = 1 + b - lr h and d = b, for Nesterov's as PyTorch has it t = (1 + b)(1 - lr h)
and d = b (1 - lr h). The constant is the largest root's modulus, the spectral radius, over all h.
At these settings the root is double at the ends of the spectrum, so the error is not r^s but (A +
B s) r^s, as s^p r^s with p = 1; plain descent has p = 0. Both are fitted to the distances of the
runs, over the second half of the steps: log |w| = a + p log s + s log r. First p and r together,
for p, whose rival is the other power; then r alone with the p of the theory, for 1 - r.

Left out in that fit is A / (B s), which is 1 % in the middle of the steps at Nesterov's settings,
where A / B is known, and less later. It moves 1 - r by 3e-5 of it and p by 0.015; allowed are 2e-4
and 0.05, for each start by itself: a start that has little of the slowest direction has more left.

Sources: Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; Nesterov
2004, "Introductory lectures on convex optimization", section 2.2; Goh, "Why momentum really
works", Distill 2017.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.study import Claim, Curve, Findings, Picture, Rival


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, curves = [], []
    for number, (name, sweep) in enumerate(runs.items()):
        method, _, condition = name.rpartition(" ")
        k = float(condition)
        theory, power = rate(method, k), 0 if method == "plain" else 1
        errors = np.array([np.linalg.norm(run.parameters, axis=1) for run in sweep])
        fitted = [1 - fit(distances, power) for distances in errors]
        powers = [power_of(distances) for distances in errors]
        rival_name, rival = rival_rate(method, k)
        claims += [
            Claim(
                f"{name}: 1 - rate", 1 - theory, fitted, values["tolerance"],
                rival=Rival(rival_name, 1 - rival),
            ),
            Claim(
                f"{name}: power of s", power, powers, values["tolerance_power"] / (power or 1),
                rival=Rival("a double root" if power == 0 else "a simple root", 1 - power),
            ),
        ]  # fmt: skip
        if k == 100:
            curves += over(number, name, errors, theory, power)
    picture = Picture(
        "Distance from the minimum of a quadratic, k = 100",
        "step",
        "distance / first distance",
        curves,
        log="y",
        words="Lines: six starts each. Dashed: the rate of the theory, through the middle of them.",
        low=1e-12,
        high=10,
    )
    return Findings(claims, [picture])


def rate(method: str, k: float) -> float:
    """Return the factor by which each step multiplies the distance."""
    root = math.sqrt(k)
    rates = {"plain": (k - 1) / (k + 1), "heavy ball": (root - 1) / (root + 1)}
    return rates.get(method, 1 - 1 / root)


def rival_rate(method: str, k: float) -> tuple[str, float]:
    """Return the nearest other result on that factor, by its name."""
    root = math.sqrt(k)
    return {
        "plain": ("1 / k, of lr = 1 / L", 1 - 1 / k),
        "heavy ball": ("Nesterov's 1 / sqrt k", 1 - 1 / root),
        "nesterov": ("his bound, on the loss", math.sqrt(1 - 1 / root)),
    }[method]


def fit(errors: Array, power: int) -> float:
    """Return the rate r of errors, (steps + 1,), like s^power r^s."""
    steps = np.arange(len(errors) // 2, len(errors))
    logs = np.log(errors[steps]) - power * np.log(steps)
    return float(np.exp(np.polyfit(steps, logs, 1)[0]))


def power_of(errors: Array) -> float:
    """Return the power p of errors, (steps + 1,), like s^p r^s."""
    steps = np.arange(len(errors) // 2, len(errors))
    columns = np.stack([np.ones(len(steps)), np.log(steps / steps[0]), steps / steps[-1]], axis=1)
    return float(np.linalg.lstsq(columns, np.log(errors[steps]))[0][1])


def over(number: int, name: str, errors: Array, theory: float, power: int) -> list[Curve]:
    """What was measured, and the theory's line through the middle of what is seen of it."""
    steps = np.arange(1, errors.shape[1])
    shown = steps[: int(28 / -np.log(theory))]
    own = errors[:, shown] / errors[:, :1]
    middle = len(shown) // 2
    line = power * np.log(shown) + shown * np.log(theory)
    line += np.log(np.median(own[:, middle])) - line[middle]
    return [
        Curve(shown, own, name, colour=number),
        Curve(shown[middle // 3 :], np.exp(line)[middle // 3 :], is_theory=True, colour=number),
    ]
