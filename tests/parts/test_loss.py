"""The losses by hand against `torch.nn`'s, and their slopes against finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from runner import loss
from runner.loss import BY_HAND

TORCH = {hand: getattr(torch.nn, name.rpartition(".")[2]) for name, hand in BY_HAND.items()}
LOSSES = [
    (loss.mse, {}),
    (loss.mae, {}),
    (loss.huber, {}),
    (loss.huber, {"delta": 0.25}),
    (loss.huber, {"delta": 40.0}),
    (loss.bce, {}),
]
OF_SAMPLES = [hand for hand in BY_HAND.values() if hand is not loss.cross_entropy]
every_loss = pytest.mark.parametrize(("hand", "options"), LOSSES)

# Numbers at which residuals are often exactly 0 or exactly delta, among all others.
numbers = st.sampled_from([0.0, 0.25, -0.25, 1.0, -1.0, 40.0, -40.0]) | st.floats(-100, 100)
samples = st.integers(1, 20)


@st.composite
def pairs(draw):
    """A prediction and a y, both (samples,)."""
    shape = draw(samples)
    return draw(arrays(np.float64, shape, elements=numbers)), draw(
        arrays(np.float64, shape, elements=numbers)
    )


def by_torch(hand, options, prediction, y):
    """Value and slope by `torch.nn` and autograd."""
    leaf = torch.tensor(prediction, requires_grad=True)
    value = TORCH[hand](**options)(leaf, torch.tensor(y))
    value.backward()
    return value.item(), leaf.grad.numpy()


@every_loss
@settings(deadline=None)
@given(pair=pairs())
def test_value_and_slope_are_torchs(hand, options, pair):
    value, slope = hand(**options)(*pair)
    # No term has a sign to cancel another, so each result is exact but for a few roundings;
    # atol is for the squares of residuals near 1e-160, which no float64 holds in full.
    expected = by_torch(hand, options, *pair)
    # In cross entropy they have: it is exact as far as the largest of its terms is.
    least = 1e-300 if hand is not loss.bce else 1e-14 * np.abs(np.multiply(*pair)).max(initial=1)
    np.testing.assert_allclose(value, expected[0], rtol=1e-14, atol=least)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-14, atol=min(least, 1e-14))
    assert slope.shape == pair[0].shape


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("residual", [0.0, -0.0, 0.5, -0.5, np.nextafter(0.5, 1), -2.0, 1e15])
@pytest.mark.parametrize("hand", [loss.mse, loss.mae, loss.huber])
def test_edges_are_torchs(hand, residual, dtype):
    """Huber's bends at |r| = delta, the kink of mae at r = 0, in both dtypes."""
    options = {"delta": 0.5} if hand is loss.huber else {}
    prediction, y = np.array([residual, 0.25], dtype), np.zeros(2, dtype)
    value, slope = hand(**options)(prediction, y)
    expected = by_torch(hand, options, prediction, y)
    assert value.dtype == slope.dtype == dtype
    np.testing.assert_allclose(value, expected[0], rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(slope, expected[1])


@every_loss
@settings(deadline=None)
@given(pair=pairs())
def test_slope_is_the_derivative(hand, options, pair):
    prediction, y = pair
    step = 1e-4
    value_at = hand(**options)
    for i in range(prediction.size):
        if hand is loss.mae and abs(prediction[i] - y[i]) <= step:
            continue  # a central difference says nothing where it straddles the kink
        shift = step * (np.arange(prediction.size) == i)
        rise = value_at(prediction + shift, y)[0] - value_at(prediction - shift, y)[0]
        # Rounding in a value of up to 200^2, over the step, is 1e-7; across Huber's bend the
        # difference is off by up to a quarter of the step.
        assert rise / (2 * step) == pytest.approx(value_at(prediction, y)[1][i], rel=0, abs=3e-5)


@every_loss
@settings(deadline=None)
@given(pair=pairs())
def test_sum_is_samples_times_the_slope(hand, options, pair):
    value, slope = hand(**options)(*pair)
    summed_value, summed = hand(**options, gradient_reduction="sum")(*pair)
    assert summed_value == value
    np.testing.assert_allclose(summed, slope * len(slope), rtol=1e-15, atol=1e-300)


@every_loss
@pytest.mark.parametrize("residual", [np.inf, -np.inf, np.nan, 1e200])
def test_what_is_not_finite_is_no_exception(hand, options, residual):
    """Nor for a square that overflows: it is the run's consumer that calls it diverged."""
    pair = np.array([residual, 1.0]), np.zeros(2)
    with np.errstate(over="ignore", invalid="ignore"):  # as a run has it
        value, slope = hand(**options)(*pair)
    expected = by_torch(hand, options, *pair)
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    assert slope[1] == expected[1][1]
    assert np.isfinite(value) == (residual == 1e200 and hand is not loss.mse)


@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan])
def test_delta_is_refused(delta):
    with pytest.raises(ValueError, match="delta"):
        loss.huber(delta=delta)


@pytest.mark.parametrize("hand", BY_HAND.values())
@pytest.mark.parametrize("reduction", ["none", "SUM", "", None])
def test_gradient_reduction_is_refused(hand, reduction):
    with pytest.raises(ValueError, match="gradient_reduction"):
        hand(gradient_reduction=reduction)


def test_every_loss_by_hand_is_in_the_table():
    assert {hand for hand, _ in LOSSES} == set(OF_SAMPLES)


@st.composite
def scores(draw):
    """Scores (samples, classes), and classes (samples,)."""
    count, classes = draw(samples), draw(st.integers(2, 5))
    made = draw(arrays(np.float64, (count, classes), elements=numbers))
    return made, draw(arrays(np.int64, count, elements=st.integers(0, classes - 1)))


@settings(deadline=None)
@given(pair=scores())
def test_cross_entropy_is_torchs(pair):
    value, slope = loss.cross_entropy()(*pair)
    expected = by_torch(loss.cross_entropy, {}, *pair)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(slope, expected[1], rtol=0, atol=1e-15)
    summed_value, summed = loss.cross_entropy(gradient_reduction="sum")(*pair)
    assert summed_value == value
    np.testing.assert_allclose(summed, slope * len(slope), rtol=1e-15, atol=1e-300)


@pytest.mark.parametrize("shared", [True, False])
def test_cross_entropy_of_cells_is_that_of_each(shared):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 7, 4))
    y = rng.integers(4, size=7 if shared else (3, 7))
    value, slope = loss.cross_entropy()(scores, y)
    for cell in range(3):
        alone = loss.cross_entropy()(scores[cell], y if shared else y[cell])
        np.testing.assert_array_equal(value[cell], alone[0])
        np.testing.assert_array_equal(slope[cell], alone[1])


@pytest.mark.parametrize("hand", OF_SAMPLES)
def test_of_several_outputs_it_is_torchs_mean_over_all(hand):
    rng = np.random.default_rng(0)
    prediction, y = rng.normal(size=(2, 9, 3))
    value, slope = loss.over_outputs(hand())(prediction, y)
    expected = by_torch(hand, {}, prediction, y)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-13)
