"""Measures that a config chooses: against dense Hessians and closed forms, and without a trace."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

import runner
from runner import objective
from runner.base.paths import CONF
from runner.engine import measure
from runner.engine.measure import spectrum
from runner.errors import ConfigError
from runner.record.column import norms
from runner.record.journals import Journals

NAMES = sorted(path.stem for path in (CONF / "measure").glob("*.yaml"))
ANYWHERE = ["learning_rate", "update_norm", "parameter_norm", "cosine", "sharpness", "trace"]
OF_SAMPLES = [*ANYWHERE, "gradient_noise", "batch_sharpness"]
OF_LEAST_SQUARES = [*OF_SAMPLES, "distance", "excess_loss"]
NETWORK = ("dataset=iris", "model=mlp", "model.widths=[5]", "model.activation=Tanh")
CLASSES = (*NETWORK, "loss=cross_entropy")
LINEAR = ("dataset=diabetes", "model=linear")
LOOPS = {
    "numpy": ([*LINEAR, "gradient=by_hand", "optimizer=adam"], OF_LEAST_SQUARES),
    "numpy, classes": (["dataset=iris", "model=softmax", "gradient=by_hand"], OF_SAMPLES),
    "numpy, objective": (
        ["objective=rosenbrock", "gradient=by_hand"],
        [*ANYWHERE, "distance", "excess_loss"],
    ),
    "autograd": ([*LINEAR, "optimizer=by_hand"], OF_LEAST_SQUARES),
    "optimizer": (["optimizer=adam", "lr=0.1"], [*OF_LEAST_SQUARES, "preconditioned_sharpness"]),
    "optimizer, objective": (["objective=ackley"], [*ANYWHERE, "distance"]),
    "module": ([*CLASSES, "optimizer=adam"], [*OF_SAMPLES, "preconditioned_sharpness"]),
    "mini-batches": ([*CLASSES, "batch_size=32", "clip=1.0"], OF_SAMPLES),
}
QUIET = ("tracking=off", "print_every=0", "dtype=float64", "tolerance=0")


def some(*soon):
    """The loops; those that are looked at with all else, and the others with what is slow."""
    return [pytest.param(one, marks=[] if one in soon else pytest.mark.slow) for one in LOOPS]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ours(*words, taken=(), epochs=12, **values):
    chosen = [f"measure=[{','.join(taken)}]"] if taken else []
    return runner.run(*QUIET, *chosen, *words, epochs=epochs, **values)


def swept(*words, taken=(), epochs=12, **values):
    return runner.sweep(*QUIET, f"measure=[{','.join(taken)}]", *words, epochs=epochs, **values)


def samples():
    x, y = load_iris(return_X_y=True)
    return torch.tensor(StandardScaler().fit_transform(x)), torch.tensor(y)


def of_network(vector, x, y):
    """The loss of the network of CLASSES, written down."""
    at = torch.as_tensor(vector)
    first, at = at[:20].reshape(5, 4), at[20:]
    bias, at = at[:5], at[5:]
    second, last = at[:15].reshape(3, 5), at[15:]
    scores = torch.tanh(x @ first.T + bias) @ second.T + last
    return torch.nn.functional.cross_entropy(scores, y)


def dense(run, step):
    """The Hessian of that loss before a step, entry by entry, and the parameters there."""
    at = torch.tensor(run.parameters[step - 1])
    x, y = samples()
    return torch.autograd.functional.hessian(lambda w: of_network(w, x, y), at).numpy()


def test_every_measure_is_an_option():
    own = {name for name in measure.__all__ if name.islower()} - {"declared", "read_only"}
    assert sorted(own - {"own_measures"}) == NAMES


@pytest.mark.parametrize("loop", LOOPS)
def test_a_measure_changes_nothing_and_leaves_no_trace(loop):
    words, taken = LOOPS[loop]
    bare, run = ours(*words), ours(*words, "measure.every=3", taken=taken)
    assert run.loop == bare.loop == loop.split(",")[0].replace("mini-batches", "module")
    for name in bare.trajectory.columns.drop("time"):
        np.testing.assert_array_equal(run.trajectory[name], bare.trajectory[name])
    for name in taken:
        values = run.trajectory[name].to_numpy()
        due = np.arange(len(values)) % 3 == 0
        due[0] = False
        assert np.isfinite(values[due]).all(), name
        assert np.isnan(values[~due]).all(), name
        assert f"{name} " in run.tags["measured"]


def test_nor_does_it_where_chance_plays_a_part(tmp_path):
    layers = [torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.5)]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(6, 3))
    words = ("dataset=iris", "loss=cross_entropy", "batch_size=32")
    bare = ours(*words, model=network)
    run = ours(*words, "measure.every=1", model=network, taken=OF_SAMPLES)
    for name in bare.trajectory.columns.drop("time"):
        np.testing.assert_array_equal(run.trajectory[name], bare.trajectory[name])


@pytest.mark.parametrize("loop", some("numpy", "module"))
def test_a_stack_takes_those_of_its_lone_runs(loop):
    words, taken = LOOPS[loop]
    words = [word for word in words if not word.startswith("lr=")]
    of_stack = swept(*words, "measure.every=2", "sweep.stack=true", taken=taken, lr=[0.01, 0.02])
    for run in of_stack:
        assert run.tags["stacked"] == "true"
        alone = ours(*words, "measure.every=2", taken=taken, lr=float(run.params["lr"]))
        for name in taken:
            told = f"{name} at lr={run.params['lr']}"
            np.testing.assert_allclose(
                run.trajectory[name], alone.trajectory[name], rtol=1e-6, atol=1e-9, err_msg=told
            )


def test_sharpness_and_trace_are_those_of_the_whole_hessian():
    run = ours(*CLASSES, "measure.sharpness.count=3", "measure.every=4", taken=OF_SAMPLES, lr=0.5)
    for step in (4, 8, 12):
        hessian, row = dense(run, step), run.trajectory.loc[step]
        known = np.linalg.eigvalsh(hessian)[::-1][:3]
        np.testing.assert_allclose([row[f"sharpness.{n}"] for n in range(3)], known, rtol=1e-6)
        assert row["trace"] == pytest.approx(np.trace(hessian), rel=1e-6)
        x, y = samples()
        at = torch.tensor(run.parameters[step - 1], requires_grad=True)
        slopes = np.array(
            [
                torch.autograd.grad(of_network(at, x[n : n + 1], y[n : n + 1]), at)[0].numpy()
                for n in range(len(x))
            ]
        )
        covariance = np.cov(slopes.T, bias=True)
        assert row["gradient_noise"] == pytest.approx(np.trace(covariance), rel=1e-9)
        slope = slopes.mean(axis=0)
        known = slope @ hessian @ slope / (slope @ slope)  # the batch is all there is
        assert row["batch_sharpness"] == pytest.approx(known, rel=1e-9)


def test_a_larger_hessian_is_asked_for_products_alone(monkeypatch):
    few = ours(*CLASSES, taken=["sharpness", "trace"], epochs=10)
    monkeypatch.setattr(spectrum, "DENSE", 3)
    run = ours(*CLASSES, "measure.trace.probes=400", taken=["sharpness", "trace"], epochs=10)
    sweep = swept(*CLASSES, "sweep.stack=true", taken=["sharpness"], lr=[0.01, 0.02], epochs=10)
    here, there = few.trajectory.loc[10], run.trajectory.loc[10]
    assert there["sharpness"] == pytest.approx(here["sharpness"], rel=1e-6)
    assert there["trace"] == pytest.approx(here["trace"], rel=5 * np.sqrt(2 / 400))
    assert there["trace"] != here["trace"]
    assert sweep[0].tags["stacked"] == "true"
    assert sweep[0].trajectory.loc[10]["sharpness"] == pytest.approx(here["sharpness"], rel=1e-6)


@pytest.mark.parametrize("gradient", ["by_hand", "autograd"])
def test_of_least_squares_it_is_the_closed_form(gradient):
    words = (*LINEAR, f"gradient={gradient}", "measure.every=5")
    run = ours(*words, taken=OF_LEAST_SQUARES, epochs=20, lr=0.1)
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x = np.hstack([StandardScaler().fit_transform(x), np.ones((len(y), 1))])
    hessian = 2 / len(y) * x.T @ x
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    for step in (5, 10, 15, 20):
        row, before, after = run.trajectory.loc[step], *run.parameters[step - 1 : step + 1]
        assert row["sharpness"] == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-6)
        assert row["trace"] == pytest.approx(np.trace(hessian), rel=1e-9)
        assert row["distance"] == pytest.approx(np.linalg.norm(after - best), rel=1e-6)
        over = np.mean((x @ before - y) ** 2) - np.mean((x @ best - y) ** 2)
        assert row["excess_loss"] == pytest.approx(over, rel=1e-6)
        slopes = 2 * (x @ before - y)[:, None] * x
        assert row["gradient_noise"] == pytest.approx(
            np.trace(np.cov(slopes.T, bias=True)), rel=1e-9
        )
        assert row["update_norm"] == pytest.approx(np.linalg.norm(after - before), rel=1e-12)
        assert row["parameter_norm"] == pytest.approx(np.linalg.norm(after), rel=1e-12)
        previous = 2 / len(y) * x.T @ (x @ run.parameters[step - 2] - y)
        slope = slopes.mean(axis=0)
        cosine = previous @ slope / np.linalg.norm(previous) / np.linalg.norm(slope)
        assert row["cosine"] == pytest.approx(cosine, rel=1e-9)


@pytest.mark.parametrize("loss", ["huber", "mae", "bce"])
def test_curvature_by_hand_is_that_of_autograd(loss):
    data = "breast_cancer" if loss == "bce" else "diabetes"
    words = (f"dataset={data}", "model=linear", f"loss={loss}")
    taken = ["sharpness", "trace", "gradient_noise"]
    here, there = (ours(*words, f"gradient={how}", taken=taken) for how in ("by_hand", "autograd"))
    for name in taken:
        known = there.trajectory[name]
        np.testing.assert_allclose(here.trajectory[name], known, rtol=1e-6, atol=1e-12)


def test_several_outputs_by_hand_are_those_of_autograd():
    words = ("dataset=linnerud", "model=linear", "lr=0.1")
    taken = ["sharpness", "trace", "gradient_noise"]
    here, there = (ours(*words, f"gradient={how}", taken=taken) for how in ("by_hand", "autograd"))
    for name in taken:
        np.testing.assert_allclose(here.trajectory[name], there.trajectory[name], rtol=1e-6)


@pytest.mark.parametrize("gradient", ["by_hand", "autograd"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "adagrad"])
def test_preconditioned_sharpness_is_of_what_the_step_was_divided_by(optimizer, gradient):
    lr = 0.01
    words = ("objective=quadratic", "objective.dimension=3", "objective.rotation=1")
    words = (*words, f"optimizer={optimizer}", f"gradient={gradient}", "measure.every=1")
    run = ours(*words, taken=["preconditioned_sharpness"], lr=lr, epochs=5)
    known = objective.quadratic(dimension=3, rotation=1)
    w = torch.tensor(known.start, requires_grad=True)
    make = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
    bare = getattr(torch.optim, make[optimizer])([w], lr=lr)
    for step in range(1, 6):
        w.grad = torch.tensor(known.gradient(w.detach().numpy()))
        bare.step()
        own = bare.state[w]
        square = own.get("exp_avg_sq", own.get("square_avg", own.get("sum")))
        corrected = 1 - 0.999**step if "exp_avg_sq" in own else 1.0
        eps = 1e-10 if optimizer == "adagrad" else 1e-8
        scale = np.sqrt(square.numpy() / corrected) + eps
        values = np.linalg.eigvals(np.diag(1 / scale) @ known.hessian(np.zeros(3)))
        found = run.trajectory.loc[step]["preconditioned_sharpness"]
        assert found == pytest.approx(values.real.max(), rel=1e-9)


class Branch(torch.nn.Module):
    """What torch.func cannot map: a value that decides, and a gradient of its own."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x):
        made = self.layer(x)
        return Cube.apply(made) if float(made.detach().sum()) > -1e9 else made


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * slope


