"""Where seven optimizers end on eight test functions: which minimum, and after how many steps.

From one start each, with learning rates and schedules that bring them to rest. A run has converged
where the norm of its gradient is below 1e-6 and a published minimum is nearer than 1e-5: the
gradient alone would take a saddle for one. Ackley's function has an edge at its minimum, where no
gradient is small; there the distance decides, 1e-6. What is told is the larger of the two, by what
it may be. Where there are several minima, the one at the foot of the start's slope is claimed: (3,
2) of Himmelblau's, (0, 1) beside the saddle. On Rastrigin's, a bowl full of pits, no optimizer of
these leaves the pit beside its start: all end in a local minimum at (-1.98991, 2.98486), where w +
10 pi sin(2 pi w) = 0.

The rival is another place where descent may stay: a saddle, the next minimum, or the floor of a
valley, where it is slow. Nothing is drawn, so there are no seeds and no spread.

Source of the functions and their minima: Jamil and Yang 2013, "A literature survey of benchmark
functions for global optimization problems"; Rastrigin 1974.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from runner import objective
from runner.objective.minima import Minima
from runner.study import Claim, Curve, Findings, Picture, Rival
from runner.study.claim import AT_MOST

PIT = np.array([[-1.9899122337085497, 2.9848557010394807]])
"""The local minimum of Rastrigin's beside its start"""
ENDS = {"rastrigin": PIT, "himmelblau": np.array([[3.0, 2.0]]), "saddle": np.array([[0.0, 1.0]])}
"""Of the functions with several minima, the one that is reached"""
ELSEWHERE = {
    "ackley": ("the pit beside it", (0.9685, 0.9685)),
    "beale": ("its saddle", (0.0, 1.0)),
    "himmelblau": ("the next minimum", (3.584428, -1.848127)),
    "quadratic": ("the floor of the valley", (0.0, 1.0)),
    "rastrigin": ("the least of all", (0.0, 0.0)),
    "rosenbrock": ("the floor of the valley", (0.0, 0.0)),
    "saddle": ("the saddle", (0.0, 0.0)),
    "styblinski_tang": ("a shallower minimum", (-2.903534, 2.746803)),
}
"""By function, where else descent might stay"""
STEEP, APART, TIP = 1e-6, 1e-5, 1e-6
MOVES = "rosenbrock"
SHOWN = ("rosenbrock", "himmelblau", "saddle", "rastrigin")


def check(runs: Mapping[str, Any], values: Mapping[str, Any]) -> Findings:
    claims, curves = [], {name: list[Curve]() for name in SHOWN}
    for number, (optimizer, sweep) in enumerate(runs.items()):
        for run in sweep:
            name = run.params["objective"]
            known = minima(name)
            off = float(known.distance(run.parameters[-1]))
            steep = run.trajectory["grad_norm"].to_numpy()[1:]
            at = ", ".join(f"{value:.4g}" for value in known.nearest(run.parameters[-1]))
            if name == "ackley":
                quantity, worst = f"{name}, {optimizer}: at ({at})", off / TIP
            else:
                since = int(np.flatnonzero(~(steep < STEEP))[-1]) + 2
                quantity = f"{name}, {optimizer}: at ({at}) since step {since}"
                worst = max(float(steep[-1]) / STEEP, off / APART)
            rival_name, place = ELSEWHERE[name]
            far = float(known.distance(np.array(place))) / (TIP if name == "ackley" else APART)
            claims.append(Claim(quantity, 1.0, [worst], 0.0, AT_MOST, rival=Rival(rival_name, far)))
            if name in SHOWN:
                w = run.parameters[: 1500 if name == MOVES else 400]
                curves[name].append(Curve(w[:, 0], w[:, 1], optimizer, colour=number))
    claims.sort(key=lambda claim: claim.quantity.partition(",")[0])
    return Findings(claims, [picture(name, own) for name, own in curves.items()])


def minima(name: str) -> Minima:
    """Return the minimum in which descent from the start should end."""
    known = ENDS.get(name, function(name).minima)
    assert known is not None
    return Minima(known)


def function(name: str) -> objective.Objective:
    """Return the test function of that name."""
    made: objective.Objective = getattr(objective, name)()
    return made


def picture(name: str, curves: list[Curve]) -> Picture:
    """The paths over the function's contours."""
    own = function(name)
    points = np.concatenate([np.stack([one.x, one.y], axis=1) for one in curves])
    if own.minima is not None and name != "rastrigin":
        points = np.concatenate([points, minima(name).nearest(points[-1])[None]])
    low, high = np.quantile(points, (0.001, 0.999), axis=0)
    margin = 0.15 * (high - low) + 0.1
    x, y = (np.linspace(a, b, 120) for a, b in zip(low - margin, high + margin, strict=True))
    heights = own.value(np.stack(np.meshgrid(x, y), axis=-1))
    known = minima(name).within(low - margin, high + margin)
    stars = Curve(known[:, 0], known[:, 1], "minimum", is_points=True, colour=6)
    words = "Paths of seven optimizers from one start; contours by the logarithm of the height."
    return Picture(
        name,
        "w.0",
        "w.1",
        [*curves, stars],
        words=words,
        levels=(x, y, heights),
        moves=name == MOVES,
    )
