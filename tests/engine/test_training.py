"""Schedules, clipping, groups, closures and patience: bit for bit what a bare PyTorch loop does."""

import functools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch.optim import lr_scheduler

import runner
from runner.config.words import words
from tests.support import parts

WORDS = ("dataset=iris", "model=mlp", "loss=cross_entropy", "batch_size=32")
EPOCHS = 12
STEPS = EPOCHS * 5  # 150 samples


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ours(*words, **values):
    settings = {"epochs": EPOCHS, "tolerance": 0, "print_every": 0, "lr": 0.1, **values}
    settings = {key: value for key, value in settings.items() if value is not None}
    return runner.run(*words, "tracking=off", **settings)


def override(key, value):
    """A node on the command line."""
    return words([], {key: value}, swept=False).overrides[0]


class Bare:
    """What the command of WORDS computes, written in PyTorch alone."""

    def __init__(self, optimizer=None, share=0.0):
        x, y = load_iris(return_X_y=True)
        if share:
            x, unseen, y, unseen_y = train_test_split(
                x, y, test_size=share, random_state=0, stratify=y
            )
        scaler = StandardScaler().fit(x)
        self.x, self.y = self.tensor(scaler.transform(x)), torch.tensor(y)
        if share:
            self.unseen = self.tensor(scaler.transform(unseen)), torch.tensor(unseen_y)
        torch.manual_seed(0)
        layers = torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
        self.model, self.loss = torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()
        make = optimizer or (lambda model: torch.optim.SGD(model.parameters(), lr=0.1))
        self.optimizer = make(self.model)
        self.rates = []
        self.trajectory = [self.parameters()]

    @staticmethod
    def tensor(array):
        return torch.tensor(array, dtype=torch.float32)

    def parameters(self):
        return torch.nn.utils.parameters_to_vector(self.model.parameters()).detach().numpy().copy()

    def epoch(self, number, clip=lambda parameters: None, after=lambda: None):
        """The mean of its losses, weighted by samples."""
        order, total = np.random.default_rng([0, number]).permutation(len(self.x)), 0.0
        for start in range(0, len(order), 32):
            batch = order[start : start + 32]

            def evaluate(batch=batch):
                self.optimizer.zero_grad()
                value = self.loss(self.model(self.x[batch]), self.y[batch])
                value.backward()
                clip(self.model.parameters())
                return value

            self.rates.append(self.optimizer.param_groups[0]["lr"])
            if isinstance(self.optimizer, torch.optim.LBFGS):
                value = self.optimizer.step(evaluate)
            else:
                value = evaluate()
                self.optimizer.step()
            total += len(batch) * value.item()
            self.trajectory.append(self.parameters())
            after()
        return total / len(order)

    def validation_loss(self):
        with torch.no_grad():
            return self.loss(self.model(self.unseen[0]), self.unseen[1]).item()


def assert_same(run, bare):
    np.testing.assert_array_equal(run.parameters, np.array(bare.trajectory))


SCHEDULES = {
    "warmup": lambda o: lr_scheduler.LinearLR(o, start_factor=0.01, total_iters=10),
    "step": lambda o: lr_scheduler.StepLR(o, step_size=30),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.99),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS),
    "one_cycle": lambda o: lr_scheduler.OneCycleLR(
        o, max_lr=0.1, total_steps=STEPS, cycle_momentum=False
    ),
}


@pytest.mark.parametrize(
    ("name", "every"),
    [(name, every) for name in SCHEDULES for every in ("step", "epoch")][:-1],  # cycles have steps
)
def test_a_schedule(name, every):
    bare = Bare()
    make = SCHEDULES[name]
    if (name, every) == ("cosine", "epoch"):
        make = lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=EPOCHS)  # noqa: E731
    scheduler = make(bare.optimizer)
    for number in range(1, EPOCHS + 1):
        bare.epoch(number, after=scheduler.step if every == "step" else lambda: None)
        if every == "epoch":
            scheduler.step()
    run = ours(*WORDS, f"schedule={name}", f"schedule.every={every}")
    assert_same(run, bare)
    np.testing.assert_array_equal(run.trajectory["lr"][1:], bare.rates)
    assert len({*bare.rates}) > 1 or name == "step"


