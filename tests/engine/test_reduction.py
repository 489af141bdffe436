"""How the losses of an epoch's batches become its loss: means, sums, weighted means, and neither.

The learning rate is so small that the parameters stay: so the loss of an epoch must be that of all
samples at once, which PyTorch gives.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import runner
from runner.errors import ConfigError
from runner.report.problem import edge, problem

pytestmark = pytest.mark.usefixtures("here", "one_thread")
QUIET = ("tracking=off", "print_every=0", "tolerance=0", "lr=1e-15", "epochs=1")
IRIS = ("dataset=iris", "model=softmax", "dtype=float64")
LINE = ("dataset=noisy_line", "model=linear", "dtype=float64")


def run(*words, **parts):
    return runner.run(*QUIET, *words, **parts)


def root(prediction, y):
    """Of the mean square: neither a mean nor a sum."""
    return ((prediction - y) ** 2).mean().sqrt()


def summed(prediction, y):
    return ((prediction - y) ** 4).sum()


class Wrapped(nn.Module):
    """A loss in a loss, which says nothing of its reduction."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, prediction, y):
        return 3 * self.inner(prediction, y)


class Plain:
    """No module."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, prediction, y):
        return self.inner(prediction, y)


def weights():
    return torch.tensor([1.0, 2.0, 10.0], dtype=torch.float64)


OF_NUMBERS = {
    "mean": nn.MSELoss(),
    "sum": nn.MSELoss(reduction="sum"),
    "huber": nn.HuberLoss(reduction="sum", delta=0.1),
    "a function": summed,
    "a partial": partial(functional.l1_loss, reduction="sum"),
    "wrapped": Wrapped(nn.MSELoss(reduction="sum")),
    "twice": Wrapped(Wrapped(nn.L1Loss())),
    "no module": Plain(nn.MSELoss(reduction="sum")),
}
OF_CLASSES = {
    "mean": nn.CrossEntropyLoss(),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "weight": nn.CrossEntropyLoss(weight=weights()),
    "weight, sum": nn.CrossEntropyLoss(weight=weights(), reduction="sum"),
    "smoothed": nn.CrossEntropyLoss(weight=weights(), label_smoothing=0.2),
    "ignored": nn.CrossEntropyLoss(ignore_index=1),
    "both": nn.CrossEntropyLoss(weight=weights()[:2], ignore_index=2),
    "margins": nn.MultiMarginLoss(weight=weights()),
    "wrapped": Wrapped(nn.CrossEntropyLoss(weight=weights())),
    "a partial": partial(functional.cross_entropy, weight=weights()),
}
SLOW = [pytest.param(size, marks=pytest.mark.slow) for size in (1, 149)]
SIZES = pytest.mark.parametrize("size", [7, *SLOW])


@SIZES
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_an_epochs_loss_is_that_of_all_samples(name, size):
    """Whatever the batches, also where the last one is smaller."""
    loss = OF_NUMBERS[name]
    whole = run(*LINE, loss=loss).final_loss
    parts = run(*LINE, loss=loss, batch_size=min(size, 99)).final_loss
    assert parts == pytest.approx(whole, rel=1e-9)


@SIZES
@pytest.mark.parametrize("name", OF_CLASSES)
def test_of_classes_it_is_as_well(name, size):
    """A mean that weighs classes divides by the weights of the batch."""
    words = (*IRIS, "dataset.classes=true")
    if name in ("both", "ignored"):
        size = max(size, 60)  # a batch of ignored samples alone has no mean
    loss = OF_CLASSES[name]
    whole = run(*words, loss=loss).final_loss
    assert run(*words, loss=loss, batch_size=size).final_loss == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("words", [["+loss.reduction=sum"], ["+loss.reduction=mean"], []])
def test_a_sum_over_a_part_is_scaled_to_all(words):
    """Where the last batch is left out: the samples of an epoch are not all."""
    made = run(*LINE, *words, batch_size=30, drop_last=True)
    expected = np.mean(made.trajectory.loss[1:])
    expected *= 100 / 30 if "+loss.reduction=sum" in words else 1
    assert made.final_loss == pytest.approx(expected)


@pytest.mark.parametrize("stack", ["true", "false"])
def test_a_stacks_epochs_are_those_of_lone_runs(stack):
    """By the closed form and by torch.func."""
    for words in ((*LINE, "+loss.reduction=sum"), (*IRIS, "+loss.weight=[1,2,10]"), LINE):
        swept = runner.sweep(
            *QUIET[:-2], "epochs=2", *words, f"sweep.stack={stack}", lr=[1e-15, 2e-15], batch_size=7
        )
        whole = run(*words).final_loss
        assert [one.final_loss for one in swept] == pytest.approx([whole, whole], rel=1e-6)


def test_batches_of_a_sum_rank_as_they_are_good(front_door, tmp_path):
    """Not by how many samples are in a batch."""
    words = "-m dataset=noisy_line model=linear +loss.reduction=sum lr=0.001 epochs=20"
    _, said, _ = front_door(*words.split(), "batch_size=null,4,1", "tracking=off", folder=tmp_path)
    swept = runner.sweep(*words.split()[1:], "tracking=off", batch_size=[None, 4, 1])
    losses = [one.final_loss for one in swept]
    assert max(losses) < 1.1 * min(losses), said


@pytest.mark.parametrize("kind", ["tolerance", "plateau", "patience"])
def test_what_goes_by_the_loss_goes_by_all_of_it(kind):
    """With batches as without: a bound that the whole sum keeps to would not do for a batch's."""
    words = (*LINE, "+loss.reduction=sum", "lr=1e-5", "epochs=5")
    losses = run(*words).trajectory.loss[1:].to_numpy()
    falls = float(np.abs(np.diff(losses)).min())
    said = {
        "tolerance": [f"tolerance={0.5 * losses[-1]}"],
        "patience": ["patience=1", f"min_delta={0.5 * falls}"],
        "plateau": [
            *("schedule=plateau", "++schedule.threshold_mode=abs", "++schedule.patience=0"),
            *(f"++schedule.threshold={0.5 * falls}", "++schedule.eps=0"),
        ],
    }[kind]
    for size in (None, 7):
        made = run(*words, *said, batch_size=size)
        assert (made.outcome, made.epochs) == ("exhausted", 5)
        if kind == "plateau":
            assert set(made.trajectory.lr.dropna()) == {1e-5}


