"""Objectives: functions of the parameters alone, through every loop that fits, and their pages."""

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import runner
from runner import objective
from runner.base.paths import CONF
from runner.config import instead
from runner.config.build import build
from runner.errors import ConfigError
from runner.objective.minima import Minima

NAMES = sorted(path.stem for path in (CONF / "objective").glob("*.yaml"))
RULES = {
    "sgd": lambda w, lr: torch.optim.SGD(w, lr=lr),
    "momentum": lambda w, lr: torch.optim.SGD(w, lr=lr, momentum=0.9),
    "adam": lambda w, lr: torch.optim.Adam(w, lr=lr),
}
QUIET = ("tracking=off", "print_every=0", "dtype=float64")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ours(*words, epochs=50, **values):
    return runner.run(*QUIET, *words, epochs=epochs, **values)


def parameters(run):
    return run.trajectory[[name for name in run.trajectory if name.startswith("w.")]].to_numpy()


def option(name):
    """The function that the option names, built."""
    node = OmegaConf.to_container(OmegaConf.load(CONF / "objective" / f"{name}.yaml"))
    return build("objective", {key: value for key, value in node.items() if key != "start"})


def banana(w):
    """A function of a user's own, which any process finds by its name."""
    return (1 - w[0]) ** 2 + 10 * (w[1] - w[0] ** 2) ** 2


def scaled(w, *, by):
    return by * (w * w).sum()


def test_each_function_is_an_option():
    assert sorted({*objective.__all__} - {"Objective"}) == NAMES


def test_what_stands_in_its_place_is_what_the_config_has():
    listed = OmegaConf.load(CONF / "config.yaml").defaults
    chosen = {key: value for one in listed if isinstance(one, dict) for key, value in one.items()}
    chosen |= {k: v for one in listed if OmegaConf.is_dict(one) for k, v in one.items()}
    assert {part: chosen[part] for part in instead.USUAL} == instead.USUAL


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        pytest.param(name, rule, marks=[] if rule == soon else pytest.mark.slow)
        for name, soon in zip(NAMES, itertools.cycle(RULES))  # one of each at once
        for rule in RULES
    ],
)
def test_a_trajectory_is_that_of_a_bare_loop(name, rule):
    lr, known = 1e-3, option(name)
    w = torch.tensor(known.start, requires_grad=True)
    bare, made, losses = RULES[rule]([w], lr), [known.start], [np.nan]
    for _ in range(50):
        bare.zero_grad()
        value = known.value(w)
        value.backward()
        bare.step()
        made.append(w.detach().numpy().copy())
        losses.append(value.item())
    for how in ("autograd", "by_hand"):
        run = ours(f"objective={name}", f"optimizer={rule}", f"gradient={how}", lr=lr)
        assert run.tags["loop"] == {"autograd": "optimizer", "by_hand": "numpy"}[how]
        if how == "autograd":  # the very operations
            np.testing.assert_array_equal(parameters(run), np.array(made))
            np.testing.assert_array_equal(run.trajectory["loss"], losses)
        else:
            np.testing.assert_allclose(parameters(run), np.array(made), rtol=1e-9, atol=1e-12)


def test_the_update_by_hand_is_the_autograd_loop():
    run = ours("objective=beale", "optimizer=by_hand", lr=1e-3)
    assert run.tags["loop"] == "autograd"
    twin = ours("objective=beale", "optimizer=sgd", lr=1e-3)
    np.testing.assert_array_equal(parameters(run), parameters(twin))


@pytest.mark.parametrize("gradient", ["by_hand", pytest.param("autograd", marks=pytest.mark.slow)])
def test_a_stack_is_its_lone_runs(gradient):
    words = ("objective=rosenbrock,ackley,quadratic", "objective.start=drawn", "sweep.stack=true")
    sweep = runner.sweep(
        *QUIET, *words, gradient=gradient, optimizer=["sgd", "adam"], lr=0.002, seed=[0, 1]
    )
    for run in sweep:
        own = {key: run.params[key] for key in ("optimizer", "lr", "seed", "objective")}
        alone = ours("objective.start=drawn", gradient=gradient, epochs=100, **own)
        assert run.tags["stacked"] == "true"
        np.testing.assert_allclose(parameters(run), parameters(alone), rtol=1e-12, atol=1e-13)


def test_what_is_recorded_of_it():
    run = ours("objective=himmelblau", "objective.start=drawn", seed=3)
    assert run.params["objective"] == "himmelblau"
    assert run.params["objective._target_"] == "runner.objective.himmelblau"
    tops = {key.partition(".")[0] for key in run.params}
    assert not tops & {*instead.USUAL, *instead.OF_SAMPLES}
    low, high = objective.himmelblau().region
    drawn = np.random.default_rng(3).uniform(low, high)
    np.testing.assert_array_equal(parameters(run)[0], drawn)
    assert list(run.trajectory)[-2:] == ["w.0", "w.1"]


