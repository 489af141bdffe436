"""Mini-batches, validation and classes against loops written bare, with PyTorch and scikit-learn.

A bare loop knows nothing of this project: it seeds PyTorch, makes the model, takes the order of
each epoch from NumPy, and must give the same numbers to the last bit.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.model_selection import train_test_split

import runner
import runner.dataset
from runner.engine.batches import FullBatch, MiniBatches, Order, order
from runner.record import journal
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.bits]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words, **values):
    """A run that is kept in its journal alone."""
    return runner.run(*words, "tracking=off", print_every=0, **values)


def standardised(x, like=None):
    like = x if like is None else like
    return (x - like.mean(axis=0)) / like.std(axis=0)


def mlp(inputs, outputs, width=32):
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, width), torch.nn.ReLU(), torch.nn.Linear(width, outputs)
    )


def bare(make, x, y, loss, optimizer, seed, *, epochs, size=None):
    """The loop that anybody would write: every step's loss, and all parameters after it."""
    torch.manual_seed(seed)
    model = make()
    update = optimizer(model.parameters())
    x, y = torch.tensor(x), torch.tensor(y)
    losses, parameters = [], [flat(model)]
    for epoch in range(1, epochs + 1):
        if size is None:
            parts = [np.arange(len(x))]
        else:
            shuffled = np.random.default_rng([seed, epoch]).permutation(len(x))
            parts = [shuffled[at : at + size] for at in range(0, len(x), size)]
        for part in parts:
            update.zero_grad()
            value = loss(model(x[part]), y[part])
            value.backward()
            update.step()
            losses.append(value.item())
            parameters.append(flat(model))
    return np.array(losses), np.array(parameters), model


def flat(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()


SGD = torch.optim.SGD
CASES = {
    "diabetes linear": (
        ["dataset=diabetes", "model=linear", "lr=0.1"],
        lambda: torch.nn.Linear(10, 1),
        lambda: _regression(load_diabetes(return_X_y=True, scaled=False)),
        torch.nn.MSELoss(),
        lambda parameters: SGD(parameters, lr=0.1),
    ),
    "cancer logistic": (
        ["dataset=breast_cancer", "model=logistic", "optimizer=adam", "lr=0.05"],
        lambda: torch.nn.Linear(30, 1),
        lambda: _regression(load_breast_cancer(return_X_y=True)),
        torch.nn.BCEWithLogitsLoss(),
        lambda parameters: torch.optim.Adam(parameters, lr=0.05),
    ),
    "iris softmax": (
        ["dataset=iris", "model=softmax", "optimizer=momentum", "lr=0.05"],
        lambda: torch.nn.Linear(4, 3),
        lambda: _classes(load_iris(return_X_y=True)),
        torch.nn.CrossEntropyLoss(),
        lambda parameters: SGD(parameters, lr=0.05, momentum=0.9),
    ),
    "digits mlp": (
        ["dataset=digits", "model=mlp", "loss=cross_entropy", "lr=0.1"],
        lambda: mlp(64, 10),
        lambda: _digits(),
        torch.nn.CrossEntropyLoss(),
        lambda parameters: SGD(parameters, lr=0.1),
    ),
}


def _regression(pair):
    x, y = pair
    return standardised(x).astype("float32"), y.astype("float32")[:, None]


def _classes(pair):
    x, y = pair
    return standardised(x).astype("float32"), y


def _digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y


@pytest.mark.parametrize("size", [None, 32])
@pytest.mark.parametrize("case", CASES)
def test_a_bare_loop_gives_the_same_trajectory_to_the_last_bit(case, size):
    words, make, data, loss, optimizer = CASES[case]
    epochs = 3 if size else 20
    losses, parameters, _ = bare(make, *data(), loss, optimizer, 7, epochs=epochs, size=size)
    batch = {} if size is None else {"batch_size": size}
    ours = run(*words, seed=7, epochs=epochs, tolerance=0, **batch)
    assert np.array_equal(ours.trajectory["loss"].to_numpy()[1:], losses)
    assert np.array_equal(ours.parameters, parameters)


@pytest.mark.parametrize(
    ("features", "outputs"), [(1, 1), (4, 1), (64, 1), (3, 3), (64, 10), (500, 7)]
)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**40 + 3])
def test_a_linear_model_starts_where_pytorch_does(features, outputs, bias, seed):
    from runner.model.start import linear

    torch.manual_seed(seed)
    theirs = torch.nn.Linear(features, outputs, bias=bias)
    weight, own_bias = linear(seed, features, outputs, bias=bias)
    assert np.array_equal(weight, theirs.weight.detach().numpy())
    if bias:
        assert np.array_equal(own_bias, theirs.bias.detach().numpy())