@pytest.mark.parametrize("every", ["step", "epoch"])
def test_a_range_test(every):
    """From lr to another rate by the same factor at each step, as LambdaLR computes it."""
    bare, last = Bare(), (STEPS if every == "step" else EPOCHS) - 1
    factor = lambda number: np.power([0.5 / 0.1], min(number, last) / last)[0]  # noqa: E731
    scheduler = lr_scheduler.LambdaLR(bare.optimizer, factor)
    for number in range(1, EPOCHS + 1):
        bare.epoch(number, after=scheduler.step if every == "step" else lambda: None)
        if every == "epoch":
            scheduler.step()
    run = ours(*WORDS, "schedule=range_test", "schedule.to=0.5", f"schedule.every={every}")
    assert_same(run, bare)
    np.testing.assert_array_equal(run.trajectory["lr"][1:], bare.rates)
    assert bare.rates[-1] == 0.1 * (0.5 / 0.1)
    geometric = np.geomspace(0.1, 0.5, last + 1)
    assert np.unique(bare.rates) == pytest.approx(geometric, rel=1e-12)


@pytest.mark.parametrize(
    ("to", "expected"),
    [("0", "above 0"), ("-1", "above 0"), ("inf", "finite numbers"), ("nan", "finite numbers")],
)
def test_a_range_test_has_an_end(to, expected):
    with pytest.raises(runner.ConfigError, match=rf"schedule\.to: expected {expected}"):
        ours(*WORDS, "schedule=range_test", f"schedule.to={to}")


def test_a_plateau():
    bare = Bare(share=0.2)
    scheduler = lr_scheduler.ReduceLROnPlateau(bare.optimizer, patience=0, threshold=0.2)
    for number in range(1, EPOCHS + 1):
        bare.epoch(number)
        scheduler.step(bare.validation_loss())
    more = ["schedule=plateau", "schedule.patience=0", "schedule.threshold=0.2", "validation=0.2"]
    run = ours(*WORDS, *more)
    assert_same(run, bare)
    assert len({*bare.rates}) > 2


class Plateau(lr_scheduler.ReduceLROnPlateau):
    """A subclass that hides what its step takes."""

    def step(self, *arguments, **keywords):
        super().step(*arguments, **keywords)


class Waiting:
    """No subclass of PyTorch's: its step wants a loss under a name of its own."""

    def __init__(self, optimizer):
        self.inner = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.2)

    def step(self, unseen):
        self.inner.step(unseen)

    def state_dict(self):
        return self.inner.state_dict()


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.2),
        lambda o: Plateau(o, patience=0, threshold=0.2),
        functools.partial(Plateau, patience=0, threshold=0.2),
        Waiting,
        "runner.schedule.reduce_lr_on_plateau",
    ],
    ids=["lambda", "lambda of a subclass", "partial", "wrapper", "rule"],
)
def test_a_plateau_by_any_name(schedule):
    """It is asked itself whether it looks at a loss, and then goes on with each epoch."""
    bare = Bare(share=0.2)
    scheduler = lr_scheduler.ReduceLROnPlateau(bare.optimizer, patience=0, threshold=0.2)
    for number in range(1, EPOCHS + 1):
        bare.epoch(number)
        scheduler.step(bare.validation_loss())
    if isinstance(schedule, str):
        values = {"_target_": schedule, "patience": 0, "threshold": 0.2}
        run = ours(*WORDS, *(f"++schedule.{k}={v}" for k, v in values.items()), validation=0.2)
    else:
        run = ours(*WORDS, schedule=schedule, validation=0.2)
        with pytest.raises(runner.ConfigError, match=r"schedule\.every: expected epoch"):
            ours(*WORDS, schedule=schedule, **{"schedule.every": "step"})
    assert_same(run, bare)
    assert len({*bare.rates}) > 2