def test_what_cannot_be_mapped_is_differentiated_one_after_another():
    words = ("dataset=iris", "loss=cross_entropy", "measure.every=2", "lr=0.01")
    run = ours(*words, model=Branch, taken=OF_SAMPLES)
    bare = ours(*words[:2], words[3], model=Branch)
    np.testing.assert_array_equal(run.parameters, bare.parameters)
    x, y = samples()

    def loss(w):
        scores = (x @ w[:12].reshape(3, 4).T + w[12:]) ** 3
        return torch.nn.functional.cross_entropy(scores, y)

    at = torch.tensor(run.parameters[3])
    hessian = torch.autograd.functional.hessian(loss, at).numpy()
    row = run.trajectory.loc[4]
    assert row["sharpness"] == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-6)
    assert row["trace"] == pytest.approx(np.trace(hessian), rel=1e-6)


def test_what_is_frozen_is_no_direction_of_the_loss():
    frozen = "optimizer.groups=[{params: '0.*', frozen: true}]"
    run = ours(*CLASSES, f"+{frozen}", "measure.every=4", taken=OF_SAMPLES, lr=0.5)
    hessian = dense(run, 4)[25:, 25:]  # of the last layer
    row = run.trajectory.loc[4]
    assert row["sharpness"] == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-6)
    assert row["trace"] == pytest.approx(np.trace(hessian), rel=1e-6)