@pytest.mark.parametrize("words", [["gradient=by_hand"], ["optimizer=by_hand"], []])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_loop_starts_there(words, dtype):
    torch.manual_seed(3)
    theirs = torch.nn.Linear(4, 3).to(getattr(torch, dtype))
    ours = run("dataset=iris", "model=softmax", *words, dtype=dtype, seed=3, epochs=1)
    assert ours.parameters.dtype == dtype
    assert np.array_equal(ours.parameters[0], flat(theirs))


def test_validation_is_as_scikit_learn_splits_and_standardises():
    x, y = load_breast_cancer(return_X_y=True)
    x, unseen_x, y, unseen_y = train_test_split(x, y, test_size=0.2, random_state=5, stratify=y)
    scaled = standardised(x).astype("float32"), y.astype("float32")[:, None]
    unseen = torch.tensor(standardised(unseen_x, like=x).astype("float32"))
    target = torch.tensor(unseen_y.astype("float32")[:, None])
    loss = torch.nn.BCEWithLogitsLoss()
    losses, parameters, model = bare(
        lambda: torch.nn.Linear(30, 1),
        *scaled,
        loss,
        lambda own: SGD(own, lr=0.1),
        5,
        epochs=4,
        size=50,
    )
    ours = run(
        "dataset=breast_cancer", "model=logistic", "validation=0.2", "batch_size=50", "lr=0.1",
        seed=5, epochs=4, tolerance=0,
    )  # fmt: skip
    assert np.array_equal(ours.trajectory["loss"].to_numpy()[1:], losses)
    assert np.array_equal(ours.parameters, parameters)
    with torch.no_grad():
        made = model(unseen)
    last = ours.trajectory.iloc[-1]
    assert last.val_loss == loss(made, target).item()
    assert last.val_accuracy == ((made > 0) == (target > 0.5)).double().mean().item()


class OfProbabilities(torch.nn.BCELoss):
    pass


class OfLogits(torch.nn.BCEWithLogitsLoss):
    pass


@pytest.mark.parametrize(
    ("loss", "ends", "threshold"),
    [
        (OfProbabilities, [torch.nn.Sigmoid], 0.5),
        (lambda p, y: torch.nn.functional.binary_cross_entropy(p, y), [torch.nn.Sigmoid], 0.5),
        (lambda p, y: ((p - y) ** 2).mean(), [], 0.5),
        (OfLogits, [], 0.0),
        (lambda z, y: torch.nn.functional.softplus((1 - 2 * y) * z).mean(), [], 0.0),
    ],
    ids=["subclass", "of probabilities", "of numbers", "subclass of logits", "of logits"],
)
def test_what_is_right_follows_from_the_loss_itself(loss, ends, threshold):
    """A prediction means the second class above 0.5, or above 0: no name tells which."""

    def model():
        return torch.nn.Sequential(torch.nn.Linear(2, 1), *(kind() for kind in ends))

    ours = run("dataset=moons", loss=loss, lr=0.3, epochs=20, tolerance=0, model=model)
    x, y = runner.dataset.moons(samples=200, noise=0.1, seed=0)
    made = model()
    torch.nn.utils.vector_to_parameters(torch.tensor(ours.parameters[-2]), made.parameters())
    with torch.no_grad():
        predicted = made(torch.tensor(x, dtype=torch.float32))[:, 0].numpy()
    right = ((predicted > threshold) == (y > 0.5)).mean()
    assert ours.figures["final_accuracy"] == right
    assert 0.6 < right < 1


