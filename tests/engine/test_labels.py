"""A loss's arguments that speak of labels, in the labels of the dataset: against PyTorch, bare."""

from functools import partial

import numpy as np
import pandas
import pytest
import torch
from torch import nn
from torch.nn import functional

import runner
from runner.errors import ConfigError

pytestmark = pytest.mark.usefixtures("here", "one_thread")
QUIET = ("tracking=off", "print_every=0", "tolerance=0", "model=softmax", "loss=cross_entropy")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2)).astype(np.float32)
NUMBER = (np.arange(60) * 7) % 4
NAMES = np.array(["ant", "bee", "cat", "dog"])


def run(*words, y, **parts):
    return runner.run(*QUIET, *words, dataset=(X, y), lr=0.1, epochs=3, **parts)


def bare(loss, y, outputs):
    """What three full steps of PyTorch's own make of it: losses and accuracies."""
    torch.manual_seed(0)
    model = nn.Linear(2, outputs)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y, losses, accuracies = torch.tensor(X), torch.tensor(y), [], []
    for _ in range(3):
        optimizer.zero_grad()
        prediction = model(x)
        value = loss(prediction, y)
        value.backward()
        optimizer.step()
        counts = y >= 0
        losses.append(value.item())
        accuracies.append((prediction.argmax(1) == y)[counts].double().mean().item())
    return losses, accuracies


def assert_same(made, loss, y, outputs):
    losses, accuracies = bare(loss, y, outputs)
    np.testing.assert_allclose(made.trajectory.loss[1:], losses, rtol=1e-6)
    np.testing.assert_allclose(made.trajectory.accuracy[1:], accuracies, rtol=1e-12)


MASKED = {
    # what masks: the labels of the dataset, and the numbers that PyTorch is told
    "-1": (np.where(NUMBER == 3, -1, NUMBER), np.where(NUMBER == 3, -100, NUMBER)),
    "-100": (np.where(NUMBER == 3, -100, NUMBER), np.where(NUMBER == 3, -100, NUMBER)),
    "255": (np.where(NUMBER == 3, 255, NUMBER), np.where(NUMBER == 3, -100, NUMBER)),
    "1": (NUMBER, np.array([0, -100, 1, 2])[NUMBER]),
    "cat": (NAMES[NUMBER], np.array([0, 1, -100, 2])[NUMBER]),
    "2.0": (NUMBER.astype(float), np.array([0, 1, -100, 2])[NUMBER]),
}


@pytest.mark.parametrize("label", MASKED)
def test_an_ignored_label_is_no_class(label):
    """Neither in the loss, nor in the accuracy, nor among what the model makes."""
    y, numbers = MASKED[label]
    word = label.removesuffix(".0")
    made = run(f"+loss.ignore_index={word}", y=y)
    assert_same(made, nn.CrossEntropyLoss(), numbers, 3)
    assert "3" not in made.trajectory.columns


class Masking(nn.Module):
    """A user-defined loss that ignores a label in a loss inside."""

    def __init__(self, ignore_index=-1):
        super().__init__()
        self.inner = nn.CrossEntropyLoss(ignore_index=ignore_index)

    def forward(self, prediction, y):
        return self.inner(prediction, y)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(ignore_index=-1),
        partial(functional.cross_entropy, ignore_index=-1),
        Masking(),
        Masking,
    ],
    ids=["module", "partial", "wrapped", "class"],
)
def test_an_object_ignores_it_as_well(loss):
    y, numbers = MASKED["-1"]
    made = runner.run(
        *QUIET[:-1], "dataset.classes=true", dataset=(X, y), loss=loss, lr=0.1, epochs=3
    )
    assert_same(made, nn.CrossEntropyLoss(), numbers, 3)
    if isinstance(loss, nn.CrossEntropyLoss):
        assert loss.ignore_index == -1, "the caller's own is as it was"


def test_minus_100_is_ignored_as_pytorch_has_it():
    y, numbers = MASKED["-100"]
    assert_same(run(y=y), nn.CrossEntropyLoss(), numbers, 3)


@pytest.mark.parametrize("size", [60, 13])
def test_batches_and_validation_count_what_has_a_class(size):
    """The loss of an epoch and the accuracies are over these, however the batches are."""
    y, _ = MASKED["-1"]
    words = ("+loss.ignore_index=-1", "validation=0.3")
    whole = runner.run(*QUIET, *words, dataset=(X, y), lr=1e-12, epochs=1)
    parts = runner.run(*QUIET, *words, dataset=(X, y), lr=1e-12, epochs=1, batch_size=min(size, 42))
    for key in ("final_loss", "final_accuracy", "final_val_loss", "final_val_accuracy"):
        assert parts.figures[key] == pytest.approx(whole.figures[key], rel=1e-6)


WEIGHTS = {"ant": 1.0, "bee": 2.0, "cat": 5.0, "dog": 0.5}


