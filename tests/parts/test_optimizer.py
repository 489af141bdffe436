"""The rules by hand against `torch.optim`: trajectories, hyperparameters, refusals, purity."""

import copy
import inspect

import numpy as np
import pytest
import torch

from runner import optimizer
from runner.base.percell import PerCell
from runner.optimizer import BY_HAND

TORCH = {rule: getattr(torch.optim, name.rpartition(".")[2]) for name, rule in BY_HAND.items()}
TORCH[optimizer.descent] = torch.optim.SGD
HOW = {"foreach", "fused", "capturable", "differentiable"}  # how torch computes, not what

DTYPES = [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)]

RULES = [
    (optimizer.descent, {"lr": 1e-3}),
    (optimizer.sgd, {}),
    (optimizer.sgd, {"lr": 5e-4, "momentum": 0.9}),
    (optimizer.sgd, {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    (optimizer.sgd, {"lr": 5e-4, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optimizer.sgd, {"weight_decay": 0.1, "maximize": True}),
    (optimizer.sgd, {"lr": 5e-4, "momentum": 0.7, "nesterov": True, "maximize": True}),
    (optimizer.adam, {}),
    (optimizer.adam, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3}),
    (optimizer.adam, {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    (optimizer.adam, {"lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    (optimizer.adam, {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True, "maximize": True}),
    (optimizer.adamw, {}),
    (optimizer.adamw, {"lr": 0.01, "betas": (0.8, 0.98), "eps": 1e-4, "weight_decay": 0.3}),
    (optimizer.adamw, {"lr": 0.05, "amsgrad": True, "maximize": True}),
    (optimizer.rmsprop, {}),
    (optimizer.rmsprop, {"lr": 3e-3, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    (optimizer.rmsprop, {"lr": 1e-3, "momentum": 0.8, "centered": True}),
    (optimizer.rmsprop, {"weight_decay": 0.1, "centered": True, "maximize": True}),
    (optimizer.adagrad, {}),
    (optimizer.adagrad, {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1, "eps": 1e-3}),
    (optimizer.adagrad, {"lr": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
]


# A rotation, so that no axis is a direction of its own.
TURN = torch.linalg.qr(torch.arange(16.0).reshape(4, 4).sin())[0]


def quadratic(w):
    """A bowl a thousand times as steep along one direction as along another."""
    return (torch.logspace(-1, 2, 4).to(w) * (TURN.to(w) @ w) ** 2).sum() / 2


def rosenbrock(w):
    """A curved valley, not convex."""
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def logistic(w):
    """The loss of a logistic regression: convex, flat far away."""
    x = torch.arange(24.0).reshape(8, 3).cos().to(w)
    return torch.nn.functional.softplus(x @ w * torch.tensor([1.0, -1.0] * 4).to(w)).mean()


FUNCTIONS = [(quadratic, [1, -2, 3, 0.5]), (rosenbrock, [-1.2, 1]), (logistic, [2, -3, 1])]
KINDS = {"numpy": lambda tensor: tensor.numpy().copy(), "torch": torch.Tensor.clone}


def label(value):
    """The name of a function, or hyperparameters on one line, for a test's own name."""
    if isinstance(value, dict):
        return ",".join(f"{key}={given}" for key, given in value.items()) or "defaults"
    return getattr(value, "__name__", None)


def gradient_of(function, w, maximize):
    """The gradient by autograd; of -function where it is maximised, so that a maximum exists."""
    w = w.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(-function(w) if maximize else function(w), w)
    return gradient


def by_torch(rule, hyperparameters, function, start):
    """All w of 200 steps of torch's class, (steps, parameters)."""
    w = start.clone().requires_grad_()
    maximize = hyperparameters.get("maximize", False)
    step = TORCH[rule]([w], **hyperparameters).step
    trajectory = []
    for _ in range(200):
        w.grad = gradient_of(function, w, maximize)
        step()
        trajectory.append(w.detach().numpy().copy())
    return np.array(trajectory)


def by_hand(rule, hyperparameters, function, start, convert):
    """The same by the rule, with w and gradient as `convert` makes them from a tensor."""
    w, state, update = convert(start), None, rule(**hyperparameters)
    maximize = hyperparameters.get("maximize", False)
    trajectory = []
    for _ in range(200):
        gradient = gradient_of(function, torch.as_tensor(w), maximize)
        w, state = update(w, convert(gradient), state)
        trajectory.append(np.asarray(w))
    return np.array(trajectory)


@pytest.mark.parametrize(("function", "start"), FUNCTIONS, ids=label)
@pytest.mark.parametrize(("rule", "hyperparameters"), RULES, ids=label)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rule_follows_torch(rule, hyperparameters, function, start, dtype):
    """To the last bit on tensors.

    NumPy rounds otherwise by a few eps a step, and none of these runs is chaotic: what remains is a
    few eps of the largest w. A rule that is wrong in any term is off by far more in either dtype.
    """
    start = torch.tensor(start, dtype=dtype)
    expected = by_torch(rule, hyperparameters, function, start)
    allowed = 100 * torch.finfo(dtype).eps * np.abs(expected).max()
    for kind, convert in KINDS.items():
        actual = by_hand(rule, hyperparameters, function, start, convert)
        assert actual.dtype == expected.dtype
        tolerance = 0 if kind == "torch" else allowed
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=kind)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("rule", "hyperparameters"), RULES, ids=label)
def test_rule_of_many_cells_is_each_cells_own(rule, hyperparameters, dtype):
    """Every number another one in each cell, 37 cells at once: to the last bit those of torch."""
    rng = torch.Generator().manual_seed(0)
    given = {"lr": inspect.signature(rule).parameters["lr"].default, **hyperparameters}
    lr = 0.01 if given["lr"] is inspect.Parameter.empty else given["lr"]
    cells = [
        {name: spread(value, 1 - n / 64) for name, value in {**given, "lr": lr}.items()}
        for n in range(37)
    ]
    gradients = torch.randn(20, len(cells), 3, generator=rng, dtype=dtype)
    w = start = torch.randn(len(cells), 3, generator=rng, dtype=dtype)
    update, state = rule(**{name: column([cell[name] for cell in cells]) for name in given}), None
    for gradient in gradients:
        w, state = update(w, gradient, state)
    for n, cell in enumerate(cells):
        lone = start[n].clone().requires_grad_()
        step = TORCH[rule]([lone], **cell).step
        for gradient in gradients:
            lone.grad = gradient[n].clone()
            step()
        assert torch.equal(lone.detach(), w[n]), cell


def spread(value, factor):
    """A number, or several, times the factor; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(spread(part, factor) for part in value)
    return value if isinstance(value, bool) else value * factor


def column(values):
    """Of each cell's value one that an update rule takes for all."""
    if isinstance(values[0], tuple):
        return tuple(map(column, zip(*values, strict=True)))
    return values[0] if isinstance(values[0], bool) else PerCell(np.array(values))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rule", "hyperparameters"), RULES, ids=label)
def test_update_changes_no_argument_and_repeats_itself(rule, hyperparameters, kind):
    update, state = rule(**hyperparameters), None
    w, gradient = (KINDS[kind](torch.tensor(values)) for values in ([[1.0, -2.0]], [[0.5, 3.0]]))
    for _ in range(3):  # the first state is None, the later ones hold arrays
        before = copy.deepcopy((w, gradient, state))
        first, second = update(w, gradient, state), update(w, gradient, state)
        assert same(before, (w, gradient, state))
        assert same(first, second)
        assert first[0].shape == w.shape
        assert first[0].dtype == w.dtype
        assert not same(first[0], w)
        w, state = first


def same(one, other):
    """Whether two nests of tuples, arrays and numbers hold the very same values."""
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool((one == other).all()) if hasattr(one, "all") else one == other


@pytest.mark.parametrize("rule", BY_HAND.values(), ids=label)
def test_rule_takes_what_torch_takes_with_its_defaults(rule):
    ours, torchs = (inspect.signature(f).parameters for f in (rule, TORCH[rule]))
    assert torchs.keys() - ours.keys() - {"params"} == HOW & torchs.keys()
    assert {name: p.default for name, p in ours.items()} == {n: torchs[n].default for n in ours}
    for name in HOW & torchs.keys():
        with pytest.raises(TypeError, match=name):
            rule(**{name: False})


NUMBERS = [
    (rule, {name: value})
    for rule in BY_HAND.values()
    for name, parameter in inspect.signature(rule).parameters.items()
    if not isinstance(parameter.default, bool | tuple)
    for value in (-np.inf, -1.0, -1e-9, 0.0, 0.5, 1.0, 2.0, np.inf)
]
BETAS = [
    (rule, {"betas": betas})
    for rule in (optimizer.adam, optimizer.adamw)
    for betas in [(0.0, 0.0), (-0.1, 0.9), (0.9, -0.1), (1.0, 0.9), (0.9, 1.0), (np.nan, 0.9)]
]
NESTEROV = [
    (optimizer.sgd, {"nesterov": True, **others})
    for others in [{}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.1}]
]


@pytest.mark.parametrize(("rule", "values"), NUMBERS + BETAS + NESTEROV, ids=label)
def test_rule_refuses_the_values_that_torch_refuses(rule, values):
    try:
        TORCH[rule]([torch.zeros(1)], **values)
    except ValueError:
        with pytest.raises(ValueError, match=next(iter(values))):
            rule(**values)
    else:
        rule(**values)


@pytest.mark.parametrize("rule", TORCH, ids=label)
def test_nan_is_refused(rule):
    """Even where a class of torch lets it pass: no run could come of it."""
    with pytest.raises(ValueError, match="lr"):
        rule(lr=np.nan)