def test_probes_of_a_trace_are_drawn_anew(monkeypatch):
    monkeypatch.setattr(spectrum, "DENSE", 1)
    words = ("objective=quadratic", "objective.dimension=6", "objective.rotation=1")
    words = (*words, "measure.every=1", "measure.trace.probes=50", "lr=0.01", "gradient=by_hand")
    runs = swept(*words, taken=["trace"], seed=[0, 1, 2, 3], epochs=50)
    known = np.trace(objective.quadratic(dimension=6, rotation=1).hessian(np.zeros(6)))
    apart = np.array([run.trajectory["trace"].to_numpy()[1:] for run in runs]) - known
    assert len(np.unique(apart.round(12))) > 100
    spread = apart.std()
    assert abs(apart.mean()) < 4 * spread / np.sqrt(apart.size)  # nothing that stays
    alone = ours(*words, taken=["trace"], seed=2, epochs=50)
    np.testing.assert_allclose(alone.trajectory["trace"], runs[2].trajectory["trace"], rtol=1e-12)


def raising(at):
    if at.step > 4:
        raise RuntimeError("in the middle")
    return at.loss


def test_one_that_raises_later_is_told_by_its_name():
    node = "+measure.late={_target_: test_measuring.raising, _partial_: true}"
    node = node.replace("test_measuring", __name__)
    with pytest.raises(ValueError, match=r"measure\.late: raised RuntimeError: in the middle"):
        ours(node, "measure.every=1")