def test_an_epoch_is_told_by_the_mean_over_its_samples():
    x, y = load_iris(return_X_y=True)
    x = standardised(x).astype("float32")
    losses, parameters, _ = bare(
        lambda: torch.nn.Linear(4, 3),
        x,
        y,
        torch.nn.CrossEntropyLoss(),
        lambda own: SGD(own, lr=0.1),
        0,
        epochs=3,
        size=40,
    )
    ours = run("dataset=iris", "model=softmax", lr=0.1, epochs=3, tolerance=0, batch_size=40)
    told = ours.trajectory
    assert told.epoch.tolist() == [0, *[1] * 4, *[2] * 4, *[3] * 4]
    sizes = np.array([40, 40, 40, 30])
    means = (losses.reshape(3, 4) * sizes).sum(axis=1) / 150
    there = told.epoch_loss.dropna()
    assert there.index.tolist() == [4, 8, 12]
    assert there.tolist() == pytest.approx(means.tolist(), rel=1e-12)
    assert ours.final_loss == there.iloc[-1]
    assert ours.best_loss == there.min()
    assert ours.epochs == 3
    right = []
    for step in range(8, 12):  # of the last epoch, each batch before its update
        part = np.random.default_rng([0, 3]).permutation(150)[(step - 8) * 40 :][:40]
        weight, bias = np.split(parameters[step], [12])
        right.append(((x[part] @ weight.reshape(3, 4).T + bias).argmax(axis=1) == y[part]).sum())
    assert told.accuracy.dropna().iloc[-1] == pytest.approx(sum(right) / 150, rel=1e-12)


def test_a_run_converges_by_the_loss_of_an_epoch_alone():
    """Single batches are below the tolerance long before."""
    words = ["dataset=moons", "model=mlp", "loss=cross_entropy", "optimizer=adam", "lr=0.01"]
    ours = run(*words, batch_size=10, tolerance=0.05, epochs=400)
    told = ours.trajectory
    below = told.index[told.loss < 0.05]
    assert ours.outcome == "converged"
    assert ours.final_loss < 0.05
    assert len(told) - 1 == ours.epochs * 20  # at the end of an epoch
    assert below[0] < len(told) - 1 - 20
    assert (told.epoch_loss.dropna().iloc[:-1] >= 0.05).all()


def test_a_run_diverges_at_the_step_where_it_does():
    ours = run("dataset=diabetes", "model=linear", batch_size=100, lr=1e30, epochs=9)
    assert ours.outcome == "diverged"
    assert ours.tags["diverged_at"] == str(len(ours.trajectory))
    assert len(ours.trajectory) - 1 < 5  # within the first epoch
    assert ours.epochs == 0
    assert ours.final_loss == pytest.approx(np.mean(ours.trajectory.loss[1:]))


# --- ends within the first epoch ---

SHORT = ("dataset=iris", "model=softmax", "batch_size=40", "validation=0.2", "epochs=3")


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("words", [(), ("gradient=by_hand",), ("+loss.reduction=sum",)], ids=str)
def test_a_run_that_ends_within_its_first_epoch_has_the_loss_of_its_steps(words, steps):
    """And is validated where it ends, as at the end of an epoch."""
    made = run(*SHORT, *words, max_steps=steps)
    whole = run(*SHORT, *words, max_steps=3).trajectory
    expected = whole.loss[1 : 1 + steps].mean() * (3 if "+loss.reduction=sum" in words else 1)
    assert made.epochs == 0
    assert made.final_loss == made.best_loss == pytest.approx(expected)
    assert "within its first epoch, final loss" in repr(made)
    assert 0 <= made.figures["final_accuracy"] <= 1
    w, b = (made.parameters[-1][:12].reshape(3, 4), made.parameters[-1][12:])
    x, y = load_iris(return_X_y=True)
    x, unseen, _, labels = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    scores = standardised(unseen, x) @ w.T + b
    assert made.figures["final_val_accuracy"] == np.mean(scores.argmax(axis=1) == labels)


@pytest.mark.parametrize("stack", ["true", "false"])
def test_cells_that_end_there_are_ranked(stack):
    """Alone and in a stack, those as well that end at other steps than others."""
    words = (*SHORT, f"sweep.stack={stack}", "tracking=off", "max_steps=2")
    swept = runner.sweep(*words, lr=[0.001, 0.1, 1.0])
    alone = [run(*SHORT, lr=lr, max_steps=2) for lr in (0.001, 0.1, 1.0)]
    for key in ("final_loss", "best_loss", "final_accuracy", "final_val_loss"):
        there = [cell.figures[key] for cell in swept]
        assert there == pytest.approx([one.figures[key] for one in alone], rel=1e-6)
    assert swept.best.config["lr"] == 1.0