@pytest.mark.parametrize("every", ["step", "epoch"])
def test_a_scheduler_that_is_an_object_goes_on_as_often_as_is_said(every):
    bare = Bare()
    scheduler = lr_scheduler.StepLR(bare.optimizer, 7)
    for number in range(1, EPOCHS + 1):
        bare.epoch(number, after=scheduler.step if every == "step" else lambda: None)
        if every == "epoch":
            scheduler.step()
    how = {"schedule.every": every}
    assert_same(ours(*WORDS, schedule=lambda o: lr_scheduler.StepLR(o, 7), **how), bare)


class Demanding(Waiting):
    def step(self, epoch, loss):
        self.inner.step(loss)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (lambda o: Cycle(o, 0.1, total_steps=STEPS - 1), "Cycle is over after 59 steps: .*=60"),
        (Demanding, r"step\(\), or step\(loss\), got step\(epoch, loss\)"),
    ],
    ids=["a cycle that ends early", "a step that wants more"],
)
def test_a_schedule_of_ones_own_that_cannot_go_on(schedule, said):
    """Before a run exists."""
    with pytest.raises(runner.ConfigError, match=said):
        ours(*WORDS, schedule=schedule, lr=None)


class Cycle(lr_scheduler.OneCycleLR):
    pass


@pytest.mark.parametrize("key", ["every=epoch", "gamma=0.5"])
def test_a_constant_rate_takes_no_values(key):
    with pytest.raises(runner.ConfigError, match=rf"schedule\.{key.partition('=')[0]}"):
        ours(*WORDS, f"+schedule.{key}")


@pytest.mark.parametrize(
    ("node", "make"),
    [
        (
            {"_target_": "CosineAnnealingWarmRestarts", "T_0": 7},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=7),
        ),
        (
            {"_target_": "CyclicLR", "base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5},
            lambda o: lr_scheduler.CyclicLR(o, base_lr=0.01, max_lr=0.2, step_size_up=5),
        ),
        (
            {
                "_target_": "SequentialLR",
                "schedulers": [
                    {"_target_": "torch.optim.lr_scheduler.LinearLR", "total_iters": 9},
                    {"_target_": "torch.optim.lr_scheduler.ExponentialLR", "gamma": 0.9},
                ],
                "milestones": [9],
            },
            lambda o: lr_scheduler.SequentialLR(
                o,
                [lr_scheduler.LinearLR(o, total_iters=9), lr_scheduler.ExponentialLR(o, gamma=0.9)],
                milestones=[9],
            ),
        ),
    ],
    ids=["warm restarts", "cyclic", "sequential"],
)
def test_any_scheduler_of_pytorchs(node, make):
    """The cyclic one moves the momentum as well."""
    optimizer = {"lr": 0.1, "momentum": 0.9}
    bare = Bare(lambda model: torch.optim.SGD(model.parameters(), **optimizer))
    scheduler = make(bare.optimizer)
    for number in range(1, EPOCHS + 1):
        bare.epoch(number, after=scheduler.step)
    node = {**node, "_target_": f"torch.optim.lr_scheduler.{node['_target_']}"}
    more = ["optimizer=momentum", "~schedule", override("+schedule", node)]
    lr = 0.1 if "base_lr" not in node else None  # the cyclic one sets every rate itself
    assert_same(ours(*WORDS, *more, lr=lr), bare)
    made = ours(*WORDS, "optimizer=momentum", schedule=make, lr=lr)  # by a function of Python's
    assert_same(made, bare)