def test_the_tolerance_is_above_the_least_there_is():
    known = objective.styblinski_tang()
    assert known.least < 0
    run = ours("objective=styblinski_tang", lr=0.01, epochs=2000, tolerance=1e-6)
    assert run.outcome == "converged"
    losses = run.trajectory["loss"].to_numpy()
    assert losses[-1] < known.least + 1e-6 <= losses[-2]
    # Of a function that nobody knows more of, no loss is low enough.
    run = ours("objective.start=[2,2]", objective=lambda w: (w * w).sum() - 7, lr=0.1)
    assert run.outcome == "exhausted"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (banana, "banana"),
        (lambda w: banana(w), "lambda"),
        (objective.Objective(banana, takes_cells=False), "Objective"),
    ],
)
def test_a_function_of_ones_own(given, name):
    w = torch.tensor([-1.0, 1.0], dtype=torch.float64, requires_grad=True)
    for _ in range(50):
        w.grad = None
        banana(w).backward()
        with torch.no_grad():
            w -= 0.01 * w.grad
    run = ours("objective.start=[-1,1]", objective=given, lr=0.01)
    assert run.params["objective"] == name
    np.testing.assert_allclose(parameters(run)[-1], w.detach().numpy(), rtol=1e-12)


def test_a_function_of_ones_own_by_its_name(tmp_path):
    (tmp_path / "mine" / "objective").mkdir(parents=True)
    node = f"_target_: {__name__}.scaled\n_partial_: true\nby: 3.0\nstart: [1.0, 2.0]\n"
    (tmp_path / "mine" / "objective" / "bowl.yaml").write_text(node)
    sweep = runner.sweep(*QUIET, "objective=bowl", config_dir="mine", lr=[0.01, 0.02], epochs=10)
    for run in sweep:
        assert run.tags["stacked"] == "false"  # nobody knows what else it keeps
        expected = np.array([1, 2]) * (1 - 6 * float(run.params["lr"])) ** 10
        np.testing.assert_allclose(parameters(run)[-1], expected, rtol=1e-12)
    told = runner.sweep(
        *QUIET,
        "objective=bowl",
        config_dir="mine",
        lr=[0.01, 0.02],
        epochs=10,
        sweep={"stack": True},
    )
    for run, twin in zip(told, sweep, strict=True):
        assert run.tags["stacked"] == "true"
        np.testing.assert_allclose(parameters(run), parameters(twin), rtol=1e-13)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dataset=line"], "dataset: an objective stands in its place"),
        (["model.initial.w=3"], "model: "),
        (["loss=huber"], "loss: an objective stands in its place"),
        (["experiment=numpy"], "loss: an objective stands in its place"),
        (["batch_size=1"], "batch_size: is said of samples"),
        (["validation=0.5"], "validation: is said of samples"),
        (["tracking.log_model=true"], "tracking.log_model: an objective has no model"),
        (["objective.dimension=1"], "objective.dimension: expected a whole number of 2 or more"),
        (["objective.start=[1,2,3]"], "objective.start: expected a finite number of float64, or 2"),
        (["objective.start=nowhere"], "objective.start: expected usual, drawn, or the values"),
        (["gradient=by_hand", "optimizer=lbfgs"], "no update by hand for the optimizer"),
        (["gradient=by_hand", "device=cuda"], "NumPy computes on the CPU"),
    ],
)
def test_what_has_no_meaning_is_refused(words, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        ours("objective=rosenbrock", *words)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda w: w, "to return one number, got (2,)"),
        (lambda w: w.detach().sum(), "does not depend on its parameters"),
        (lambda w: 3.0, "to return one number, got float"),
        (lambda w: w[7], "has no value at its start: index 7"),
    ],
)
def test_what_is_no_objective_is_refused(given, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        ours("objective.start=[1,2]", objective=given)
    with pytest.raises(ConfigError, match=r"objective.start: expected a list of values"):
        ours(objective=given)
    with pytest.raises(ConfigError, match=r"has no gradient by hand: gradient=autograd"):
        ours("objective.start=[1,2]", "gradient=by_hand", objective=given)


def test_distance_is_to_the_nearest_minimum():
    known = Minima(objective.himmelblau().minima)
    w = known.points[2] + [0.3, 0.4]
    assert known.distance(w) == pytest.approx(0.5)
    np.testing.assert_array_equal(known.nearest(w), known.points[2])


@pytest.mark.slow
def test_the_page_knows_its_minima_and_its_edge(tmp_path, environment):
    for words in (["objective=himmelblau", "lr=0.001,0.01"], ["objective=quadratic", "lr=1.9,2.1"]):
        subprocess.run(
            [sys.executable, "-m", "runner", "-m", *words, "epochs=30"],
            env=environment,
            check=True,
            cwd=tmp_path,
        )
        subprocess.run(
            [sys.executable, "-m", "runner.report", "latest", "--html", "page.html"],
            env=environment,
            check=True,
            cwd=tmp_path,
        )
        text = (tmp_path / "page.html").read_text()
        if words[0] == "objective=himmelblau":
            assert "the objective has 4 minima" in text
            assert "as published: w.0, w.1 = 3, 2" in text
        else:
            assert "the stability edge" in text
            assert "It is at 2;" in text
