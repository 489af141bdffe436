"""A number depends on config, data and seed alone, to the last bit.

`make test-bits` runs these, and all other tests of bits, on simulated processors as well.
"""

import os
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

import runner
from runner.engine.draws import Draws
from runner.engine.stack import prepare, refusal, stack
from runner.model.start import drawn_by_numpy, drawn_by_torch, is_fused

pytestmark = pytest.mark.bits

NOISY_LINE = ("dataset=noisy_line", "model=linear")
DIABETES = ("dataset=diabetes", "model=linear")
BY_HAND = "gradient=by_hand"
CASES = {
    "by hand": (*NOISY_LINE, BY_HAND, "optimizer=momentum"),
    "by hand, 11 parameters": (*DIABETES, BY_HAND, "optimizer=adam", "validation=0.2"),
    "by hand, odd rows": (*DIABETES, BY_HAND, "batch_size=17", "measure=[sharpness]"),
    "by hand, logistic": ("dataset=breast_cancer", "model=logistic", "loss=bce", BY_HAND),
    "by hand, classes": ("dataset=iris", "model=softmax", "loss=cross_entropy", BY_HAND),
    "closed form": (*NOISY_LINE, "optimizer=adam", "measure=[gradient_noise,trace]"),
    "closed form, 11 parameters": (*DIABETES, "loss=huber", "optimizer=adamw"),
    "closed form, odd rows": (*DIABETES, "batch_size=17", "validation=0.3"),
    "logistic": ("dataset=breast_cancer", "model=logistic", "loss=bce", "optimizer=adagrad"),
    "scalar": ("dataset=noisy_line", "model=scalar", "loss=mae", "optimizer=rmsprop"),
    "network": (*NOISY_LINE, "model=mlp", "model.widths=[5,3]", "model.activation=Mish"),
    "network, 11 features": (*DIABETES, "model=mlp", "batch_size=32", "measure=[batch_sharpness]"),
    "network, classes": ("dataset=digits", "model=mlp", "loss=cross_entropy", "batch_size=50"),
    "objective": ("objective=rosenbrock", "optimizer=adam", "lr=0.001"),
}
CELLS, STEPS = 40, 4
COMPANIES = [slice(0, 1), slice(39, 40), slice(3, 5), slice(7, 16), slice(0, 17), slice(6, 40)]


def prepared(composer, words, dtype):
    """Cells that differ in lr and, on mini-batches, in their seeds: data or order of their own."""
    common = [*words, f"dtype={dtype}", "measure.every=1"]
    seeds = "batch_size" in " ".join(words)
    cells = [
        composer.cell([*common, f"lr={1e-3 * (1 + n % 7)}", f"seed={n if seeds else 0}"])
        for n in range(CELLS)
    ]
    assert {refusal(cell.spec) for cell in cells} == {None}
    draws = Draws()
    parts = [prepare(cell.spec, draws.dataset(cell.spec)) for cell in cells]
    assert len({part.structure for part in parts}) == 1
    return parts


def steps_of(parts, stopped=None):
    """What is recorded of each cell at each step, a row each; half way all but one may stop."""
    cells = stack(parts)
    for number, batch in enumerate(islice(cells.batches, STEPS), 1):
        step = cells.program.advance(batch)
        rows = [step.loss, step.parameters, step.gradient]
        if cells.measuring:
            rows += cells.measuring.after(number, step, batch, None).values()
        if cells.validation:
            rows.append(cells.program.evaluate(next(iter(cells.validation)))[0])
        yield [np.array(row) for row in rows]
        if stopped is not None and number == STEPS // 2:
            for part in (cells.program, cells.batches, cells.measuring, cells.validation):
                if part is not None:
                    part.keep(np.array([stopped]))


