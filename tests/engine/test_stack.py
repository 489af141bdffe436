"""Stacks against lone runs, step by step, over all that can differ between the cells of a stack."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engine.draws import Draws
from runner.engine.stack import prepare, refusal
from runner.record.journal import End, File, Journal, Reader, Start
from runner.sweeps.executors.work import Work, do

NUMBERS = {
    "dampening": st.floats(0.1, 0.9),
    "momentum": st.floats(0.1, 0.95),
    "weight_decay": st.floats(0.01, 0.3),
    "betas": st.lists(st.floats(0.1, 0.99), min_size=2, max_size=2),
    "alpha": st.floats(0.5, 0.99),
    "lr_decay": st.floats(0.01, 0.1),
    "initial_accumulator_value": st.floats(0.1, 1),
    "eps": st.floats(1e-9, 1e-2),
}
HYPERPARAMETERS = {
    "by_hand": [],
    "sgd": ["dampening", "momentum", "weight_decay"],
    "momentum": ["dampening", "momentum", "weight_decay"],
    "nesterov": ["momentum", "weight_decay"],
    "adam": ["betas", "eps", "weight_decay"],
    "adamw": ["betas", "eps", "weight_decay"],
    "rmsprop": ["alpha", "eps", "momentum", "weight_decay"],
    "adagrad": ["lr_decay", "initial_accumulator_value", "eps", "weight_decay"],
}
STARTS = {"scalar": "model.initial.w", "linear": "model.initial.bias"}
NEAR = {"float32": 1e-3, "float64": 1e-12}  # of the largest magnitude in the trajectory


@st.composite
def sweeps(draw, dtype):
    """The parts of a sweep and, for each of its cells, the numbers that are set."""
    # In float32, rounding decides steps near a kink, and those scaled by the gradient's own size.
    calm = dtype == "float32"
    optimizer = draw(st.sampled_from([*HYPERPARAMETERS][: 4 if calm else None]))
    dataset = draw(st.sampled_from(["line", "noisy_line", "plane"]))
    model = draw(st.sampled_from(["linear"] if dataset == "plane" else ["scalar", "linear"]))
    parts = {
        "dtype": dtype,
        "optimizer": optimizer,
        "dataset": dataset,
        "model": model,
        "loss": draw(st.sampled_from(["mse", "huber"] if calm else ["mse", "huber", "mae"])),
        "gradient": draw(st.sampled_from(["by_hand", "autograd"])),
    }
    varied = draw(st.sets(st.sampled_from(HYPERPARAMETERS[optimizer] or ["none"])))
    numbers = {
        "lr": st.floats(1e-3, 0.3),
        "seed": st.integers(0, 5),
        STARTS[model]: st.floats(-3, 3),
        "tolerance": st.sampled_from([0.0, 0.01, 1.0]),
        "epochs": st.integers(1, 25),
        **{f"optimizer.{name}": NUMBERS[name] for name in sorted(varied - {"none"})},
    }
    return parts, draw(st.lists(st.fixed_dictionaries(numbers), min_size=2, max_size=6))


class Signal(list):
    """One that has come when the driver looks for the nth time, as it does after each step."""

    def __init__(self, number):
        super().__init__(["SIGTERM"])
        self._left = number

    def __bool__(self):
        self._left = None if self._left is None else self._left - 1
        return self._left is not None and self._left <= 0


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Execute cells, in a stack or each alone; the rows and the end of each, by its number."""

    def executed(cells, stacked, signal=None):
        path = tmp_path_factory.mktemp("journal") / "journal.db"
        draws = Draws()
        data = [draws.dataset(cell.spec) for cell in cells]
        parts = [prepare(cell.spec, own) for cell, own in zip(cells, data, strict=True)]
        numbers = range(len(cells))
        none = ["" for _ in cells]
        work = Work(numbers, cells, data, none, parts if stacked else None, "parent", "")
        journal, results = Journal(path), []
        for one in [work] if stacked else [work.only({number}) for number in numbers]:
            do(one, journal, Signal(signal), results.append)
        journal.close()
        rows, ends, numbered = {}, {}, {}
        for record in Reader(path).read(most=10_000):
            if isinstance(record.content, Start):
                numbered[record.run] = int(record.content.tags["cell"])
                rows[numbered[record.run]] = []
            elif isinstance(record.content, End):
                ends[numbered[record.run]] = record.content
            elif not isinstance(record.content, File):
                rows[numbered[record.run]].append(record.content)
        assert sorted(result.cell for result in results) == [*numbers]
        return {number: (np.concatenate(rows[number]), ends[number]) for number in numbers}

    return executed