def test_a_cell_that_diverges_there_has_the_loss_before_it():
    words = ("dataset=diabetes", "model=linear", "batch_size=100", "sweep.stack=true", "epochs=1")
    stacked, other = runner.sweep(*words, "tracking=off", lr=[1e30, 0.1])
    assert (stacked.outcome, other.outcome) == ("diverged", "exhausted")
    alone = run(*words[:3], lr=1e30, epochs=1)
    assert stacked.final_loss == pytest.approx(alone.final_loss)
    assert np.isfinite(alone.final_loss)


@pytest.mark.parametrize("wanted", ["final_loss", "final_val_loss"])
def test_a_search_over_them_finds_one(wanted):
    """By the training loss, and by that of the validation data."""
    words = ("sweep.sampler=tpe", "sweep.samples=4", f"sweep.minimise={wanted}", "tracking=off")
    swept = runner.sweep(*SHORT, *words, "lr=tag(log,interval(0.001,1))", "max_steps=2")
    values = [cell.figures[wanted] for cell in swept]
    assert np.isfinite(values).all()
    assert len(set(values)) == 4


def test_one_that_is_interrupted_there_has_it_as_well(tmp_path, environment):
    words = ["dataset=noisy_line", "dataset.samples=2000000", "model=linear", "batch_size=1"]
    words += ["gradient=by_hand", "tolerance=0", "tracking=off", "print_every=0"]
    with subprocess.Popen([sys.executable, "-m", "runner", *words], env=environment) as process:

        def is_on_its_way():
            found = [run for path in journal.paths() for run in journal.summaries(path).values()]
            return any(run.steps > 100 for run in found)

        wait_for(is_on_its_way, process)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    cut = runner.load("latest")
    assert (cut.outcome, cut.epochs) == ("interrupted", 0)
    assert cut.final_loss == pytest.approx(cut.trajectory.loss[1:].mean())


# --- the stream itself ---

SHUFFLES = st.sampled_from(["epoch", "replacement", False])


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 30),
    size=st.integers(1, 30),
    seed=st.integers(0, 2**63 - 1),
    shuffle=SHUFFLES,
    drop_last=st.booleans(),
    epochs=st.integers(1, 3),
)
def test_an_epoch_takes_each_sample_once(samples, size, seed, shuffle, drop_last, epochs):
    size = min(size, samples)
    x = np.arange(samples)
    stream = MiniBatches(x, x, Order(samples, size, [seed], shuffle, drop_last))
    assert sum(stream.sizes) == (samples // size * size if drop_last else samples)
    for epoch in range(1, epochs + 1):
        taken = [next(stream)[0] for _ in stream.sizes]
        assert [len(part) for part in taken] == stream.sizes
        whole = np.concatenate(taken)
        rng = np.random.default_rng([seed, epoch])
        if shuffle is False:
            assert np.array_equal(whole, x[: len(whole)])
        elif shuffle == "epoch":
            assert len({*whole}) == len(whole)
            assert np.array_equal(whole, rng.permutation(samples)[: len(whole)])
        else:
            assert np.array_equal(whole, rng.integers(samples, size=samples)[: len(whole)])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shuffle=SHUFFLES, own_data=st.booleans(), steps=st.integers(0, 9))
def test_a_stack_takes_what_each_cell_would_alone(data, shuffle, own_data, steps):
    samples, size = 7, 3
    seeds = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    x = np.arange(len(seeds) * samples).reshape(len(seeds), samples)
    x = x if own_data else x[0]

    def order_of(some):
        return Order(samples, size, some, shuffle, False)

    own_order = shuffle is not False and len({*seeds}) > 1
    stack = MiniBatches(x, x, order_of(seeds), own_data=own_data, own_order=own_order)
    alone = [
        MiniBatches(own, own, order_of([seed]))
        for own, seed in zip(x if own_data else [x] * len(seeds), seeds, strict=True)
    ]
    cells = np.arange(len(seeds))
    kept_at = data.draw(st.integers(0, 9))
    for step in range(steps):
        if step == kept_at:
            some = data.draw(st.lists(st.sampled_from(range(len(cells))), min_size=1, unique=True))
            some = np.array(sorted(some))
            stack.keep(some)
            cells = cells[some]
        theirs = np.array([next(one)[0] for one in alone])[cells]
        ours = np.broadcast_to(next(stack)[0], theirs.shape)
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("make", ["full", "mini"])
def test_a_stream_goes_on_from_its_state(make):
    def stream():
        x = np.arange(20).reshape(2, 10)
        if make == "full":
            return FullBatch(x, x, of_cells=True)
        return MiniBatches(
            x, x, Order(10, 4, [1, 2], "epoch", False), own_data=True, own_order=True
        )

    one, other = stream(), stream()
    for _ in range(4):
        next(one)
    one.keep(np.array([1]))
    other.restore(one.state())
    for _ in range(5):
        assert np.array_equal(next(one)[0], next(other)[0])