@pytest.mark.parametrize("loss", [root, Wrapped(root)], ids=["function", "module"])
def test_a_loss_that_is_neither_is_refused_where_batches_are_put_together(loss):
    """And taken where all samples are one batch, or the config says how."""
    assert math.isfinite(run(*LINE, loss=loss).final_loss)
    assert math.isfinite(run(*LINE, loss=loss, batch_size=100).final_loss)
    with pytest.raises(ConfigError, match=r"neither a mean .* nor their sum.*epoch_reduction=mean"):
        run(*LINE, loss=loss, batch_size=7)
    stated = run(*LINE, "+loss.epoch_reduction=mean", loss=loss, batch_size=50)
    assert stated.final_loss == pytest.approx(np.mean(stated.trajectory.loss[1:]))


def test_a_statement_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"loss.epoch_reduction: expected mean or sum, got max"):
        run(*LINE, "+loss.epoch_reduction=max", batch_size=7)


@pytest.mark.parametrize("reduction", ["none", "batchmean"])
def test_a_loss_without_one_number_is_refused(reduction):
    with pytest.raises(ConfigError, match="loss"):
        run(*LINE, f"+loss.reduction={reduction}", batch_size=7)


def test_measures_know_a_sum():
    """The excess over the least loss is as many times larger; one sample's noise stays."""
    words = (*LINE, "measure=[excess_loss,gradient_noise]", "measure.every=1", "epochs=2")
    mean, total = run(*words).trajectory, run(*words, "+loss.reduction=sum").trajectory
    assert total.excess_loss.iloc[-1] == pytest.approx(100 * mean.excess_loss.iloc[-1])
    assert total.gradient_noise.iloc[-1] == pytest.approx(mean.gradient_noise.iloc[-1])
    by_hand = run(*words, "gradient=by_hand", "loss.gradient_reduction=sum").trajectory
    assert by_hand.gradient_noise.iloc[-1] == pytest.approx(mean.gradient_noise.iloc[-1])


def test_the_noise_of_samples_that_count_differently_is_refused():
    words = (*IRIS, "+loss.weight=[1,2,10]", "measure=[gradient_noise]", "measure.every=1")
    with pytest.raises(ConfigError, match="counts some samples more than others"):
        run(*words)


def test_a_report_knows_a_sum():
    """The loss that it draws, the least there is, and the rate from which descent leaves it."""
    mean, total = (
        run(*LINE, *words, "epochs=3")._record for words in ([], ["+loss.reduction=sum"])
    )
    own, other = problem(mean), problem(total)
    w = np.array([[1.0, 2.0], [0.5, -1.0]])
    np.testing.assert_allclose(other.loss(w), 100 * own.loss(w))
    assert other.least == pytest.approx(100 * own.least)
    assert edge(total) == pytest.approx(edge(mean) / 100)
