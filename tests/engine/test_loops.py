"""The four loops: that they agree with each other, with autograd and with closed forms."""

from copy import deepcopy
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_diabetes

from runner import loss as losses
from runner import optimizer as optimizers
from runner.config.schema import plain
from runner.config.spec import typed
from runner.engine import program
from runner.engine.experiment import compose
from runner.engine.program import numpy as numpy_loop
from runner.model import Linear

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.bits]
CONF = Path(__file__).resolve().parents[2] / "conf"
OPTIMIZERS = ["adagrad", "adam", "adamw", "by_hand", "momentum", "nesterov", "rmsprop", "sgd"]
OF_CLASSES = {"bce", "cross_entropy"}
LOSSES = sorted({path.stem for path in (CONF / "loss").glob("*.yaml")} - OF_CLASSES)

BY_HAND = {name: f"runner.optimizer.{rule.__name__}" for name, rule in optimizers.BY_HAND.items()}
BY_TORCH = {"runner.optimizer.descent": "torch.optim.SGD"}
LOOPS = {
    "scalar": ["numpy", "autograd", "optimizer", "module"],
    "linear": ["numpy", "autograd", "module"],
}
# What makes `nn.Linear` the scalar model.
ONE_WEIGHT = {"in_features": 1, "out_features": 1, "bias": False}


def through(name, config):
    """A copy of the config, changed only as far as it must be to go through that loop."""
    config = deepcopy(config)
    config.gradient = "by_hand" if name == "numpy" else "autograd"
    if name != "numpy":
        swap = BY_HAND if name == "autograd" else BY_TORCH
        config.optimizer._target_ = swap.get(config.optimizer._target_, config.optimizer._target_)
    if name == "module" and config.model._target_ == program.SCALAR:
        start = {"weight": config.model.initial.w}
        config.model = {"_target_": program.LINEAR, **ONE_WEIGHT, "initial": start}
    return config


def trajectory(name, config, epochs):
    """Loss, parameters and gradient of every step through that loop, each as one array."""
    experiment = compose(typed(plain(through(name, config))))
    assert experiment.loop == name
    steps = (step[:3] for step in islice(experiment.steps, epochs))
    return [np.array(column) for column in zip(*steps, strict=True)]


def assert_close(actual, expected, dtype):
    """Within 100 eps of the largest number that the quantity takes.

    Loops add in different orders, so single numbers differ by a few eps of the terms added.
    Where the terms cancel, as in a gradient near the minimum, that is a lot beside the result.
    """
    for one, other, quantity in zip(
        actual, expected, ("loss", "parameters", "gradient"), strict=True
    ):
        allowed = 100 * np.finfo(dtype).eps * np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=allowed, err_msg=quantity)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("model", "dataset"), [("scalar", "noisy_line"), ("linear", "plane")])
def test_loops_agree(model, dataset, optimizer, loss, dtype, compose_config):
    parts = [f"model={model}", f"dataset={dataset}", f"optimizer={optimizer}", f"loss={loss}"]
    # With these samples no residual comes nearer to 0 than 1e-4 in any of the runs. One that
    # did would be above 0 in one loop and below in another, and mae's slope the opposite.
    parts += ["dataset.samples=20", "seed=1", "lr=0.05", f"dtype={dtype}"]
    config = compose_config(parts)
    reference, *others = (trajectory(name, config, 50) for name in LOOPS[model])
    assert reference[1].dtype == reference[2].dtype == dtype
    for other in others:
        assert other[1].dtype == other[2].dtype == dtype
        assert_close(other, reference, dtype)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("words", ["moons logistic", "blobs softmax", "polynomial polynomial"])
def test_loops_agree_on_classes_and_powers(words, optimizer, dtype, compose_config):
    dataset, model = words.split()
    parts = [f"model={model}", f"dataset={dataset}", f"optimizer={optimizer}", f"dtype={dtype}"]
    config = compose_config([*parts, "dataset.samples=20", "lr=0.05", "batch_size=8"])
    reference, *others = (trajectory(name, config, 30) for name in LOOPS["linear"])
    for other in others:
        assert_close(other, reference, dtype)


@st.composite
def problems(draw):
    """x, y and w, with residuals that a finite difference cannot carry across mae's kink."""
    samples, features = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    moderate = st.floats(-3, 3)
    x = draw(arrays(np.float64, (samples, features), elements=moderate))
    w = draw(arrays(np.float64, features, elements=moderate))
    apart = st.floats(0.01, 3) | st.floats(-3, -0.01) | st.sampled_from([-1.0, 1.0])
    return x, x @ w - draw(arrays(np.float64, samples, elements=apart)), w