def assert_same(stacked, alone, near):
    """Same steps and end; figures apart by rounding, of the largest that the quantity takes."""
    (rows, end), (lone_rows, lone_end) = stacked, alone
    assert end.outcome == lone_end.outcome
    np.testing.assert_array_equal(rows["step"], lone_rows["step"])
    for name in sorted({*rows.dtype.names} - {"step", "time"}):
        largest = np.nanmax(np.abs(lone_rows[name]), initial=1e-300)
        np.testing.assert_allclose(rows[name], lone_rows[name], rtol=0, atol=near * largest)
    assert end.metrics.keys() == lone_end.metrics.keys()
    for name in end.metrics.keys() - {"seconds"}:
        allowed = near * max(1.0, np.nanmax(lone_rows["loss"], initial=0.0))
        assert end.metrics[name] == pytest.approx(lone_end.metrics[name], rel=near, abs=allowed)


def assert_stacked_as_alone(composer, execute, words, cells, near):
    """Cells of these words, each with numbers of its own: one stack, and what they are alone."""
    made = [
        composer.cell([*words, *(f"{key}={value}" for key, value in cell.items())])
        for cell in cells
    ]
    assert {refusal(cell.spec) for cell in made} == {None}
    assert len({prepare(cell.spec).structure for cell in made}) == 1
    stacked, alone = execute(made, True), execute(made, False)
    for number in stacked:
        assert_same(stacked[number], alone[number], near)


SCHEDULES = {
    "warmup": {"start_factor": st.floats(0.1, 1.0)},
    "step": {"gamma": st.floats(0.1, 0.9)},
    "exponential": {"gamma": st.floats(0.8, 0.99)},
    "cosine": {"eta_min": st.floats(0, 0.01)},
    "one_cycle": {"max_lr": st.floats(0.01, 0.2), "div_factor": st.floats(2, 30)},
    "plateau": {"factor": st.floats(0.1, 0.9), "min_lr": st.floats(0, 0.01)},
    "range_test": {"to": st.floats(0.02, 0.2)},
}
OF_ALL = {
    "step": ["schedule.step_size=7"],
    "cosine": ["schedule.T_max=20"],
    "one_cycle": ["schedule.total_steps=null"],
    "plateau": ["schedule.patience=1"],
    "range_test": ["schedule.total_steps=null"],
}


@st.composite
def trained(draw):
    """Sweeps of schedules, clips and patience, in float64: what all have, and the cells' own."""
    name = draw(st.sampled_from([*SCHEDULES]))
    gradient = draw(st.sampled_from(["by_hand", "autograd"]))
    words = [f"schedule={name}", *OF_ALL.get(name, []), f"gradient={gradient}", "dtype=float64"]
    words += ["dataset=noisy_line", "model=linear", "epochs=40", "tolerance=0"]
    words.append(f"optimizer={draw(st.sampled_from(['sgd', 'nesterov', 'adam', 'rmsprop']))}")
    words += draw(st.sampled_from([[], ["batch_size=4"], ["validation=0.3"]]))
    numbers = {f"schedule.{key}": value for key, value in SCHEDULES[name].items()}
    numbers |= {"lr": st.floats(1e-3, 0.1), "seed": st.integers(0, 3)}
    clip = draw(st.sampled_from(["", "clip", "clip_value"]))
    numbers |= {clip: st.floats(0.1, 3.0)} if clip else {}
    if draw(st.booleans()):
        numbers |= {"patience": st.integers(1, 6), "min_delta": st.floats(1e-6, 0.1)}
    return words, draw(st.lists(st.fixed_dictionaries(numbers), min_size=2, max_size=5))


