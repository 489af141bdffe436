"""To stop early is close to a ridge penalty: after s steps, to one of 1 / (lr s).

Descent from 0 on f = mean((X w - y)^2), H = 2/n X'X its Hessian, has after s steps w = (1 - (1 -
lr H)^s) H^-1 b, b = 2/n X'y. Ridge regression, f + mu/2 |w|^2, has (H + mu)^-1 b. Along an
eigenvector of curvature h both shrink the solution of least squares by a factor: the one by 1 - (1
- lr h)^s, close to 1 - exp(-u) with u = lr s h, the other, for mu = 1 / (lr s), by u / (1 + u).
These differ by 0.20363 at most, at u = 2.5129, and never below 0; for steps instead of a flow, by
up to lr L / (2 e) more. scikit-learn's alpha is n / (2 lr s).

That the largest difference is attained is what tests the mapping: as a bound alone it would hold
for half the penalty as well. The rival is the penalty that leaves half of the solution when descent
does, log 2 / (lr s): the largest difference would be 0.13792, and the least -0.04387. Held against
scikit-learn's own solution, descent is as far from it as the two factors say, in norm; the rival
is that they are the same. That the data sets differ changes neither, so each must agree by itself,
within 1 % for the steps that are between those recorded, and lr L for steps instead of a flow.

Along each direction squared bias and variance are at most 1.6862 times those of ridge: the bias by
at most 1, the variance by ((1 - exp(-u)) (1 + u) / u)^2, which is attained at u = 1.7933. The
rival has the factor itself in place of its square, 1.2984. So the expected estimation error, for
any true w, is below 1.6862 times that of ridge; the rival is that it is never above ridge's own.
It is computed here from the factors that were measured, and depends on the data: its mean over the
seeds is claimed, by five standard errors.

Source: Ali, Kolter and Tibshirani 2019, "A continuous-time view of early stopping for least
squares regression", theorem 1 (their time is 2 lr s here).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.objective import closed_form
from runner.study import Claim, Curve, Findings, Picture, Rival
from runner.study.claim import AT_LEAST, AT_MOST
from runner.study.samples import samples

LARGEST = 0.20363
"""Of 1 - exp(-u) - u / (1 + u), at u = 2.5129"""
HALF, HALF_LEAST = 0.13792, -0.04387
"""Of 1 - exp(-u) - u / (u + log 2), and the least, at u = 0.2505"""
RISK, ROOT = 1.6862, 1.2984
"""Of ((1 - exp(-u)) (1 + u) / u)^2, and of its root, at u = 1.7933"""
SEEN = 1e-3
"""Of the largest part of the solution: what is less along a direction tells no factor"""


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    [sweep] = runs.values()
    apart, least, ridges, variances, risks, curves = [], [], [], [], [], []
    for run in sweep:
        steps, factors, h, part, variance = filters(run)
        lr = float(run.params["lr"])
        u = lr * steps[:, None] * h
        ridge = u / (1 + u)
        seen = np.abs(part) > SEEN * np.abs(part).max()
        gap = (factors - ridge)[:, seen]
        apart.append(float(gap.max()))
        least.append(float(gap.min()))
        ridges.append(from_ridge(run, len(steps) // 2, h, part))
        moved = steps > 0
        variances.append(float((factors[moved] / ridge[moved])[:, seen].max() ** 2))
        risk = expected(factors, part, variance) / expected(ridge, part, variance)
        risks.append(float(risk[moved].max()))
        order = np.argsort(u[:, seen], axis=None)
        curves.append(Curve(u[:, seen].ravel()[order], gap.ravel()[order]))
    lr, largest = float(sweep[0].params["lr"]), 2.0
    more = lr * largest / (2 * np.e)
    room = lr * largest
    claims = [
        Claim(
            "largest difference of the factors", LARGEST + more / 2, apart, values["tolerance"],
            rival=Rival("equal at a half", HALF),
        ),
        Claim(
            "least difference of the factors", 0.0, least, 1e-9, AT_LEAST,
            rival=Rival("equal at a half", HALF_LEAST),
        ),
        Claim(
            "from scikit-learn's ridge, by theory", 1.0, ridges, room,
            rival=Rival("the same as ridge", 0.0),
        ),
        Claim(
            "largest variance, by ridge's", RISK, variances, room,
            rival=Rival("not squared", ROOT),
        ),
        Claim(
            "expected error, by ridge's", RISK, risks, room, AT_MOST, errors=values["errors"],
            rival=Rival("never above ridge's", 1.0, AT_MOST),
        ),
    ]  # fmt: skip
    known = np.geomspace(1e-3, 1e3, 400)
    line = 1 - np.exp(-known) - known / (1 + known)
    picture = Picture(
        "Stopped early, less ridge",
        "u = lr s h",
        "difference of what is left of the solution",
        [*curves, Curve(known, line, "1 - exp(-u) - u / (1 + u)", is_theory=True, colour=1)],
        log="x",
        words="Each direction of each data set, after each of 200 steps.",
    )
    return Findings(claims, [picture])


def filters(run: Any) -> tuple[NDArray[np.int64], Array, Array, Array, Array]:
    """Return steps, and by what the solution is shrunk after each, (steps, directions).

    And along each eigenvector the curvature, the solution's own part and its variance from the
    labels' noise.
    """
    x, y = samples(run)[:2]
    h, vectors = np.linalg.eigh(2 / len(x) * x.T @ x)
    part = vectors.T @ closed_form.optimum(x, y)
    steps = run.parameter_steps
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = (run.parameters @ vectors) / part
    variance = 2 * float(run.config["dataset"]["noise"]) ** 2 / (len(x) * h)
    return steps, factors, h, part, variance


def expected(factors: Array, part: Array, variance: Array) -> Array:
    """Return the expected squared error, (steps,), were the solution's part the true one."""
    made: Array = ((1 - factors) ** 2 * part**2 + factors**2 * variance).sum(axis=1)
    return made


def from_ridge(run: Any, number: int, h: Array, part: Array) -> float:
    """Return how far the run is from scikit-learn's ridge, as a multiple of what theory says.

    After the recorded step of that number; by theory each direction's part is apart by 1 - exp(-u)
    - u / (1 + u) of the solution.
    """
    from sklearn.linear_model import Ridge

    x, y = samples(run)[:2]
    time = float(run.params["lr"]) * int(run.parameter_steps[number])
    ridge = Ridge(alpha=len(x) / (2 * time), fit_intercept=False, solver="svd").fit(x, y).coef_
    u = time * h
    theory = np.linalg.norm((1 - np.exp(-u) - u / (1 + u)) * part)
    return float(np.linalg.norm(run.parameters[number] - ridge) / theory)
