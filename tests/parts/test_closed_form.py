"""Least squares in closed form, against exact arithmetic, and distances that mean something."""

from fractions import Fraction

import numpy as np
import pytest

from runner.config.schema import plain
from runner.objective import closed_form
from runner.report.problem import edge, problem
from tests.report.test_report import run_of


def exactly(x, y):
    """The optimum by the normal equations in fractions, rounded once."""
    rows = [[Fraction(float(v)) for v in row] for row in x]
    y, count = [Fraction(float(v)) for v in y], len(rows[0])
    a = [[sum(r[i] * r[j] for r in rows) for j in range(count)] for i in range(count)]
    for i, row in enumerate(a):
        row.append(sum(r[i] * v for r, v in zip(rows, y, strict=True)))
    for i in range(count):
        a[i] = [v / a[i][i] for v in a[i]]
        for k in range(count):
            if k != i:
                a[k] = [v - a[k][i] * w for v, w in zip(a[k], a[i], strict=True)]
    return np.array([float(row[-1]) for row in a])


def loss(x, y, w):
    """The mean square, exact but for the last rounding."""
    fits = [
        sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(r, w, strict=True)) for r in x
    ]
    return float(sum((f - Fraction(float(v))) ** 2 for f, v in zip(fits, y, strict=True)) / len(y))


RNG = np.random.default_rng(0)
POINTS = {
    "0 to 10": np.linspace(0, 10, 40),
    "0 to 100": np.linspace(0, 100, 30),
    "-9 to -3": np.linspace(-9, -3, 50),  # as NIST's Filip has them
    "1e-3": np.linspace(0, 1e-3, 30),
}
DESIGNS = {f"degree 10, {name}": np.vander(x, 11, increasing=True) for name, x in POINTS.items()}
DESIGNS["columns of all sizes"] = RNG.normal(size=(20, 4)) * np.array([1e-150, 1.0, 1e60, 1e150])
DESIGNS["nearly dependent"] = np.stack(
    [np.ones(9), 1 + 1e-6 * np.arange(9), np.arange(9) ** 2.0], 1
)


@pytest.mark.parametrize("name", DESIGNS)
def test_no_known_point_is_better(name):
    """However ill-conditioned the design: the exact optimum is met, and its loss."""
    x = DESIGNS[name]
    y = np.sin(np.arange(len(x))) + 0.01 * np.arange(len(x))
    known, found = exactly(x, y), closed_form.least_squares(x, y)
    assert found.rank == x.shape[1]
    assert loss(x, y, found.optimum) <= loss(x, y, known) * (1 + 1e-9)
    assert found.optimum == pytest.approx(known, rel=1e-4)


A, B = np.array([1.0, 2.0, 4.0]), np.array([3.0, 1.0, 1.0])
DEFICIENT = {
    # a design, and its rank
    "fewer samples": (np.array([[1.0, 2.0, 1.0], [3.0, 1.0, 1.0]]), 2),
    "twice the same": (np.stack([A, A, B], 1), 2),
    "one of another size": (np.stack([A, 1e9 * A, B], 1), 2),
    "a sum": (np.stack([A, B, A + B], 1), 2),
    "a column of zeros": (np.stack([A, 0 * A, B], 1), 2),
    "nothing": (np.zeros((3, 2)), 0),
}


@pytest.mark.parametrize("name", DEFICIENT)
def test_the_distance_is_from_the_nearest_minimum(name):
    """Where many points are as good: along what the data do not see, nothing is far."""
    x, rank = DEFICIENT[name]
    y = np.arange(1.0, 1 + len(x))
    found = closed_form.least_squares(x, y)
    assert (found.rank, found.is_unique) == (rank, False)
    nearest = np.linalg.pinv(x) @ y
    assert found.optimum == pytest.approx(nearest, rel=1e-6, abs=1e-7)
    blind = np.linalg.svd(x)[2][rank:].T
    for number in range(5):
        rng = np.random.default_rng(number)
        minimum = found.optimum + blind @ rng.normal(size=blind.shape[1])
        assert found.distance(minimum) < 1e-9 * (1 + np.abs(minimum).max())
        w = rng.normal(size=x.shape[1])
        apart = np.linalg.pinv(x) @ (x @ (w - nearest))
        assert found.distance(w) == pytest.approx(np.linalg.norm(apart), rel=1e-5, abs=1e-9)


CONFIGS = {
    "one minimum": (["dataset=plane"], True, ""),
    "two samples": (
        ["dataset=plane", "dataset.samples=2"],
        True,
        "the minimum is not unique, the data have rank 2 for 3 parameters",
    ),
    "too ill for float32": (
        ["dataset.x=[1,1.00001,1.00002,1.00003]", "dtype=float32"],
        False,
        "no distance from the optimum: the condition number",
    ),
    "well enough for float64": (
        ["dataset.x=[1,1.00001,1.00002,1.00003]", "dtype=float64"],
        True,
        "",
    ),
    "all zero": (["dataset.x=[0,0,0,0]"], True, "rank 1 for 2 parameters"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_report_says_of_it(name, compose_config):
    """The rank where there are many minima; no distance where rounding decides, and why."""
    typed, is_told, said = CONFIGS[name]
    found = problem(run_of(plain(compose_config(["model=linear", *typed]))))
    assert (found.doubt == "") is is_told
    assert said in " ".join(found.notes())
    assert bool(said) is bool(list(found.notes()))


@pytest.mark.parametrize("x", ["[0,0,0,0]", "[1e200,1e200,1,2]", "[1e-200,1e-200,0,0]"])
def test_an_edge_that_no_number_can_say_is_none(x, compose_config):
    """Nothing leaves a plain; and too steep a valley has no rate."""
    typed = [f"dataset.x={x}", "dtype=float64", "optimizer=by_hand"]
    assert edge(run_of(plain(compose_config(typed)))) is None