def test_a_stack_is_trained_as_its_lone_runs(composer, execute):
    """Schedules, clipping, patience and mini-batches, each cell with numbers of its own."""

    @settings(deadline=None, max_examples=8)
    @given(sweep=trained())
    def check(sweep):
        # Steps scaled by the gradient's own size make more of a rounding.
        assert_stacked_as_alone(composer, execute, *sweep, 1e-6)

    check()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["schedule._target_=torch.optim.lr_scheduler.MultiplicativeLR"], "has no rule by hand"),
        (["schedule=one_cycle", "schedule.cycle_momentum=true"], "cycles no momentum"),
        (["optimizer=lbfgs"], "torch.optim.LBFGS has no update rule by hand"),
        (["+optimizer.groups=[{params: w}]"], "takes no groups"),
    ],
)
def test_what_is_not_stacked_says_why(words, why, composer):
    assert why in refusal(composer.cell(words).spec)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_stack_is_its_lone_runs(dtype, composer, execute):
    """Over random sweeps of every number that can be stacked."""

    @settings(deadline=None, max_examples=8)
    @given(sweep=sweeps(dtype))
    def check(sweep):
        parts, cells = sweep
        chosen = [f"{key}={value}" for key, value in parts.items()]
        assert_stacked_as_alone(composer, execute, chosen, cells, NEAR[dtype])

    check()


TASKS = {
    "noisy_line": (["model=linear"], ["mse", "huber"]),
    "polynomial": (["model=polynomial"], ["mse"]),
    "moons": (["model=logistic"], ["bce"]),
    "blobs": (["model=softmax"], ["cross_entropy"]),
    "linnerud": (["model=linear"], ["mse"]),
    "separable": (["model=mlp", "model.widths=[4]"], ["cross_entropy"]),
}


@st.composite
def batched_sweeps(draw):
    """The words of a sweep on mini-batches or with validation, and the numbers of its cells."""
    dataset = draw(st.sampled_from([*TASKS]))
    model, losses = TASKS[dataset]
    words = [f"dataset={dataset}", *model, f"loss={draw(st.sampled_from(losses))}"]
    words += [] if dataset == "linnerud" else ["dataset.samples=20"]
    if draw(st.booleans()):
        words.append("validation=0.3")
    if draw(st.booleans()) or "validation=0.3" not in words:
        shuffle = draw(st.sampled_from(["epoch", "replacement", "false"]))
        size, drop = draw(st.sampled_from([1, 5, 8, 14])), draw(st.sampled_from(["true", "false"]))
        words += [f"batch_size={size}", f"shuffle={shuffle}", f"drop_last={drop}"]
    if dataset != "separable" and draw(st.booleans()):
        words.append("gradient=by_hand")
    words.append(f"optimizer={draw(st.sampled_from(['sgd', 'nesterov', 'adam']))}")
    numbers = {
        "lr": st.floats(1e-3, 0.1),
        "seed": st.integers(0, 3),
        "tolerance": st.sampled_from([0.0, 0.5]),
        "epochs": st.integers(1, 6),
    }
    return words, draw(st.lists(st.fixed_dictionaries(numbers), min_size=2, max_size=4))