@pytest.mark.one_in(7)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_a_cell_is_the_same_in_any_company(case, dtype, composer):
    """In stacks of any size, wherever it stands in them, and after the others have stopped."""
    parts = prepared(composer, CASES[case], dtype)
    whole = list(steps_of(parts))
    for company in COMPANIES:
        for expected, rows in zip(whole, steps_of(parts[company]), strict=True):
            for one, other in zip(expected, rows, strict=True):
                np.testing.assert_array_equal(one[company], other)
    for expected, rows in zip(whole, steps_of(parts, stopped=23), strict=True):
        for one, other in zip(expected, rows, strict=True):
            np.testing.assert_array_equal(one[23], other[-1 if len(other) == 1 else 23])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("by hand")])
def test_by_hand_a_stack_takes_the_steps_of_its_lone_runs(case, dtype, composer):
    from runner.engine.experiment import alone

    parts = prepared(composer, CASES[case], dtype)
    stacked = list(islice(stack(parts).steps, STEPS))
    for cell in (0, 5, 39):
        for ours, theirs in zip(stacked, alone(parts[cell].setup).steps, strict=False):
            np.testing.assert_array_equal(ours.parameters[cell], theirs.parameters)
            np.testing.assert_array_equal(ours.loss[cell], theirs.loss)


NEAR = {"float32": 1e-5, "float64": 1e-14}


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("by hand")])
def test_by_pytorch_a_step_is_near_that_of_the_lone_run(case, dtype, composer):
    """Within the bound that docs/sweeps.md states, of the largest number of the gradient."""
    from runner.engine.experiment import alone

    parts = prepared(composer, CASES[case], dtype)
    stacked = next(stack(parts).steps)
    for cell in (0, 5, 39):
        lone = next(alone(parts[cell].setup).steps)
        largest = NEAR[dtype] * np.abs(lone.gradient).max()
        np.testing.assert_allclose(stacked.gradient[cell], lone.gradient, rtol=0, atol=largest)
        np.testing.assert_allclose(stacked.loss[cell], lone.loss, rtol=NEAR[dtype])