def test_weights_are_by_label():
    """In whatever order they are said."""
    said = ", ".join(f"{label}: {WEIGHTS[label]}" for label in reversed(WEIGHTS))
    made = run(f"+loss.weight={{{said}}}", y=NAMES[NUMBER])
    torchs = nn.CrossEntropyLoss(weight=torch.tensor([*WEIGHTS.values()]))
    assert_same(made, torchs, NUMBER, 4)


def test_of_numbers_from_0_they_go_by_position():
    made = run("+loss.weight=[1, 2, 5, 0.5]", y=NUMBER)
    assert_same(made, nn.CrossEntropyLoss(weight=torch.tensor([*WEIGHTS.values()])), NUMBER, 4)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([*WEIGHTS.values()]))
    given = runner.run(*QUIET[:-1], dataset=(X, NUMBER), lr=0.1, epochs=3, loss=loss)
    np.testing.assert_array_equal(made.trajectory.loss, given.trajectory.loss)


def test_the_second_of_two_is_weighed_by_its_label():
    y = np.where(NUMBER % 2 == 0, "no", "yes")
    words = ("tracking=off", "print_every=0", "model=logistic", "lr=0.1", "epochs=1")
    made = runner.run(*words, "+loss.pos_weight={yes: 3}", dataset=(X, y))
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))
    expected = loss(model(torch.tensor(X)), torch.tensor(NUMBER % 2)[:, None].float()).item()
    assert made.trajectory.loss.iloc[1] == pytest.approx(expected)
    with pytest.raises(ConfigError, match=r"loss.pos_weight: expected a number for yes"):
        runner.run(*words, "+loss.pos_weight={no: 3}", dataset=(X, y))
    with pytest.raises(ConfigError, match=r"goes by position.*\{yes: ...\}"):
        runner.run(*words, "+loss.pos_weight=[3]", dataset=(X, y))


REFUSED = {
    # what is said of the loss: labels, words of the message
    "+loss.weight=[1,2,5,0.5]": (NAMES[NUMBER], "loss.weight: goes by position, and the labels"),
    "+loss.weight=[1,2,3,4]": (NUMBER + 1, "'+loss.weight={1: ..., 2: ..., 3: ..., 4: ...}'"),
    "+loss.weight={ant: 1}": (NAMES[NUMBER], "expected a number for each label, ant, bee, cat, d"),
    "+loss.ignore_index=2": (NAMES[NUMBER], "no sample has the label 2, which loss.ignore_index n"),
    "+loss.ignore_index=9": (NUMBER + 1, "no sample has the label 9"),
    "+loss.ignore_index=0 gradient=by_hand": (NUMBER, "ignore"),
    "gradient=by_hand": (MASKED["-100"][0], "loss.ignore_index: no loss by hand ignores samples"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_would_go_by_position_is_refused(said):
    y, told = REFUSED[said]
    words = [said] if "gradient" not in said else said.split()
    with pytest.raises(ConfigError) as refused:
        run(*words, y=y)
    assert told in str(refused.value)


def test_an_object_with_weights_by_position_is_refused():
    loss = nn.CrossEntropyLoss(weight=torch.ones(4))
    with pytest.raises(ConfigError, match=r"loss\.weight: goes by position"):
        runner.run(*QUIET[:-1], dataset=(X, NAMES[NUMBER]), loss=loss)


def masked_by_hand(prediction, y):
    return functional.cross_entropy(prediction[y >= 0], y[y >= 0])


def test_a_loss_of_ones_own_is_not_told_other_numbers_for_a_mask():
    """It would find no label below 0."""
    y, _ = MASKED["-1"]
    with pytest.raises(ConfigError, match=r"holds the label -1.*ignore_index=-1"):
        runner.run(*QUIET[:-1], "dataset.classes=true", dataset=(X, y), loss=masked_by_hand)


@pytest.mark.parametrize("name", ["SoftMarginLoss", "HingeEmbeddingLoss"])
def test_a_loss_of_signs_is_told_signs(name):
    """Also where the labels are text."""
    y = np.where(NUMBER % 2 == 0, "no", "yes")
    words = ("tracking=off", "print_every=0", "model=linear", "dataset.classes=true", "epochs=1")
    loss = getattr(nn, name)()
    made = runner.run(*words, dataset=(X, y), loss=loss)
    torch.manual_seed(0)
    signs = torch.tensor(2.0 * (NUMBER % 2) - 1)[:, None].float()
    expected = loss(nn.Linear(2, 1)(torch.tensor(X)), signs).item()
    assert made.trajectory.loss.iloc[1] == pytest.approx(expected)


def test_cells_with_other_labels_are_no_stack(tmp_path):
    """Each is weighed by its own."""
    for name, labels in (("a", ["x", "y"]), ("b", ["w", "x"])):
        frame = pandas.DataFrame({"f": X[:, 0], "g": X[:, 1], "y": np.array(labels)[NUMBER % 2]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    words = ("dataset=csv", "dataset.target=y", "sweep.stack=true", "epochs=1", "tracking=off")
    words = (*words, "dataset.path=a.csv,b.csv", "lr=0.1,0.2", "model=softmax")
    with pytest.raises(ConfigError, match="expected a number for each label"):
        runner.sweep(*words, "+loss.weight={x: 1, y: 9}")