def test_the_angle_is_exact_where_it_is_small():
    run = ours(
        "objective=quadratic",
        "objective.start=[1,1e-9]",
        "measure.angle.direction=[2,0]",
        "measure.every=1",
        taken=["angle"],
    )
    assert run.trajectory["angle"].to_numpy()[1:] == pytest.approx(
        run.parameters[1:, 1] / run.parameters[1:, 0], rel=1e-12
    )


def test_the_learning_rate_is_the_schedules():
    words = ("schedule=exponential", "schedule.gamma=0.5", "measure.every=1")
    run = ours(*words, taken=["learning_rate"], epochs=6, lr=0.01)
    np.testing.assert_allclose(run.trajectory["learning_rate"][1:], run.trajectory["lr"][1:])
    alone = ours("measure.every=1", taken=["learning_rate"], lr=0.25)
    assert set(alone.trajectory["learning_rate"][1:]) == {0.25}


def halved(at):
    """A measure of a user's own."""
    return norms(at.slope()) / 2


def test_one_of_a_users_own(tmp_path):
    (tmp_path / "mine" / "measure").mkdir(parents=True)
    node = f"# @package measure.halved\n_target_: {__name__}.halved\n_partial_: true\n"
    (tmp_path / "mine" / "measure" / "halved.yaml").write_text(node)
    run = ours("measure.every=1", taken=["halved"], config_dir="mine")
    np.testing.assert_allclose(
        run.trajectory["halved"][1:], run.trajectory["grad_norm"][1:] / 2, rtol=1e-12
    )


