"""The objectives against SciPy's, autograd, finite differences and their known minima."""

import numpy as np
import pytest
import scipy.optimize
import torch

from runner import objective
from runner.objective import quadratic, rosenbrock

CASES = [
    ("quadratic", {}),
    ("quadratic", {"dimension": 1, "condition": 1, "curvature": 3.0}),
    ("quadratic", {"dimension": 5, "condition": 1e3, "curvature": 4.0, "rotation": 7}),
    ("rosenbrock", {}),
    ("rosenbrock", {"dimension": 3}),
    ("rosenbrock", {"dimension": 7}),
    ("beale", {}),
    ("himmelblau", {}),
    ("rastrigin", {}),
    ("rastrigin", {"dimension": 1}),
    ("rastrigin", {"dimension": 4}),
    ("styblinski_tang", {}),
    ("styblinski_tang", {"dimension": 1}),
    ("styblinski_tang", {"dimension": 4}),
    ("saddle", {}),
    ("ackley", {}),
    ("ackley", {"dimension": 1}),
    ("ackley", {"dimension": 4}),
]
NAMES = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, options in CASES]


@pytest.fixture(params=CASES, ids=NAMES)
def case(request):
    """The name of an objective, and the objective."""
    name, options = request.param
    return name, getattr(objective, name)(**options)


def points(own, shape=(40,)):
    """Points drawn over the region, (*shape, parameters), and its start the first of them."""
    drawn = np.random.default_rng(0).uniform(*own.region, (*shape, own.parameters))
    drawn.reshape(-1, own.parameters)[0] = own.start
    return drawn


def near(got, expected, rtol):
    """Whether arrays agree, to a fraction of the largest entry: entries may cancel to about 0."""
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def test_every_objective_is_here():
    assert {name for name, _ in CASES} == set(objective.__all__) - {"Objective"}


def test_shapes_and_types(case):
    _, own = case
    n = own.parameters
    assert own.minima.ndim == 2
    assert own.minima.shape[1] == n
    assert own.region.shape == (2, n)
    assert own.start.shape == (n,)
    assert own.minima.dtype == own.region.dtype == own.start.dtype == np.float64
    assert type(own.least) is float
    low, high = own.region
    for inside in (own.start, *own.minima):
        assert (low < inside).all()
        assert (inside < high).all()


@pytest.mark.parametrize(
    ("name", "options", "edge", "start"),
    [
        ("quadratic", {}, 2, [1, 1]),
        ("rosenbrock", {"dimension": 5}, 2.048, [-1.2, 1, -1.2, 1, -1.2]),
        ("beale", {}, 4.5, [1, 1]),
        ("himmelblau", {}, 5, [0, 0]),
        ("rastrigin", {"dimension": 4}, 5.12, [-2, 3.5, -2, 3.5]),
        ("styblinski_tang", {"dimension": 3}, 5, [0, 0, 0]),
        ("saddle", {}, 2, [1, 0.01]),
        ("ackley", {"dimension": 3}, 5, [0.5, 0.5, 0.5]),
    ],
)
def test_region_and_start_are_the_usual_ones(name, options, edge, start):
    own = getattr(objective, name)(**options)
    np.testing.assert_array_equal(own.region, [[-edge] * len(start), [edge] * len(start)])
    np.testing.assert_array_equal(own.start, start)


# The published formulas, once more and as they are printed.
PRINTED = {
    "beale": lambda x, y: (
        (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2
    ),
    "himmelblau": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "rastrigin": lambda *w: sum(10 + x**2 - 10 * np.cos(2 * np.pi * x) for x in w),
    "styblinski_tang": lambda *w: sum(x**4 - 16 * x**2 + 5 * x for x in w) / 2,
    "saddle": lambda x, y: x**2 / 2 + y**4 / 4 - y**2 / 2,
    "ackley": lambda *w: (
        20
        + np.e
        - 20 * np.exp(-0.2 * np.sqrt(np.mean(np.square(w), axis=0)))
        - np.exp(np.mean(np.cos(2 * np.pi * np.array(w)), axis=0))
    ),
}


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] in PRINTED])
def test_value_is_the_published_formula(name, options):
    own = getattr(objective, name)(**options)
    w = points(own)
    near(own.value(w), PRINTED[name](*w.T), 1e-14)