@pytest.mark.slow
def test_a_stack_on_mini_batches_is_its_lone_runs(composer, execute):
    """Data, classes, orders and validation: each cell as alone, in every column."""
    seen = set()

    @settings(deadline=None, max_examples=25)
    @given(sweep=batched_sweeps())
    def check(sweep):
        words, cells = sweep
        made = [
            composer.cell([*words, "dtype=float64", *(f"{k}={v}" for k, v in cell.items())])
            for cell in cells
        ]
        assert len({prepare(cell.spec).structure for cell in made}) == 1
        stacked, alone = execute(made, True), execute(made, False)
        for number in stacked:
            assert_same(stacked[number], alone[number], 1e-11)
            seen.update(stacked[number][0].dtype.names)

    check()
    assert {"epoch", "epoch_loss", "accuracy", "val_loss", "val_accuracy"} <= seen


def test_a_signal_stops_a_stack_as_it_stops_lone_runs(composer, execute):
    """At any step, whatever the cells would have done: same outcome, same epochs, same reason."""
    lr = st.sampled_from([1e-3, 0.01, 0.05, 0.1, 0.2, 1.0, 50.0, 1e30])
    cell = st.tuples(lr, st.integers(1, 40), st.sampled_from([0.0, 1e-9, 0.1, 100.0]))
    seen = set()

    @settings(deadline=None, max_examples=40)
    @given(
        cells=st.lists(cell, min_size=2, max_size=6),
        optimizer=st.sampled_from(["sgd", "adam"]),
        signal=st.integers(1, 45),
    )
    def check(cells, optimizer, signal):
        made = [
            composer.cell([f"optimizer={optimizer}", f"lr={a}", f"epochs={b}", f"tolerance={c}"])
            for a, b, c in cells
        ]
        stacked, alone = (execute(made, how, signal) for how in (True, False))
        for number in stacked:
            (rows, one), (lone_rows, other) = stacked[number], alone[number]
            assert (one.outcome, one.reason, one.tags) == (other.outcome, other.reason, other.tags)
            for name in ("loss", "parameters", "grad_norm"):  # of one weight, to the last bit
                np.testing.assert_array_equal(rows[name], lone_rows[name])
            seen.add(one.outcome)

    check()
    assert seen == {"converged", "exhausted", "diverged", "interrupted"}


NETWORK = [
    "model._target_=torch.nn.Sequential",
    "~model.initial",
    "+model._args_=[{_target_:torch.nn.Linear,in_features:1,out_features:3},{_target_:torch.nn.Tanh},"
    "{_target_:torch.nn.Linear,in_features:3,out_features:1}]",
]


@pytest.mark.parametrize("loss", ["mse", "torch.nn.SmoothL1Loss"])
@pytest.mark.parametrize("optimizer", [*HYPERPARAMETERS][1:])  # by hand takes no network
def test_a_stack_of_networks_is_its_lone_runs(optimizer, loss, composer, execute):
    """Any module, and any loss, through torch.func; drawn from another seed in each cell."""
    parts = [f"optimizer={optimizer}", "dtype=float64", "dataset=noisy_line", "tolerance=0.05"]
    parts += ["epochs=20", *NETWORK]
    parts += ["loss=mse"] if loss == "mse" else [f"loss._target_={loss}"]
    made = [composer.cell([*parts, f"seed={n}", f"lr=0.0{n + 1}"]) for n in range(4)]
    stacked, alone = execute(made, True), execute(made, False)
    for number in stacked:
        assert_same(stacked[number], alone[number], 1e-11)


def test_cells_end_where_they_would_alone(composer, execute):
    """Converged, exhausted and diverged in one stack, at epochs of their own; no harm to others."""
    made = [
        composer.cell(["gradient=by_hand", "dtype=float64", f"lr={lr}", f"epochs={epochs}"])
        for lr, epochs in [(0.1, 100), (0.12, 100), (1e30, 100), (5, 2000), (1e-4, 7), (0.01, 2000)]
    ]
    stacked, alone = execute(made, True), execute(made, False)
    outcomes = [end.outcome for _, end in stacked.values()]
    assert outcomes == ["converged", "converged", "diverged", "diverged", "exhausted", "converged"]
    assert len({len(rows) for rows, _ in stacked.values()}) == len(made)
    for number in stacked:
        assert_same(stacked[number], alone[number], 1e-12)
