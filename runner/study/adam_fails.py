"""Adam can climb: on gradients 3, -1, -1 in turn it moves up, where each round asks to go down.

The loss is w times 3, then -1, then -1, so a round of three steps has the gradient 1 and w should
fall. With b1 = 0 Adam moves by -lr g / sqrt v, where v is the running mean of g^2. With b2 = 0.1
it has forgotten the 3 after a step, so that the steps of -1 are as long as that of 3, and there
are two of them. v repeats with the period 3: after the 3 it is v0 = (1 - b2)(C^2 + b2 + b2^2) / (1
- b2^3), C = 3, then v1 = b2 v0 + 1 - b2, v2 = b2 v1 + 1 - b2. So a round moves w by lr (-C / sqrt
v0 + 1 / sqrt v1 + 1 / sqrt v2) = 0.680950 lr: up. AMSGrad divides by the largest v that there was,
v0, so it moves by -lr (C - 2) / sqrt v0 = -0.349062 lr: down.

The rival has v forget nothing: it is then the mean of the squares, 11 / 3, for the three gradients
alike, and a round moves w by -lr / sqrt(11 / 3) = -0.522233 lr, down. Nothing is drawn: three
starts and two learning rates must all agree within 1e-6, which is what eps = 1e-8 leaves of them
with room.

It hangs on b2: with 0.9 or 0.999 and C = 3, Adam falls. The paper's w stays in [-1, 1], and its
rate goes down; both are left out here, so there is no limit, and the drift alone is claimed.

Source: Reddi, Kale and Kumar 2018, "On the convergence of Adam and beyond", theorem 1.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runner.study import Claim, Curve, Findings, Picture, Rival

C, B2 = 3.0, 0.1


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, curves = [], []
    for number, (name, sweep) in enumerate(runs.items()):
        found = []
        for run in sweep:
            rounds = run.parameters[::3, 0] / float(run.params["lr"])
            found.append(float(np.diff(rounds[len(rounds) // 2 :]).mean()))
        theory = drift(name)
        rival = Rival("v forgets nothing", -(C - 2) / math.sqrt((C * C + 2) / 3))
        quantity = f"{name}: drift of a round / lr"
        claims.append(Claim(quantity, theory, found, values["tolerance"], rival=rival))
        some = [run for run in sweep if run.params["model.initial.weight"] == "0.0"]
        own = [run.parameters[:90, 0] / float(run.params["lr"]) for run in some]
        steps = np.arange(90)
        curves += [
            Curve(steps, np.array(own), name, colour=number),
            Curve(steps, theory / 3 * steps, is_theory=True, colour=number),
        ]
    picture = Picture(
        "The same gradients: Adam goes up, AMSGrad down",
        "step",
        "w / lr",
        curves,
        words="Dashed: the drift of the theory. A round of gradients 3, -1, -1 asks to go down.",
    )
    return Findings(claims, [picture])


def drift(name: str) -> float:
    """Of a round, by lr."""
    v0 = (1 - B2) * (C * C + B2 + B2 * B2) / (1 - B2**3)
    v1 = B2 * v0 + 1 - B2
    v2 = B2 * v1 + 1 - B2
    if name == "amsgrad":
        return -(C - 2) / math.sqrt(v0)
    return -C / math.sqrt(v0) + 1 / math.sqrt(v1) + 1 / math.sqrt(v2)


def mean_prediction() -> Callable[[Any, Any], Any]:
    """A loss whose gradient is the mean of the samples."""
    return lambda prediction, y: prediction.mean()