@pytest.mark.parametrize("dimension", [2, 3, 4, 9])
def test_rosenbrock_is_scipys(dimension):
    own = rosenbrock(dimension=dimension)
    for w in points(own):
        near(own.value(w), scipy.optimize.rosen(w), 1e-14)
        near(own.gradient(w), scipy.optimize.rosen_der(w), 1e-14)
        near(own.hessian(w), scipy.optimize.rosen_hess(w), 1e-14)


def test_derivatives_are_autograds(case):
    _, own = case
    w = points(own)
    tensor = torch.tensor(w)
    near(torch.func.vmap(own.value)(tensor), own.value(w), 1e-14)
    slope = torch.func.grad(own.value)
    near(torch.func.vmap(slope)(tensor), own.gradient(w), 1e-13)
    near(torch.func.vmap(torch.func.jacrev(slope))(tensor), own.hessian(w), 1e-13)


def test_autograd_goes_back_twice(case):
    """By the tape as well, and with axes before the last and no vmap."""
    _, own = case
    w = points(own, (2, 3))
    tensor = torch.tensor(w, requires_grad=True)
    (slope,) = torch.autograd.grad(own.value(tensor).sum(), tensor, create_graph=True)
    near(slope.detach(), own.gradient(w), 1e-13)
    (total,) = torch.autograd.grad(slope.sum(), tensor)
    near(total, own.hessian(w).sum(-1), 1e-13)


def test_derivatives_are_central_differences(case):
    _, own = case
    w, step = points(own), 1e-5
    for i, shift in enumerate(step * np.eye(own.parameters)):
        slope = (own.value(w + shift) - own.value(w - shift)) / (2 * step)
        near(slope, own.gradient(w)[:, i], 1e-6)
        bend = (own.gradient(w + shift) - own.gradient(w - shift)) / (2 * step)
        near(bend, own.hessian(w)[:, i], 1e-6)


def test_a_batch_is_its_single_calls(case):
    _, own = case
    w = points(own, (3, 5))
    n = own.parameters
    for function, after in ((own.value, ()), (own.gradient, (n,)), (own.hessian, (n, n))):
        together = function(w)
        assert together.shape == (3, 5, *after)
        alone = np.array([[function(one) for one in row] for row in w])
        near(together, alone, 4e-16)  # BLAS may sum a product of many rows in another order


