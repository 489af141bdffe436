"""Momentum makes the square root of a condition number out of the number itself.

On a quadratic with curvatures from m to L, k = L / m, each step multiplies the distance from the
minimum by a constant. Plain descent at its best rate, 2 / (L + m), has (k - 1) / (k + 1). Polyak's
heavy ball with the rate 4 / (sqrt L + sqrt m)^2 and the momentum ((sqrt k - 1) / (sqrt k + 1))^2
has (sqrt k - 1) / (sqrt k + 1), the best that any method of gradients can do. Nesterov's with the
rate 1 / L and the momentum (sqrt k - 1) / (sqrt k + 1) has 1 - 1 / sqrt k.

Along an eigenvector of curvature h the error obeys a recurrence z^2 - t z + d of two terms: for
the heavy ball t = 1 + b - lr h and d = b, for Nesterov's as PyTorch has it t = (1 + b)(1 - lr h)
and d = b (1 - lr h). The constant is the largest root's modulus, the spectral radius, over all h.
At these settings the root is double at the ends of the spectrum, so the error is not r^s but s
r^s: a straight line through log |w| would be too flat by 1 / s. What is fitted here, over the
second half of the steps, is log |w| = a + p log s + s log r, with p = 1 where the root is double.

Sources: Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; Nesterov
2004, "Introductory lectures on convex optimization", section 2.2; Goh, "Why momentum really
works", Distill 2017.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.study import Claim, Curve, Findings, Picture

Array = NDArray[np.floating[Any]]


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, curves = [], []
    for number, (name, sweep) in enumerate(runs.items()):
        method, _, condition = name.rpartition(" ")
        k = float(condition)
        theory = rate(method, k)
        params = sweep[0].params
        momentum = float(params["optimizer.momentum"])
        radius = spectral_radius(method, k, float(params["lr"]), momentum)
        claims.append(Claim(f"{name}: spectral radius", theory, [radius], 1e-12))
        errors = np.array([np.linalg.norm(run.parameters, axis=1) for run in sweep])
        fitted = [1 - fit(one, 0 if method == "plain" else 1) for one in errors]
        claims.append(Claim(f"{name}: 1 - rate", 1 - theory, fitted, values["tolerance"]))
        if k == 100:
            curves += over(number, name, errors, theory, 0 if method == "plain" else 1)
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
    """By what each step multiplies the distance."""
    root = math.sqrt(k)
    known = {"plain": (k - 1) / (k + 1), "heavy ball": (root - 1) / (root + 1)}
    return known.get(method, 1 - 1 / root)


def spectral_radius(method: str, k: float, lr: float, b: float) -> float:
    """The largest modulus of a root of z^2 - t z + d over the curvatures."""
    h = np.geomspace(1, 1 / k, 10)
    if method == "plain":
        return float(np.abs(1 - lr * h).max())
    t, d = (
        (1 + b - lr * h, b + 0 * h)
        if method == "heavy ball"
        else (
            (1 + b) * (1 - lr * h),
            b * (1 - lr * h),
        )
    )
    inside = t * t / 4 - d
    inside[np.abs(inside) < 1e-12] = 0  # a double root
    roots = np.stack([t / 2 + np.sqrt(inside + 0j), t / 2 - np.sqrt(inside + 0j)])
    return float(np.abs(roots).max())


def fit(errors: Array, power: int) -> float:
    """The rate r of errors, (steps + 1,), like s^power r^s."""
    steps = np.arange(len(errors) // 2, len(errors))
    logs = np.log(errors[steps]) - power * np.log(steps)
    return float(np.exp(np.polyfit(steps, logs, 1)[0]))


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
