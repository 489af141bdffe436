"""Logistic regression on separable data never ends, but its direction does: the largest margin.

The logistic loss of data that a plane separates has no minimum: the weights grow without bound.
Their direction tends to that of the largest margin, the one that a support vector machine finds,
without anything in the loss that asks for it. In the time T, the sum of the learning rates, w = w*
log T + a rest that stays bounded, where w* has the norm 1 / margin. So |w| x margin grows by 1 in
each unit of log T; the angle to w* is the bounded rest by |w| and falls like 1 / log T; and the
loss falls like 1 / T.

At a constant rate a hundred thousand steps reach log T = 12, where 1 / log T cannot be told from
other slow falls, such as 1 / sqrt(log T). The curvature of the loss falls like 1 / T as well, so
the rate may grow with T: here by 5 % at each step, which reaches log T = 390 and leaves descent as
stable as it was. The theorem is on a constant rate; in T the flow that descent follows is the same.

Fitted are, where log T is above 50, the slope of |w| over log T; the power of log T like which the
angle falls; and that of log T in T x loss. The rivals: the slope for the direction of least
squares, whose margin is smaller; an angle like 1 / sqrt(log T), the power -1/2; and the bound of
convex analysis on the loss, (log T)^2 / T, the power 2. What the fits leave out is the rest's
distance from its limit, where a sample lies just above the margin: it moves the powers of single
data sets by up to 0.2, so their mean is claimed, within 0.05 and six standard errors. The slope
and the loss are claimed for every data set.

The loss is log(1 + exp(-y z)) with y -1 or 1, whose slope float64 holds down to 1e-308; that of
cross entropy, sigmoid(z) - y, is 0 for class 1 once it is below 1e-16. The referee is scikit-
learn's SVC with a linear kernel and C = 1e6, on the samples and on their negatives, so that its
plane goes through 0 as ours does.

Source: Soudry, Hoffer, Nacson, Gunasekar and Srebro 2018, "The implicit bias of gradient descent
on separable data", theorem 3; Nacson et al. 2019, "Convergence of gradient descent on separable
data", for rates that grow.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.dataset import separable
from runner.study import Claim, Curve, Findings, Picture, Rival
from runner.study.samples import samples

FROM = 50
"""Of log T, where fits begin"""


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    [sweep] = runs.values()
    slopes, rivals, powers, decays, growth, angles = [], [], [], [], [], []
    for run in sweep:
        direction, margin, least_squares_margin = margins(run)
        log_time, w, losses = path(run)
        late = log_time > FROM
        size = np.linalg.norm(w, axis=1)
        along = w @ direction
        across = np.linalg.norm(w - along[:, None] * direction, axis=1)
        angle = np.arctan2(across, along)
        slopes.append(slope(log_time[late], size[late]) * margin)
        rivals.append(margin / least_squares_margin)
        powers.append(slope(np.log(log_time[late]), np.log(angle[late])))
        decays.append(slope(np.log(log_time[late]), (np.log(losses) + log_time)[late]))
        label = run is sweep[0]
        growth.append(Curve(log_time, size * margin, "|w| x margin" if label else ""))
        angles.append(Curve(log_time[late], angle[late], "angle" if label else "", colour=1))
    claims = [
        Claim(
            "slope of |w| over log T, x margin", 1.0, slopes, values["tolerance_slope"],
            rival=Rival("for least squares' direction", rivals),
        ),
        Claim(
            "angle: power of log T", -1.0, powers, values["tolerance_power"],
            errors=values["errors"], rival=Rival("1 / sqrt(log T)", -0.5),
        ),
        Claim(
            "T x loss: power of log T", 0.0, decays, values["tolerance_loss"],
            rival=Rival("(log T)^2 / T", 2.0),
        ),
    ]  # fmt: skip
    ends = np.array([FROM, float(log_time[-1])])
    middle = float(np.median([curve.y[0] for curve in angles]))
    grown = Picture(
        "The weights grow by the logarithm",
        "log T",
        "|w| x largest margin",
        [*growth, Curve(ends, ends, "slope 1", is_theory=True, colour=6)],
        words=f"{len(sweep)} data sets. Dashed: the theory, without its bounded rest.",
    )
    known = np.geomspace(ends[0], ends[1], 50)
    fall = Picture(
        "Their direction tends to the largest margin",
        "log T",
        "angle to it, in radians",
        [
            *angles,
            Curve(known, middle * FROM / known, "1 / log T", is_theory=True, colour=6),
            Curve(known, middle * (FROM / known) ** 0.5, "its root", is_theory=True, colour=0),
        ],
        log="xy",
        words="Dashed: falls like 1 / log T, and like its root, through the beginning.",
    )
    return Findings(claims, [grown, fall])


def path(run: Any) -> tuple[Array, Array, Array]:
    """Return log T, w and its loss after each recorded step."""
    steps, losses = run.parameter_steps, run.trajectory["loss"].to_numpy()
    rate, gamma = float(run.params["lr"]), float(run.params["schedule.gamma"])
    inside = (steps > 0) & (steps < len(losses) - 1)
    steps = steps[inside]
    # The sum of a geometric series, whose terms overflow before their logarithms do
    log_time = np.log(rate / (gamma - 1)) + steps * np.log(gamma) + np.log1p(-(gamma**-steps))
    return log_time, run.parameters[inside].astype(np.float64), losses[steps + 1]


def slope(x: Array, y: Array) -> float:
    """Return the slope of the straight line through points."""
    return float(np.polyfit(x, y, 1)[0])


def margins(run: Any) -> tuple[Array, float, float]:
    """Return the direction of the largest margin, (features,), that margin, and least squares'."""
    from sklearn.svm import SVC

    x, y = samples(run)[:2]
    x = x * np.asarray(y, float)[:, None]  # all on the same side of the plane
    signs = np.ones(len(x))
    referee = SVC(kernel="linear", C=1e6, tol=1e-10)
    referee.fit(np.concatenate([x, -x]), np.concatenate([signs, -signs]))
    largest = referee.coef_[0] / np.linalg.norm(referee.coef_)
    fitted = np.linalg.lstsq(x, signs)[0]
    margin, other = ((x @ w).min() for w in (largest, fitted / np.linalg.norm(fitted)))
    return largest, float(margin), float(other)


def signed(*, margin: float, features: int, samples: int, seed: int) -> tuple[Array, Array]:
    """Return the samples of `separable` with -1 and 1 in the place of their classes."""
    x, y = separable(margin=margin, features=features, samples=samples, seed=seed)
    return x, 2.0 * y - 1


def logistic() -> Callable[[Any, Any], Any]:
    """Return the loss of predictions z and signs y: the mean of log(1 + exp(-y z))."""
    return lambda prediction, y: (-y * prediction).exp().log1p().mean()