@pytest.mark.parametrize("shape", [(), (6,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(case, dtype, shape):
    _, own = case
    exact = points(own, shape)
    w = exact.astype(dtype)
    kept = w.copy()
    for function in (own.value, own.gradient, own.hessian):
        made = function(w)
        assert made.dtype == dtype
        near(made, function(exact), 64 * np.finfo(dtype).eps)
    assert own.value(torch.tensor(w)).dtype == getattr(torch, np.dtype(dtype).name)
    np.testing.assert_array_equal(w, kept)


def test_minima_are_minima(case):
    name, own = case
    assert own.value(own.minima) == pytest.approx(own.least, rel=2e-16, abs=1e-28)
    if name == "ackley":
        return  # a cone's tip
    assert np.abs(own.gradient(own.minima)).max() < 1e-13
    assert np.linalg.eigvalsh(own.hessian(own.minima)).min() > 0


@pytest.mark.parametrize("name", objective.__all__[1:])
def test_nothing_in_the_region_is_lower(name):
    own = getattr(objective, name)()
    low, high = own.region
    axes = [np.linspace(*ends, 401) for ends in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1)
    height = own.value(grid) - own.least
    assert height.min() >= 0
    # Where the grid is nearly as low, one of the minima is near: none is missing.
    lowest = grid[height < np.quantile(height, 1e-4)]
    away = np.linalg.norm(lowest[:, None] - own.minima, axis=-1)
    assert away.min(axis=1).max() < 0.25
    assert set(away.argmin(axis=1)) == set(range(len(own.minima)))


DESCENTS = [  # the rate, and after how many steps it is within 0.005
    ("quadratic", 1.0, 60),
    ("rosenbrock", 1e-3, 20_000),
    ("beale", 0.01, 1600),
    ("himmelblau", 0.01, 60),
    ("rastrigin", 2e-3, 60),
    ("styblinski_tang", 0.02, 60),
    ("saddle", 0.1, 120),
    ("ackley", 1e-3, 160),
]


@pytest.mark.parametrize(("name", "lr", "steps"), DESCENTS)
def test_descent_from_the_start(name, lr, steps):
    """It ends at the first of the minima, from Rastrigin's in the pit that its docstring names."""
    own = getattr(objective, name)()
    low, high = own.region
    w = own.start
    for _ in range(steps):
        w = w - lr * own.gradient(w)
        assert low.max() <= w.min()
        assert w.max() <= high.min()
    expected = [-1.9899, 2.9849] if name == "rastrigin" else own.minima[0]
    np.testing.assert_allclose(w, expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_ackleys_tip(dimension):
    """By hand the cone's derivatives are 0 there, by autograd NaN; nothing is hidden."""
    own = objective.ackley(dimension=dimension)
    w = np.zeros(dimension)
    assert own.value(w) == own.value(w.astype(np.float32)) == 0
    np.testing.assert_array_equal(own.gradient(w), 0)
    pits = 4 * np.pi**2 * np.e / dimension * np.eye(dimension)
    np.testing.assert_allclose(own.hessian(w), pits, rtol=1e-15)
    assert (torch.func.grad(own.value)(torch.tensor(w)) == 0).all()
    # Just beside it the gradient is the cone's: of norm 4 / sqrt(n), along w.
    aside = np.full(dimension, 1e-9)
    np.testing.assert_allclose(own.gradient(aside), 4 / dimension, rtol=1e-6)


@pytest.mark.parametrize("rotation", [None, 0, 1])
@pytest.mark.parametrize("dimension", [2, 3, 8])
def test_eigenvalues_are_those_asked_for(dimension, rotation):
    own = quadratic(dimension=dimension, condition=1e4, curvature=5.0, rotation=rotation)
    matrix = own.hessian(own.start)
    np.testing.assert_array_equal(matrix, matrix.T)
    found = np.linalg.eigvalsh(matrix)[::-1]
    np.testing.assert_allclose(found[[0, -1]], [5.0, 5e-4], rtol=1e-11)
    np.testing.assert_allclose(found[1:] / found[:-1], 1e-4 ** (1 / (dimension - 1)), rtol=1e-11)
    if rotation is None:
        np.testing.assert_array_equal(matrix, np.diag(np.diagonal(matrix)))
        assert matrix[0, 0] == 5.0
    else:
        assert np.abs(matrix - np.diag(np.diagonal(matrix))).max() > 0.1


def test_rotation_is_a_function_of_its_seed():
    def matrix(seed):
        own = quadratic(dimension=3, rotation=seed)
        return own.hessian(own.start)

    np.testing.assert_array_equal(matrix(4), matrix(4))
    assert np.abs(matrix(4) - matrix(5)).max() > 0.01


def test_rotation_is_uniform():
    """The axis of the largest eigenvalue points anywhere: its square's mean is 1/n along each."""
    made = [quadratic(dimension=3, condition=1e6, rotation=seed) for seed in range(500)]
    shares = np.array([np.diagonal(own.hessian(own.start)) for own in made])
    # Of a uniform axis in 3 dimensions a square has the mean 1/3 and the variance 4/45.
    np.testing.assert_allclose(shares.mean(axis=0), 1 / 3, atol=4 * np.sqrt(4 / 45 / 500))
    np.testing.assert_allclose(shares.var(axis=0), 4 / 45, rtol=0.2)


@pytest.mark.parametrize("name", ["quadratic", "rastrigin", "styblinski_tang", "ackley"])
@pytest.mark.parametrize("dimension", [0, -1, 2.0, True, "2", None])
def test_dimension_is_refused(name, dimension):
    expected = f"^dimension: expected a whole number of 1 or more, got {dimension}$"
    with pytest.raises(ValueError, match=expected):
        getattr(objective, name)(dimension=dimension)


def test_rosenbrock_needs_two():
    with pytest.raises(ValueError, match=r"^dimension: .* of 2 or more, got 1$"):
        rosenbrock(dimension=1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"condition": 0.5}, "^condition: expected a number from 1"),
        ({"condition": np.nan}, "^condition: expected a number from 1"),
        ({"condition": 1e17}, "^condition: expected a number from 1"),
        ({"dimension": 1}, "^condition: expected 1 where dimension is 1, got 10"),
        ({"curvature": 0.0}, "^curvature: expected a finite number above 0, got 0"),
        ({"curvature": -1.0}, "^curvature"),
        ({"curvature": np.inf}, "^curvature"),
        ({"curvature": np.nan}, "^curvature"),
        ({"rotation": -1}, "^rotation: expected null or a whole number of 0 or more, got -1"),
        ({"rotation": 1.5}, "^rotation"),
        ({"rotation": True}, "^rotation"),
    ],
)
def test_quadratic_refuses(options, expected):
    with pytest.raises(ValueError, match=expected):
        quadratic(**options)