@pytest.mark.parametrize("loop", ["numpy", "autograd", "optimizer"])
@pytest.mark.parametrize("name", [*SCHEDULES, "plateau"])
def test_by_hand_it_is_the_same_to_the_last_bit(name, loop):
    """The learning rates of the loops that update by hand are those of PyTorch's schedulers."""
    own = {
        "numpy": ["gradient=by_hand", "optimizer=sgd"],
        "autograd": ["optimizer=by_hand"],
        "optimizer": ["optimizer=sgd"],
    }
    more = ["schedule.patience=1", "schedule.threshold=0.3"] if name == "plateau" else []
    run = ours("dataset=noisy_line", *own[loop], f"schedule={name}", *more, lr=0.001, epochs=60)
    assert run.tags["loop"] == loop
    bare = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.001)
    make = {
        **SCHEDULES,
        "plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1, threshold=0.3),
        "one_cycle": lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=0.001, total_steps=60, cycle_momentum=False
        ),
    }
    scheduler, rates = make[name](bare), []
    for loss in run.trajectory["loss"][1:]:
        rates.append(bare.param_groups[0]["lr"])
        bare.step()
        scheduler.step(*([float(loss)] if name == "plateau" else []))
    np.testing.assert_array_equal(run.trajectory["lr"][1:], rates)
    assert len({*rates}) > 1


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("word", "clip"),
    [
        ("clip=0.5", lambda some: torch.nn.utils.clip_grad_norm_(some, 0.5)),
        ("clip_value=0.01", lambda some: torch.nn.utils.clip_grad_value_(some, 0.01)),
    ],
)
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_clipping(word, clip, optimizer):
    """With a closure, each of its gradients is clipped; what is recorded is the norm before."""
    make = {"adam": torch.optim.Adam, "lbfgs": torch.optim.LBFGS}[optimizer]
    bare = Bare(lambda model: make(model.parameters(), lr=0.01))
    for number in range(1, EPOCHS + 1):
        bare.epoch(number, clip)
    run = ours(*WORDS, f"optimizer={optimizer}", word, lr=0.01)
    assert_same(run, bare)
    assert run.trajectory["grad_norm"].max() > 0.5


@pytest.mark.slow
def test_a_closure_counts_what_it_costs():
    calls = []
    bare = Bare(lambda model: torch.optim.LBFGS(model.parameters(), lr=0.1))
    for number in range(1, EPOCHS + 1):
        bare.epoch(number, lambda _: calls.append(None))
    run = ours(*WORDS, "optimizer=lbfgs")
    assert_same(run, bare)
    counted = run.trajectory["gradient_evaluations"]
    assert counted.iloc[0] == 0
    assert counted.iloc[-1] == len(calls)
    assert "gradient_evaluations" not in ours(*WORDS).trajectory


def test_groups():
    def make(model):
        first, _, last = model
        return torch.optim.AdamW(
            [
                {"params": [first.weight]},
                {"params": [first.bias], "lr": 0.5, "weight_decay": 0.0},
                {"params": [last.bias], "weight_decay": 0.3},
            ],
            lr=0.1,
        )

    bare = Bare(make)
    scheduler = lr_scheduler.ExponentialLR(bare.optimizer, gamma=0.9)
    for number in range(1, EPOCHS + 1):
        bare.epoch(number, after=scheduler.step)
    groups = [
        {"params": "0.bias", "lr": 0.5, "weight_decay": 0.0},
        {"params": ["*.bias"], "weight_decay": 0.3},
        {"params": "2.weight", "frozen": True},
    ]
    more = ["schedule=exponential", "schedule.gamma=0.9"]
    run = ours(*WORDS, "optimizer=adamw", override("+optimizer.groups", groups), *more)
    frozen = slice(4 * 32 + 32, 4 * 32 + 32 + 96)
    assert (run.parameters[:, frozen] == run.parameters[0, frozen]).all()
    assert_same(run, bare)


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("min_delta", [0.0, 0.02])
def test_patience(share, min_delta):
    bare, best, since, kept = Bare(share=share), np.inf, 0, None
    for number in range(1, 200):
        mean = bare.epoch(number)
        watched = bare.validation_loss() if share else mean
        if watched < best - min_delta:
            best, since, kept = watched, 0, (number, mean, bare.parameters())
        else:
            since += 1
        if since == 3:
            break
    run = ours(
        *WORDS, "patience=3", f"min_delta={min_delta}", f"validation={share}", epochs=200, lr=0.1
    )
    assert_same(run, bare)
    assert run.outcome == "stopped_early"
    assert run.figures["best_epoch"] == kept[0]
    assert run.figures["epochs_run"] == number
    np.testing.assert_allclose(run.figures["best_loss"], kept[1], rtol=1e-12)
    np.testing.assert_allclose(run.figures["final_loss"], mean, rtol=1e-12)
    found = np.concatenate([*run.best_parameters.values()], axis=None)
    np.testing.assert_array_equal(found, kept[2])


