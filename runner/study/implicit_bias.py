"""Logistic regression on separable data never ends, but its direction does: the largest margin.

The logistic loss of data that a plane separates has no minimum: the weights grow without bound.
Their direction tends to that of the largest margin, the one that a support vector machine finds,
without anything in the loss that asks for it. For descent w(s) = w* log s + a rest that stays
bounded, where w* has the norm 1 / margin. So the slope of |w| over log s is 1 / margin, and the
angle to w* is the bounded rest by |w|, which falls like 1 / log s: the angle times |w| stays as it
is.

The referee is scikit-learn's SVC with a linear kernel and C = 1e6, on the samples and on the
samples with their signs turned, (x, y) and (-x, -y), so that its plane goes through 0 as ours
does. All is measured between 1e4 and 1e5 steps; the angle itself is large still, only its fall is
the theory.

Source: Soudry, Hoffer, Nacson, Gunasekar and Srebro 2018, "The implicit bias of gradient descent
on separable data", theorem 3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.study import Claim, Curve, Findings, Picture
from runner.study.samples import samples

Array = NDArray[np.floating[Any]]
EARLY, LATE = 10_000, 100_000


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    [sweep] = runs.values()
    slopes, rests, falls, curves, angles = [], [], [], [], []
    for run in sweep:
        direction, margin = largest_margin(run)
        steps, w = run.parameter_steps[1:], run.parameters[1:].astype(np.float64)
        size = np.linalg.norm(w, axis=1)
        along = w @ direction
        across = np.linalg.norm(w - along[:, None] * direction, axis=1)
        angle = np.arctan2(across, along)
        late = steps >= EARLY
        slopes.append(float(np.polyfit(np.log(steps[late]), size[late], 1)[0] * margin))
        first, last = np.searchsorted(steps, (EARLY, LATE - 1))
        last = min(last, len(steps) - 1)
        rests.append(float(angle[last] * size[last] / (angle[first] * size[first])))
        falls.append(float(angle[last] / angle[first]))
        curves.append(Curve(steps, size * margin, "|w| x margin" if run is sweep[0] else ""))
        angles.append(Curve(steps, angle, "angle" if run is sweep[0] else "", colour=1))
    slope, room = values["tolerance_slope"], values["tolerance_angle"]
    claims = [
        Claim("slope of |w| over log s, x margin", 1.0, slopes, slope),
        Claim("angle x |w|, at 1e5 by at 1e4", 1.0, rests, room),
        Claim("angle, at 1e5 by at 1e4", float(np.log(EARLY) / np.log(LATE)), falls, room),
    ]
    known = np.geomspace(30, LATE, 50)
    middle = float(np.median([curve.y[-1] for curve in curves]))
    line = middle + np.log(known / LATE)
    end = float(np.median([one.y[-1] for one in angles]))
    growth = Picture(
        "The weights grow by the logarithm",
        "step",
        "|w| x largest margin",
        [*curves, Curve(known, line, "slope 1", is_theory=True, colour=6)],
        log="x",
        words="Eight data sets. Dashed: the slope of the theory, through the end.",
    )
    fall = Picture(
        "Their direction tends to the largest margin",
        "step",
        "angle to it, in radians",
        [*angles, Curve(known, end * np.log(LATE) / np.log(known), "1 / log s", is_theory=True)],
        log="xy",
        words="Dashed: a fall like 1 / log s, through the end.",
    )
    return Findings(claims, [growth, fall])


def largest_margin(run: Any) -> tuple[Array, float]:
    """The direction, (features,), and the margin along it."""
    from sklearn.svm import SVC

    x, y = samples(run)[:2]
    signs = np.where(np.asarray(y) == np.max(y), 1, -1)
    referee = SVC(kernel="linear", C=1e6, tol=1e-10)
    referee.fit(np.concatenate([x, -x]), np.concatenate([signs, -signs]))
    direction = referee.coef_[0] / np.linalg.norm(referee.coef_)
    return direction, float((signs * (x @ direction)).min())