SWEEPS = {
    "by hand": (*NOISY_LINE, BY_HAND, "optimizer=momentum", "lr=range(1,24)"),
    "by hand, 11 parameters": (*DIABETES, BY_HAND, "lr=range(1,24)", "dtype=float64"),
    "by PyTorch": (*DIABETES, "optimizer=adam", "lr=range(1,24)"),
    "network": (*NOISY_LINE, "model=mlp", "model.activation=Sigmoid", "lr=range(1,12)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["true", "auto"])
@pytest.mark.parametrize("case", SWEEPS)
def test_the_number_of_workers_changes_nothing(case, stack, here):
    """Nor does it matter how a stack is sliced among them, or how many cells have stopped."""
    words = (*SWEEPS[case], "tracking=off", "epochs=30", f"sweep.stack={stack}")
    one = runner.sweep(*words, "sweep.workers=1")
    for workers in (2, 3, 5):
        assert_same(one, runner.sweep(*words, f"sweep.workers={workers}"))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data", [NOISY_LINE, DIABETES])
@pytest.mark.parametrize("how", [(BY_HAND,), ("optimizer=adam",)])
def test_pruned_and_resumed_sweeps_are_parts_of_the_whole(how, data, dtype, here):
    """A pruned cell is the beginning of itself, and a search that goes on is one longer search."""
    words = (*data, *how, f"dtype={dtype}", "tracking=off", "epochs=40", "sweep.stack=true")
    rates = "lr=tag(log,interval(1e-4,1))"
    sobol = (rates, "sweep.sampler=sobol", "sweep.samples=32")
    whole, pruned = (runner.sweep(*words, *sobol, *more) for more in ((), ("sweep.prune=median",)))
    assert "pruned" in {run.outcome for run in pruned}
    for run, its in zip(pruned, whole, strict=True):
        rows = (run.trajectory, its.trajectory.iloc[: len(run.trajectory)])
        ours, theirs = (one.drop(columns=["time"], errors="ignore") for one in rows)
        assert ours.equals(theirs), run.name
    search = (rates, "sweep.sampler=tpe", "sweep.seed=3")
    first = runner.sweep(*words, *search, "sweep.samples=13")
    resumed = runner.sweep(*words, *search, "sweep.samples=24", "sweep.resume=true")
    assert [run.id for run in resumed][:13] == [run.id for run in first]
    assert_same(resumed, runner.sweep(*words, *search, "sweep.samples=24"))


def assert_same(sweep, other):
    assert len(sweep) == len(other)
    for run, its in zip(sweep, other, strict=True):
        ours, theirs = (r.trajectory.drop(columns=["time"], errors="ignore") for r in (run, its))
        assert ours.equals(theirs), run.name


THREADS = """
import numpy as np, torch
import runner
from sklearn.datasets import load_diabetes

torch.set_num_threads(1)  # what makes a bare script equal
x, y = load_diabetes(return_X_y=True)
x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
x, y = torch.tensor(x), torch.tensor(y[:, None].astype("float32"))
torch.manual_seed(0)
model = torch.nn.Linear(10, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
losses = []
for _ in range(100):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

words = "dataset=diabetes", "model=linear", "tracking=off", "tolerance=0", "lr=0.5", "epochs=100"
run = runner.run(*words, optimizer="adam")
assert np.array_equal(run.trajectory["loss"].to_numpy()[1:], np.float32(losses))
stack = runner.sweep(*words, optimizer="adam", seed=range(40))
hand = runner.sweep(*words, "gradient=by_hand", optimizer="adam", seed=range(40))
for cells in ([run], stack, hand):
    print([cell.trajectory["loss"].sum().hex() for cell in cells])
"""


@pytest.mark.slow
def test_the_environment_has_no_say_in_threads(environment, tmp_path):
    """A bare script on one thread has our curve; OMP_NUM_THREADS changes nothing in either."""
    printed = set()
    for threads in (None, "1", "2"):
        variables = {k: v for k, v in environment.items() if not k.endswith("_NUM_THREADS")}
        variables |= {} if threads is None else {"OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", THREADS],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1


def test_the_plan_does_not_divide_a_stack_into_lone_runs(here):
    """Whatever the workers, and whatever is done already; and one cell can be a stack."""
    words = (*NOISY_LINE, "tracking=off", "epochs=5")
    three = {"lr": [0.01, 0.011, 0.012]}
    whole = runner.sweep(*words, **three)
    assert {run.tags["stacked"] for run in whole} == {"true"}
    divided = runner.sweep(*words, "sweep.workers=3", **three)
    assert_same(whole, divided)
    alone = runner.sweep(*words, "sweep.stack=true", lr=[0.01])
    assert alone[0].tags["stacked"] == "true"
    assert alone[0].trajectory["loss"].equals(whole[0].trajectory["loss"])
    rest = runner.sweep(*words, "sweep.resume=true", lr=[0.01, 0.02])
    assert rest[0].id in {run.id for run in (*whole, *divided, *alone)}
    assert rest[1].tags["stacked"] == "true"


def test_threads_are_put_back(here):
    """A call computes on its own number, and leaves the caller's."""
    import torch
    from threadpoolctl import threadpool_info, threadpool_limits

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threadpool_limits(2, user_api="blas"):
            runner.run("tracking=off")
            assert torch.get_num_threads() == 2
            assert {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"} == {2}
    finally:
        torch.set_num_threads(before)


def test_more_threads_are_for_lone_runs(here):
    """What threads share depends on how many cells a stack has, so none is made of them."""
    two = runner.sweep("tracking=off", "device.threads=2", "lr=0.1,0.2")
    assert [run.tags["stacked"] for run in two] == ["false", "false"]
    assert two[0].params["device.threads"] == "2"
    with pytest.raises(runner.ConfigError, match=r"device.threads: expected 1 to 256"):
        runner.run("tracking=off", "device.threads=0")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**40 + 3])
def test_starts_without_pytorch_are_its_own(seed, bias):
    """Where the processor rounds as that presumes; elsewhere PyTorch draws them."""
    if os.environ.get("ATEN_CPU_CAPABILITY") == "default":
        assert not is_fused()
    elif is_fused():
        for features, outputs in ((1, 1), (10, 3), (500, 7)):
            ours = drawn_by_numpy(seed, features, outputs, bias)
            theirs = drawn_by_torch(seed, features, outputs, bias)
            assert all(map(np.array_equal, ours, theirs))