def test_patience_keeps_the_state_that_has_the_loss():
    """A full batch's loss is that before its update."""
    run = ours("dataset=line", "optimizer=sgd", "patience=2", lr=0.2, epochs=50)
    losses = run.trajectory["loss"][1:]
    best = int(np.argmin(losses)) + 1
    assert run.figures["best_epoch"] == best
    assert run.best_parameters == {"w": run.parameters[best - 1]}


def test_max_steps():
    run = ours(*WORDS, max_steps=13)
    assert (run.outcome, len(run.parameters)) == ("exhausted", 14)
    assert run.figures["epochs_run"] == 2
    bare = Bare()
    for number in (1, 2, 3):
        bare.epoch(number)
    np.testing.assert_array_equal(run.parameters, np.array(bare.trajectory)[:14])


def test_a_negative_loss_is_no_reason_to_stop():
    assert ours("dataset=line", loss=parts.below_zero(), lr=0.001).outcome == "exhausted"


@pytest.mark.parametrize(
    "words",
    [
        ["dataset=line", "model=scalar"],
        ["dataset=plane", "model=linear"],
        ["dataset=plane", "model=linear", "gradient=by_hand"],
        ["dataset=linnerud", "model=linear"],
        ["dataset=iris", "model=softmax"],
        [*WORDS],
    ],
    ids=" ".join,
)
def test_a_run_begins_where_another_has_ended(words):
    first = ours(*words, "optimizer=adam", epochs=5)
    plus = "+" if "model=mlp" in words else ""
    second = ours(*words, f"{plus}model.initial=run:{first.id}", epochs=3)
    np.testing.assert_array_equal(second.parameters[0], first.parameters[-1])
    assert second.params["model.initial"] == f"run:{first.id}@{len(first.parameters) - 1}"


def test_a_run_to_begin_from_that_does_not_fit_is_refused():
    other = ours("dataset=plane", "model=linear", epochs=3)
    with pytest.raises(runner.ConfigError, match=r"model.initial: expected values by name \(w\)"):
        ours("dataset=line", f"model.initial=run:{other.id}")
    with pytest.raises(runner.ConfigError, match=r"model\.initial: 'nobody': no such run here"):
        ours("dataset=line", "model.initial=run:nobody")


def test_a_schedule_free_optimizer_is_validated_in_its_other_mode():
    import pytorch_optimizer

    def make(model):
        return pytorch_optimizer.ScheduleFreeSGD(model.parameters(), lr=0.1)

    bare, told = Bare(make, share=0.2), []
    bare.optimizer.train()
    for number in range(1, EPOCHS + 1):
        bare.epoch(number)
        bare.optimizer.eval()
        told.append(bare.validation_loss())
        bare.optimizer.train()
    optimizer = {"_target_": "pytorch_optimizer.ScheduleFreeSGD", "lr": 0.1}
    run = ours(*WORDS, "validation=0.2", "~optimizer", override("+optimizer", optimizer))
    assert_same(run, bare)
    np.testing.assert_array_equal(run.trajectory["val_loss"].dropna(), told)


@pytest.mark.parametrize("optimizer", ["by_hand", "sgd", "adam", "adamw", "lbfgs", "nadam"])
@pytest.mark.parametrize("schedule", ["exponential", "range_test"])
def test_a_rate_that_grows_beyond_all_bounds_diverges(optimizer, schedule):
    """In every loop: PyTorch would raise at a factor that its numbers do not hold."""
    growing = {"exponential": "schedule.gamma=1e30", "range_test": "schedule.to=1e38"}[schedule]
    words = ["model=linear", f"optimizer={optimizer}", f"schedule={schedule}", growing]
    assert ours(*words, epochs=4).outcome == "diverged"