@pytest.mark.parametrize("name", sorted({*losses.BY_HAND} - {"torch.nn.CrossEntropyLoss"}))
@settings(deadline=None)
@given(problem=problems())
def test_gradient_by_hand_is_the_derivative(name, problem):
    x, y, w = problem
    model = Linear(len(w), bias=False)
    hand, torchs = losses.BY_HAND[name](), getattr(torch.nn, name.rpartition(".")[2])()

    def first_step(at):
        return numpy_loop.NumPyProgram(at, model, hand, optimizers.descent(lr=0.1)).advance((x, y))

    gradient = first_step(w).gradient
    leaf = torch.tensor(w, requires_grad=True)
    torchs(torch.tensor(x) @ leaf, torch.tensor(y)).backward()
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=0, atol=1e-12)

    width = 1e-4
    for i, shift in enumerate(width * np.eye(w.size)):
        rise = first_step(w + shift).loss - first_step(w - shift).loss
        # Exact for these piecewise squares, but across Huber's bend off by x^2 * width / 4.
        assert rise / (2 * width) == pytest.approx(gradient[i], rel=0, abs=3e-4)


@pytest.mark.parametrize("name", LOOPS["scalar"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_step_keeps_its_arrays(name, optimizer, compose_config):
    config = compose_config([f"optimizer={optimizer}", "dataset=noisy_line"])
    experiment = compose(typed(plain(through(name, config))))
    initial = experiment.initial.copy()
    kept, copies = [], []
    for step in islice(experiment.steps, 5):
        kept.append(step)
        copies.append(deepcopy(step))
    for step, at_its_time in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(step.parameters, at_its_time.parameters)
        np.testing.assert_array_equal(step.gradient, at_its_time.gradient)
    np.testing.assert_array_equal(experiment.initial, initial)
    assert len({float(step.parameters[0]) for step in kept}) == len(kept)


def sequential(first, last):
    """A network with one hidden layer, as a config names it."""
    layers = [{**first, "out_features": 8}, {"_target_": "torch.nn.Tanh"}]
    return {"_target_": "torch.nn.Sequential", "_args_": [*layers, {**last, "out_features": 1}]}


EAGER = sequential(
    {"_target_": "torch.nn.Linear", "in_features": 2},
    {"_target_": "torch.nn.Linear", "in_features": 8},
)
LAZY = sequential({"_target_": "torch.nn.LazyLinear"}, {"_target_": "torch.nn.LazyLinear"})


@pytest.mark.parametrize("model", [EAGER, LAZY], ids=["eager", "lazy"])
def test_a_model_of_ones_own_learns(model, compose_config):
    config = compose_config(["dataset=plane", "optimizer=adam", "lr=0.05"])
    config.model = model
    experiment = compose(typed(plain(config)))
    assert experiment.tensors == {
        "0.weight": (8, 2),
        "0.bias": (8,),
        "2.weight": (1, 8),
        "2.bias": (1,),
    }
    assert experiment.initial.shape == (33,)
    taken = list(islice(experiment.steps, 200))
    assert taken[0].gradient.shape == taken[0].parameters.shape == (33,)
    assert taken[-1].loss < 0.02 * taken[0].loss


def test_a_lazy_model_is_the_eager_one(compose_config):
    """From one seed both draw the same start, and then take the same steps."""
    config = compose_config(["dataset=plane"])
    runs = []
    for config.model in (EAGER, LAZY):
        runs.append(trajectory("module", config, 10))
    for eager, lazy in zip(*runs, strict=True):
        np.testing.assert_array_equal(eager, lazy)


@pytest.mark.parametrize(("model", "dataset"), [("scalar", "noisy_line"), ("linear", "plane")])
def test_an_optimizer_with_a_closure_finds_the_minimum(model, dataset, compose_config):
    """LBFGS, which evaluates the loss as often as it likes within one step."""
    config = compose_config([f"model={model}", f"dataset={dataset}", "dtype=float64"])
    config.optimizer = {"_target_": "torch.optim.LBFGS", "lr": 1.0}
    experiment = compose(typed(plain(config)))
    assert experiment.loop == {"scalar": "optimizer", "linear": "module"}[model]
    first, *_, last = islice(experiment.steps, 10)
    assert last.loss < first.loss
    assert np.abs(last.gradient).max() < 1e-4 * np.abs(first.gradient).max()


class Descent(torch.optim.Optimizer):
    """An optimizer of somebody's own, whose step takes nothing and needs its decorator."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        """Plain descent."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad


@pytest.mark.parametrize(("model", "name"), [("scalar", "optimizer"), ("linear", "module")])
def test_an_optimizer_of_ones_own(model, name, compose_config):
    """It takes the steps of the same rule in PyTorch, and is stepped as it was written."""
    config = compose_config([f"model={model}", "dataset=noisy_line", "optimizer=sgd", "lr=0.1"])
    expected = trajectory(name, config, 20)
    config.optimizer = {"_target_": f"{__name__}.Descent", "lr": 0.1}
    assert_close(trajectory(name, config, 20), expected, "float32")


@pytest.mark.parametrize("name", LOOPS["scalar"])
@pytest.mark.parametrize("lr", [0.01, 0.1, 0.14])  # straight to 2, around it, away from it
def test_descent_is_its_closed_form(name, lr, compose_config):
    """On the line mean(x^2) = 7.5: loss 7.5 d^2, gradient 15 d, and d shrinks by 1 - 15 lr."""
    overrides = ["dataset=line", "optimizer=by_hand", f"lr={lr}", "model.initial.w=-1"]
    actual = trajectory(name, compose_config([*overrides, "dtype=float64"]), 40)
    distance = (-1 - 2) * (1 - 15 * lr) ** np.arange(41)
    expected = 7.5 * distance[:-1] ** 2, 2 + distance[1:, None], 15 * distance[:-1, None]
    assert_close(actual, expected, "float64")


@pytest.mark.parametrize("name", LOOPS["scalar"])
def test_momentum_is_its_recurrence(name, compose_config):
    """Distance and velocity go through one 2 x 2 matrix a step; its powers are the referee."""
    overrides = ["dataset=line", "optimizer=momentum", "lr=0.01", "model.initial.w=-1"]
    _, actual, _ = trajectory(name, compose_config([*overrides, "dtype=float64"]), 60)
    step = np.array([[1 - 0.01 * 15, -0.01 * 0.9], [15, 0.9]])
    expected = [
        2 + (np.linalg.matrix_power(step, epoch) @ [-1 - 2, 0])[:1] for epoch in range(1, 61)
    ]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13)


PARTS = {
    "gradient": "autograd",
    "model": "runner.model.Scalar",
    "loss": "torch.nn.MSELoss",
    "optimizer": "torch.optim.SGD",
    "device": "cpu",
    "reduction": "mean",
}
HAND = {"gradient": "by_hand"}
LINEAR = {"model": "torch.nn.Linear"}
OWN = {"model": "torch.nn.Sequential"}
RULE = {"optimizer": "runner.optimizer.descent"}
OTHER = {"optimizer": "torch.optim.LBFGS"}


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (HAND, "numpy"),
        (HAND | LINEAR, "numpy"),
        (HAND | RULE, "numpy"),
        (HAND | {"reduction": "sum"}, "numpy"),
        (HAND | {"device": "auto"}, "numpy"),
        (RULE, "autograd"),
        (RULE | LINEAR, "autograd"),
        (RULE | {"loss": "torch.nn.SmoothL1Loss"}, "autograd"),
        (RULE | {"device": "cuda"}, "autograd"),
        ({}, "optimizer"),
        (OTHER, "optimizer"),
        ({"device": "cuda"}, "optimizer"),
        (LINEAR, "module"),
        (OWN, "module"),
        (OWN | OTHER | {"loss": "torch.nn.SmoothL1Loss"}, "module"),
    ],
)
def test_parts_match_a_loop(parts, name):
    assert program.match(**PARTS | parts) == name


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (HAND | OWN, ["model torch.nn.Sequential", "model=scalar or model=linear"]),
        (HAND | {"loss": "torch.nn.SmoothL1Loss"}, ["SmoothL1Loss", "torch.nn.HuberLoss"]),
        (HAND | OTHER, ["LBFGS", "optimizer=by_hand", "torch.optim.Adam"]),
        (HAND | {"device": "cuda"}, ["cuda", "device=cpu"]),
        (HAND | OWN | OTHER | {"device": "mps"}, ["Sequential", "LBFGS", "mps"]),
        ({"reduction": "sum"}, ["gradient_reduction=sum", "gradient=by_hand"]),
        (RULE | OWN, ["Sequential", "optimizer=sgd"]),
    ],
)
def test_parts_without_a_loop_are_refused(parts, words):
    """Each reason in the one message, each with the nearest combination that has a loop."""
    with pytest.raises(ValueError, match=words[0]) as refusal:
        program.match(**PARTS | parts)
    assert [word for word in words if word not in str(refusal.value)] == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=adam", "lr=1", "epochs=5000"],
        ["optimizer=adam", "lr=1", "epochs=5000", "gradient=by_hand"],
        ["optimizer=momentum", "lr=0.1", "epochs=1000"],
        ["optimizer=sgd", "lr=0.2", "epochs=5000", "gradient=by_hand", "dtype=float64"],
        ["optimizer=adagrad", "lr=20", "epochs=5000", "gradient=by_hand", "dtype=float64"],
    ],
    ids=" ".join,
)
def test_diabetes_ends_at_least_squares(overrides, compose_config):
    """Four digits of every coefficient and of the intercept, the smallest 0.5, the largest 152."""
    config = compose_config(["dataset=diabetes", "model=linear", *overrides])
    *_, last = islice(compose(typed(plain(config))).steps, config.epochs)
    x, y = load_diabetes(return_X_y=True, scaled=False)
    design = np.column_stack([(x - x.mean(axis=0)) / x.std(axis=0), np.ones(len(y))])
    np.testing.assert_allclose(last.parameters, np.linalg.lstsq(design, y)[0], rtol=1e-4)
