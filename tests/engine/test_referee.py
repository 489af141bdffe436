"""Minima that scikit-learn finds by other means: coefficients agree to four digits.

Without a penalty the shipped classes can be told apart, or nearly, and no minimum exists; so there
is one, without a bias, which scikit-learn does not penalise.
"""

import numpy as np
import pytest
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    load_wine,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import runner

BY_HAND, AUTOGRAD = "gradient=by_hand", "gradient=autograd"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fitted(*words, **values):
    """The parameters at the end of a long fit in float64."""
    settings = {"dtype": "float64", "tolerance": 0, "print_every": 0, **values}
    ours = runner.run(*words, "tracking=off", "record.most_bytes=0", **settings)
    assert ours.outcome == "exhausted"
    return ours.parameters[-1]


def scaled(load, **options):
    x, y = load(return_X_y=True, **options)
    return StandardScaler().fit_transform(x), y


def assert_four_digits(ours, theirs):
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("gradient", [BY_HAND, AUTOGRAD])
def test_least_squares(gradient):
    x, y = scaled(load_diabetes, scaled=False)
    theirs = LinearRegression().fit(x, y)
    words = ["dataset=diabetes", "model=linear", "optimizer=nesterov", gradient]
    ours = fitted(*words, lr=0.1, epochs=3000)
    assert_four_digits(ours, [*theirs.coef_, theirs.intercept_])


@pytest.mark.parametrize("gradient", [BY_HAND, AUTOGRAD])
def test_least_squares_of_several_outputs(gradient):
    x, y = scaled(load_linnerud)
    theirs = LinearRegression().fit(x, y)
    words = ["dataset=linnerud", "model=linear", "optimizer=nesterov", gradient]
    ours = fitted(*words, lr=0.1, epochs=3000)
    assert_four_digits(ours, np.concatenate([theirs.coef_.ravel(), theirs.intercept_]))


def test_least_squares_of_powers():
    ours = fitted(
        "dataset=polynomial", "model=polynomial", "optimizer=nesterov", BY_HAND,
        "model.degree=3", lr=0.3, epochs=20_000,
    )  # fmt: skip
    from runner.dataset import polynomial

    coefficients = [0.0, 1.0, 0.0, -2.0, 0.0, 1.0]
    x, y = polynomial(
        coefficients=coefficients, samples=100, low=-1.0, high=1.0, noise=0.01, seed=0
    )
    powers = PolynomialFeatures(3, include_bias=False).fit_transform(x[:, None])
    theirs = LinearRegression().fit(powers, y)
    assert_four_digits(ours, [*theirs.coef_, theirs.intercept_])


@pytest.mark.parametrize("gradient", [BY_HAND, AUTOGRAD])
@pytest.mark.parametrize("alpha", [1.0, 100.0])
def test_ridge(gradient, alpha):
    x, y = scaled(load_diabetes, scaled=False)
    theirs = Ridge(alpha, fit_intercept=False).fit(x, y)
    decay = f"optimizer.weight_decay={2 * alpha / len(x)!r}"
    words = ["dataset=diabetes", "model=linear", "model.bias=false", "optimizer=nesterov"]
    assert_four_digits(fitted(*words, decay, gradient, lr=0.1, epochs=3000), theirs.coef_)


@pytest.mark.parametrize("gradient", [BY_HAND, AUTOGRAD])
@pytest.mark.parametrize("c", [0.1, 1.0])
def test_logistic_regression(gradient, c):
    x, y = scaled(load_breast_cancer)
    theirs = LogisticRegression(C=c, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, y)
    decay = f"optimizer.weight_decay={1 / (c * len(x))!r}"
    words = ["dataset=breast_cancer", "model=logistic", "model.bias=false", "optimizer=nesterov"]
    ours = fitted(*words, decay, gradient, lr=0.5, epochs=6000)
    assert_four_digits(ours, theirs.coef_.ravel())


MANY = {"iris": load_iris, "wine": load_wine}


@pytest.mark.parametrize("gradient", [BY_HAND, pytest.param(AUTOGRAD, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MANY)
def test_multinomial_regression(name, gradient):
    assert_multinomial(name, *scaled(MANY[name]), gradient, epochs=5000)


@pytest.mark.slow
def test_multinomial_regression_of_digits():
    x, y = load_digits(return_X_y=True)
    assert_multinomial("digits", x / 16, y, BY_HAND, epochs=8000)


def assert_multinomial(name, x, y, gradient, epochs):
    theirs = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, y)
    decay = f"optimizer.weight_decay={1 / len(x)!r}"
    words = [f"dataset={name}", "model=softmax", "model.bias=false", "optimizer=nesterov"]
    ours = fitted(*words, decay, gradient, lr=0.5, epochs=epochs)
    assert_four_digits(ours, theirs.coef_.ravel())
