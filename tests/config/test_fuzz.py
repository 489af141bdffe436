"""Random overrides of how a run is trained: it runs, or is refused in one message."""

import random
import warnings

import pytest

import runner

NUMBERS = ["0", "1", "-1", "2", "3", "0.1", "1e-9", "1e300", "nan", "inf", "-inf", "null", "true"]
ODD = ["abc", "''", "[]", "[1,2]", "{}", "{a:1}", "[{}]", "{_target_:os.getcwd}", "1e400"]
ANY = [*NUMBERS, *ODD]

PARTS = {
    "dataset": ["line", "noisy_line", "iris", "moons"],
    "model": ["scalar", "linear", "mlp", "logistic", "softmax"],
    "loss": ["mse", "cross_entropy", "bce"],
    "gradient": ["by_hand", "autograd"],
    "optimizer": [
        *("by_hand", "sgd", "momentum", "adam", "adadelta", "adafactor", "adamax", "asgd"),
        *("lbfgs", "muon", "nadam", "radam", "rprop", "adagrad", "rmsprop", "nothing"),
    ],
    "schedule": [
        *("constant", "warmup", "step", "exponential", "cosine", "one_cycle", "plateau", "no"),
    ],
    "batch_size": ["null", "1", "3", "7", "500"],
    "validation": ["null", "0.3"],
}

TAKES = [
    *("{closure: true}", "{closure: 1}", "{create_graph: true}", "{model: module}"),
    *("{params: named_parameters}", "{lr: steps}", "{x: y}", "{marks: [a]}", "{marks: 3}", "[]"),
]
GROUPS = [
    *("[{params: w}]", "[{params: '*'}]", "[{params: '*.bias', lr: 0.5}]", "[{params: nothing}]"),
    *("[{params: '*', frozen: true}]", "[{params: w, frozen: 3}]", "[{params: 3}]", "[3]", "{}"),
    *("[{params: weight, weight_decy: 0}]", "[{lr: 1}]", "[{params: [w, b], weight_decay: 1}]"),
    "[{params: bias, frozen: true, lr: 1}]",
]
TARGETS = [
    *(
        "torch.optim.lr_scheduler.MultiplicativeLR",
        "torch.optim.lr_scheduler.CyclicLR",
        "os.getcwd",
    ),
    *("torch.optim.lr_scheduler.LambdaLR", "torch.optim.SGD", "runner.schedule.step_lr", "no.such"),
    *("torch.optim.lr_scheduler.SequentialLR", "torch.optim.lr_scheduler.ConstantLR"),
]

KEYS = {
    **dict.fromkeys(["clip", "clip_value", "patience", "min_delta", "max_steps"], ANY),
    "checkpoint.every": ANY,
    "checkpoint": ANY,
    "lr": ["0.01", "1e30", "0", "nan"],
    "schedule._target_": TARGETS,
    "schedule.every": ["step", "epoch", "3", "null"],
    **{
        f"{plus}schedule.{name}": ANY
        for plus in ("", "+")
        for name in [
            *("T_max", "eta_min", "gamma", "step_size", "start_factor", "end_factor"),
            *("total_iters", "max_lr", "total_steps", "pct_start", "patience", "factor"),
            *("min_lr", "threshold", "threshold_mode", "anneal_strategy", "cycle_momentum"),
            *("div_factor", "schedulers", "milestones", "lr_lambda", "base_lr", "last_epoch"),
        ]
    },
    "+optimizer.takes": TAKES,
    "+optimizer.groups": GROUPS,
    "+optimizer.by_hand": ["true", "false", "3"],
    "optimizer._target_": [
        "torch.optim.NAdam",
        "torch.optim.LBFGS",
        "runner.optimizer.clip_by_norm",
    ],
    **{f"optimizer.{name}": ANY for name in ("betas", "eps", "max_iter", "ns_steps", "etas")},
}


def words(seed):
    chance = random.Random(seed)
    parts = {key: chance.choice(values) for key, values in PARTS.items() if chance.random() < 0.5}
    keys = chance.sample([*KEYS], chance.randrange(4))
    keys.sort(key=lambda key: key.lstrip("+").split(".")[0] not in parts)
    return [
        *(f"{key}={value}" for key, value in parts.items()),
        *(f"{key}={chance.choice(KEYS[key])}" for key in keys),
    ]


def refusals(seeds):
    """How many of them were refused; whatever else is raised is the test's."""
    refused = 0
    for seed in seeds:
        typed = words(seed)
        settings = ["tracking=off", "print_every=0", "epochs=3"]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                runner.run(*typed, *settings)
        except runner.ConfigError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{seed}: {' '.join(typed)}: {error!r}") from error
    return refused


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_random_overrides_run_or_are_refused():
    assert 10 < refusals(range(30)) < 30


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_two_thousand_random_overrides(part):
    assert refusals(range(1000 + part * 250, 1250 + part * 250)) > 100