def test_what_is_due_does_not_depend_on_where_a_run_was_stopped(tmp_path):
    words = (*CLASSES, "batch_size=32", "measure.every=7", "measure.cosine.every=1")
    taken = ["cosine", "sharpness"]
    whole = ours(*words, taken=taken, epochs=6)
    for name in taken:
        values = whole.trajectory[name].to_numpy()
        every = 1 if name == "cosine" else 7
        assert np.flatnonzero(~np.isnan(values)).tolist() == [
            step for step in range(every, len(values), every) if name != "cosine" or step > 1
        ]


@pytest.mark.slow
def test_a_run_that_goes_on_takes_those_that_it_would_have_taken(environment, tmp_path):
    words = [*CLASSES, "batch_size=32", "measure.every=3", "measure=[cosine,sharpness]", "lr=0.1"]
    words += ["tracking=off", "print_every=0", "dtype=float64", "tolerance=0"]
    for text in ("epochs=4 checkpoint.every=7", "epochs=8"):
        command = [sys.executable, "-m", "runner", *words, *text.split()]
        subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    whole = runner.load("latest")
    journals = Journals()
    [other] = {*journals.parentless()} - {whole.id}
    command = [sys.executable, "-m", "runner.resume", other, "epochs=8"]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    went_on = runner.load(other)
    assert went_on.epochs == whole.epochs == 8
    for name in ("loss", "cosine", "sharpness"):
        np.testing.assert_array_equal(went_on.trajectory[name], whole.trajectory[name])


@pytest.mark.parametrize(
    ("words", "taken", "said"),
    [
        (["measure.every=0"], ["cosine"], "measure.every: expected a whole number of steps"),
        (["measure.cosine.every=x"], ["cosine"], "measure.cosine.every: expected a whole number"),
        (["measure.sharpness.count=0"], ["sharpness"], "measure.sharpness.count: expected 1"),
        (["measure.sharpness.count=2"], ["sharpness"], "measure.sharpness: count: expected at mo"),
        ([], ["angle"], "measure.angle.direction: no value is given"),
        (["measure.angle.direction=[1,2]"], ["angle"], "direction: expected 1 numbers, got 2"),
        ([*CLASSES], ["distance"], "measure.distance: nobody knows where this loss is least"),
        ([*CLASSES], ["excess_loss"], "measure.excess_loss: nobody knows the least"),
        ([], ["preconditioned_sharpness"], "the optimizer divides its steps by nothing"),
        (["objective=beale"], ["gradient_noise"], "an objective has no samples"),
        (["+measure.mine=3"], ["cosine"], "measure.mine: expected a measure"),
        (["measure.every={_target_: a.b}"], ["cosine"], "measure.every: expected a whole number"),
        (["measure.every=13"], ["cosine"], "is taken after every 13 steps, and there are 12 at"),
        (
            ["dataset=linnerud", "model=linear"],
            ["distance"],
            "least squares with a linear model of one output",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused(words, taken, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        ours(*words, taken=taken)