def test_orders_differ_by_epoch_and_by_seed():
    first, second, other = (
        order(50, 0, 1, "epoch"),
        order(50, 0, 2, "epoch"),
        order(50, 1, 1, "epoch"),
    )
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


# --- in the store ---


def test_stock_mlflow_reads_epochs_back(runner, store, tmp_path):
    """Steps, epochs and validation as metrics, and the file that was fitted as a dataset."""
    table = EXAMPLES / "houses.csv"
    (tmp_path / "houses.csv").write_bytes(table.read_bytes())
    runner(
        tmp_path, "dataset=csv", "dataset.path=houses.csv", "dataset.target=price",
        "dataset.categorical=[district]", "model=linear", "optimizer=adam", "lr=1",
        "batch_size=50", "validation=0.25", "epochs=3",
    )  # fmt: skip
    client, [run] = store(tmp_path)
    metrics = run.data.metrics
    assert {"loss", "grad_norm", "epoch", "epoch_loss", "val_loss", "w.0", "b"} <= metrics.keys()
    assert metrics["final_loss"] == metrics["epoch_loss"]

    def points(key):
        return {p.step: p.value for p in client.get_metric_history(run.info.run_id, key)}

    assert points("epoch") == {0: 0, 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3}
    assert [*points("loss")] == [1, 2, 3, 4, 5, 6]
    assert [*points("epoch_loss")] == [*points("val_loss")] == [2, 4, 6]
    sizes = np.array([50, 40])
    losses = np.array([*points("loss").values()]).reshape(3, 2)
    means = (losses * sizes).sum(axis=1) / 90
    assert [*points("epoch_loss").values()] == pytest.approx(means.tolist(), rel=1e-6)
    [given] = run.inputs.dataset_inputs
    assert given.dataset.name == "csv"
    assert json.loads(given.dataset.source) == {"uri": "houses.csv"}
    profile = json.loads(given.dataset.profile)
    assert profile["features"][:3] == ["area", "rooms", "age"]
    assert profile["features"][3] == "district=harbour"
    assert (profile["features_shape"], profile["validation_features_shape"]) == ([90, 6], [30, 6])


def test_a_long_run_keeps_epochs_among_its_points(runner, store, tmp_path):
    """Each metric is thinned by its own values: those of epochs are not lost among the steps."""
    runner(
        tmp_path, "gradient=by_hand", "dataset=noisy_line", "model=linear", "batch_size=30",
        "epochs=100", "tolerance=0", "tracking.points=200", "lr=0.001",
    )  # fmt: skip
    client, [run] = store(tmp_path)

    def steps(key):
        return [p.step for p in client.get_metric_history(run.info.run_id, key)]

    assert steps("epoch_loss") == [*range(4, 401, 4)]
    assert len(steps("loss")) <= 200
    assert {1, 400} <= {*steps("loss")}
    assert "one in" in run.data.tags["thinned"]


def test_a_run_that_was_killed_is_told_by_whole_epochs(tmp_path, environment):
    """Within an epoch: what came of those before it, and every step that was written."""
    words = ["gradient=by_hand", "dataset=noisy_line", "dataset.samples=4000", "model=linear"]
    words += ["batch_size=2", "epochs=100000", "tolerance=0", "tracking=off", "print_every=0"]
    with subprocess.Popen([sys.executable, "-m", "runner", *words], env=environment) as process:

        def is_far():
            found = [run for path in journal.paths() for run in journal.summaries(path).values()]
            return any(run.steps > 5000 for run in found)

        wait_for(is_far, process)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    cut = runner.load("latest")
    told = cut.trajectory
    assert cut.outcome == "interrupted"
    assert cut.epochs == len(told.epoch_loss.dropna()) == (len(told) - 1) // 2000 >= 2
    assert cut.final_loss == told.epoch_loss.dropna().iloc[-1]
