"""Command lines that cannot be carried out, in one process: one message, nothing recorded."""

import shlex

import pytest
import torch

from runner.config.settings import DEFAULTS

LONG = "9" * 5000

REFUSED = {
    # what is typed: words of the one message
    "~epochs": ("epochs: is needed",),
    "~seed": ("seed: is needed",),
    "~sweep": ("sweep: is needed",),
    "~report": ("report: is needed",),
    "~optimizer": ("optimizer: no value is given",),
    "-m ~epochs seed=1,2": ("~epochs seed=1\n", "epochs: is needed"),
    "-m ~optimizer lr=0.1,0.2": ("~optimizer lr=0.1\n", "optimizer: no value is given"),
    "-m optimizer=glob(z*)": ("optimizer=glob(z*): has no value", "rmsprop, rprop, sgd"),
    "-m seed=range(3,3)": ("seed=range(3,3): has no value",),
    "-m seed=range(3,3) hydra/launcher=basic": ("seed=range(3,3): has no value",),
    "-m lr=interval(0,1)": ("lr: an interval has no end of values", "range(...)"),
    "-m lr=range(0.1,1,0)": ("lr=range(0.1,1,0): expected a step other than 0",),
    "-m seed=range(1,9,0)": ("seed=range(1,9,0): expected a step other than 0",),
    "-m seed=range(0,inf)": ("seed=range(0,inf): expected finite bounds",),
    "-m seed=range(1e9)": ("seed=range(1e9): has more than 1000000 values",),
    "-m seed=range(9999) lr=range(0.1,999)": ("cells: expected 1000000 at most",),
    "-m hydra.sweeper.max_batch_size=0 lr=1,2": ("max_batch_size: expected 1 or more", "got 0"),
    "loss=nan": (
        "loss: expected the name of an option (bce, cross_entropy, huber, mae, mse), got nan",
    ),
    "loss=null": ("loss: expected the name of an option", "got null"),
    "optimizer=1_0": ("optimizer: expected the name of an option", "adam", "got 1_0"),
    "-m optimizer=sgd,null": ("optimizer=null\n", "optimizer: expected the name", "adam"),
    "hydra/launcher=null": ("hydra/launcher: expected the name", "stacks"),
    "-m hydra/sweeper=null lr=1,2": ("hydra/sweeper: expected the name", "cells"),
    "=1": ("=1: ",),
    "~~lr": ("~~lr: no viable alternative",),
    "dataset.x.foo=5": ("dataset.x.foo=5: ", "'foo'"),
    "++dataset.x.foo=5": ("dataset.x.foo=5: ", "'foo'"),
    "-m dataset.x.foo=5,6": ("dataset.x.foo=5", "'foo'"),
    f"lr={LONG[:400]}": ("lr=999", "(403 characters)", "too large"),
    f"seed={LONG}": ("seed=999", "(5005 characters)", "4300 digits"),
    f"-m seed=1,{LONG}": ("seed=1,999", "4300 digits"),
    "hydra.job.env_copy=[NOPE]": ("hydra.job.env_copy=[NOPE]: ", "NOPE"),
    "-m hydra.launcher=null lr=1,2": ("launcher is not configured",),
    "-h foo": ("'foo'", "missing EQUAL"),
    "-sc": ("-sc: ", "install"),
    "--resolve": ("--resolve", "--cfg or --help"),
    "--experimental-rerun nope": ("nope does not exist",),
    "-c job -m": ("Only one of",),
    "-c job --resolve lr=${nope}": ("'nope' not found",),
    # Settings that nobody would honour.
    "sweep.resume=true": ("sweep.resume: is for a sweep", "-m"),
    "sweep.workers=-1 sweep.verify=-1": ("sweep.workers: expected 1", "sweep.verify: expected 0"),
    "sweep.workers=2 sweep.verify=1": ("sweep.workers: is for a sweep", "sweep.verify: is for"),
    "sweep.stack=maybe": ("sweep.stack: expected auto, true or false, got 'maybe'",),
    "-m sweep.stack=maybe seed=1,2": ("sweep.stack: expected auto, true or false, got 'maybe'",),
    "-m sweep.dry_run=true hydra/launcher=basic seed=1,2": ("sweep.dry_run: only hydra/launcher",),
    "-m sweep.verify=1 sweep.resume=true hydra/launcher=basic seed=1,2": (
        "sweep.verify: only hydra/launcher=stacks",
        "sweep.resume: only hydra/launcher=stacks",
    ),
    "-m grid=learning_rates,loops": ("grid=learning_rates,loops: a grid is a sweep by itself",),
    "-m grid=learning_rates,loops hydra/launcher=basic": ("a grid is a sweep by itself",),
    "-m lr=0.1,0.2 optimizer.lr=0.3": ("lr: no part refers to it", "optimizer.lr=..."),
    "-m lr=0.1,0.2 optimizer=sgd,adam ~optimizer.lr": ("lr: no part refers to it",),
    "-m print_every=1,2": ("print_every: no part refers to it",),
    # Typed, and no run would use it.
    "lr=0.1 optimizer.lr=0.5": ("lr: no part refers to it", "optimizer.lr=..."),
    "lr=0.1 ~optimizer.lr gradient=by_hand": ("lr: no part refers to it",),
    "-m lr=0.1 optimizer.lr=0.5,0.6": ("lr: no part refers to it",),
    "-m lr=0.1 optimizer.lr=0.5 seed=0,1 gradient=by_hand": ("lr: no part refers to it",),
    "objective=beale lr=0.1 optimizer.lr=0.5": ("lr: no part refers to it",),
    "lr=0.1 schedule=one_cycle schedule.max_lr=0.5": ("lr: OneCycleLR sets every rate itself",),
    "optimizer.lr=0.1 schedule=one_cycle": ("optimizer.lr: OneCycleLR sets every rate itself",),
    "gradient=by_hand optimizer.lr=0.1 schedule=one_cycle": ("optimizer.lr: OneCycleLR sets",),
    "model=linear +optimizer.groups=[{params:b,lr:1}] schedule=one_cycle": (
        "optimizer.groups: the lr of a group: OneCycleLR sets",
    ),
    "shuffle=epoch": ("shuffle: all samples are one batch", "batch_size=..."),
    "shuffle=replacement": ("shuffle: all samples are one batch",),
    "-m shuffle=epoch,replacement": ("shuffle: all samples are one batch",),
    "-m batch_size=null,2 shuffle=epoch,replacement": ("shuffle: no part refers to it",),
    "split_seed=3": ("split_seed: is for a share", "validation=0.2"),
    "-m split_seed=3,4": ("split_seed: is for a share",),
    "validation=0 split_seed=3": ("split_seed: is for a share",),
    "measure.every=5": ("measure.every: no measure is chosen",),
    "tracking=off report.pictures=true": ("report.pictures: nothing is drawn",),
    "-m tracking=off report.page=true lr=0.1,0.2": ("report.page: nothing is drawn",),
    "tracking=off tracking.wait=true": ("tracking.wait: nothing is published",),
    # Schedules that cannot be meant.
    "schedule=exponential schedule.gamma=nan": ("schedule.gamma: expected finite numbers",),
    "schedule=exponential schedule.gamma=1e300": ("schedule.gamma: expected finite numbers",),
    "schedule=plateau schedule.min_lr=inf": ("schedule.min_lr: expected finite numbers",),
    "-m schedule=exponential schedule.gamma=0.9,nan": ("gamma=nan\n", "expected finite numbers"),
    "+optimizer.groups=[{params:w,lr:nan}]": ("optimizer.groups: expected finite numbers",),
    "+optimizer.groups=[{params:w,momentum:1e300}]": ("optimizer.groups: expected finite",),
    **{
        f"schedule=one_cycle epochs=10 schedule.pct_start={share} {word}": (
            "schedule.pct_start: expected phases of a step or more",
        )
        for share in (0.1, 1)
        for word in ("optimizer=by_hand", "optimizer=sgd", "gradient=by_hand")
    },
    # Parts that name nothing.
    "~optimizer._target_": ("optimizer._target_: expected the name", "only lr, momentum"),
    "~model._target_": ("model._target_: expected the name",),
    "~loss._target_ gradient=by_hand": ("loss._target_: expected the name",),
    "~schedule._target_": ("schedule._target_: expected the name", "there is nothing"),
    "~dataset._target_": ("dataset._target_: expected the name",),
    "optimizer._target_=null": ("optimizer._target_: expected the name", "got None"),
    "optimizer._target_=[1]": ("optimizer._target_: expected the name", "got [1]"),
    "-m ~optimizer._target_ lr=0.1,0.2": ("lr=0.1", "optimizer._target_: expected the name"),
    "objective=beale ~objective._target_": ("objective._target_: expected the name",),
    # Numbers that the dtype does not hold.
    "lr=1e-300": ("lr: expected 1.4e-45 or more", "0 in float32", "1e-300"),
    "lr=1e-300 gradient=by_hand": ("lr: expected 1.4e-45 or more",),
    "-m lr=0.1,1e-300": ("lr=1e-300\n", "lr: expected 1.4e-45 or more"),
    "optimizer=adam optimizer.eps=1e-300": ("optimizer.eps: expected 1.4e-45 or more",),
    "loss=huber loss.delta=1e-60": ("loss.delta: expected 1.4e-45 or more",),
    "model.initial.w=1e-60": ("model.initial.w: expected 1.4e-45 or more",),
    "optimizer=adam lr=1e38": ("optimizer.lr: expected at most 3.4e+37 in float32", "1e+38"),
    "-m optimizer=adamw lr=0.1,1e38": ("lr=1e+38\n", "optimizer.lr: expected at most 3.4e+37"),
    # Hydra's own keys of a part.
    "+loss._partial_=true": ("loss._partial_", "torch.nn.MSELoss", "a partial of it"),
    "+loss._partial_=true gradient=by_hand": ("loss._partial_", "a partial of it"),
    "+model._partial_=true": ("model._partial_", "a partial of it"),
    "+dataset._partial_=true": ("dataset._partial_", "a partial of it"),
    "+optimizer._partial_=true": ("optimizer._partial_", "a partial of it"),
    "+loss._partial_=maybe": ("loss._partial_: expected true or false, got 'maybe'",),
}

DONE = {
    # what is typed: the first words that are printed
    "sweep.dry_run=true lr=0.1": "1 cell: lr=0.1, loop optimizer",
    "sweep.dry_run=true gradient=by_hand": "1 cell: gradient=by_hand, loop numpy",
    "-m sweep.dry_run=true sweep.stack=true gradient=by_hand lr=1,2": "2 cells: 1 stack (2)",
    "-m sweep.dry_run=true sweep.stack=false gradient=by_hand lr=1,2": "2 cells: 0 stacks (0)",
    "-m sweep.dry_run=true gradient=by_hand seed=0,1": "2 cells: 1 stack (2)",
    "-m sweep.dry_run=true gradient=by_hand lr=1,2 lr=3": "1 cell: 0 stacks",
    "sweep.dry_run=true grid=learning_rates lr=0.5 seed=0,1 gradient=by_hand": "2 cells: 1 stack",
}


@pytest.mark.parametrize("typed", REFUSED, ids=lambda typed: typed[:60])
@pytest.mark.filterwarnings("ignore:Experimental rerun", "ignore:Config overrides are not")
def test_what_cannot_be_composed_is_one_message(typed, front_door, capfd, tmp_path):
    """What was wrong, where and what would do; no traceback, whoever raised it."""
    status, said, _ = front_door(*shlex.split(typed), folder=tmp_path)
    told = said + capfd.readouterr().err
    assert status == 1
    for words in REFUSED[typed]:
        assert words in told
    assert "Traceback" not in told
    assert len(told) < 3000 + 2 * len(typed)
    assert not list(tmp_path.iterdir())


USED = [
    "lr=0.1",
    "lr=0.1 optimizer.lr='${lr}'",
    "lr=0.1 optimizer.lr='${oc.select:lr}'",
    "lr=0.1 schedule=one_cycle",
    "lr=0.1 schedule=one_cycle schedule.max_lr='${lr}' ~optimizer.lr",
    "optimizer.lr=0.1 schedule=warmup",
    "-m lr=0.1,0.2 optimizer.lr='${lr}'",
    "-m batch_size=null,2 shuffle=replacement",
    "shuffle=false",
    "batch_size=2 shuffle=epoch",
    "validation=0.5 split_seed=3",
    "measure=[update_norm] measure.every=5",
    "objective=beale tolerance=1e-3",
]


@pytest.mark.parametrize("typed", USED)
def test_what_is_typed_and_used_is_not_refused(typed, front_door, capfd, tmp_path):
    """However a part refers to it."""
    status, said, _ = front_door(*shlex.split(typed), "sweep.dry_run=true", folder=tmp_path)
    assert (status, said) == (0, ""), capfd.readouterr()


@pytest.mark.parametrize("content", ["", "optimizer:\n  _target_: torch.optim.SGD\n  lr: 0.1\n"])
@pytest.mark.parametrize("words", ["optimizer=mine", "-m optimizer=mine,sgd"])
def test_the_file_of_an_option_that_is_empty_or_nested(content, words, front_door, capfd, tmp_path):
    """Says what such a file looks like."""
    (tmp_path / "mine" / "optimizer").mkdir(parents=True)
    (tmp_path / "mine" / "optimizer" / "mine.yaml").write_text(content)
    status, said, _ = front_door("--config-dir", f"{tmp_path}/mine", *words.split())
    told = said + capfd.readouterr().err
    assert status == 1
    assert "optimizer._target_: expected the name of a class or function" in told or (
        "optimizer: no value is given" in told
    )
    assert "Traceback" not in told


@pytest.mark.parametrize("typed", DONE)
def test_a_dry_run_says_what_would_run(typed, front_door, capfd, tmp_path):
    """Alone and swept, and with every value of `sweep.stack`; nothing is recorded."""
    status, said, _ = front_door(*typed.split(), folder=tmp_path)
    printed = capfd.readouterr().out
    assert (status, said) == (0, "")
    assert printed.startswith(DONE[typed])
    assert not list(tmp_path.iterdir())


def test_the_defaults_of_a_sweep_are_those_of_the_config(compose_config):
    """Which a run alone may have."""
    assert dict(compose_config()["sweep"]) | {"on_error": "continue"} == DEFAULTS


def test_a_full_error_is_raised_as_it_is(front_door, monkeypatch):
    """With Hydra's own switch."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="must be a string or a list"):
        front_door("optimizer=1_0")


@pytest.mark.parametrize(
    ("typed", "betas"),
    [("optimizer=adam", [0.5, 0.6]), ("-m optimizer=adam,sgd lr=0.1", [0.5, 0.6])],
)
def test_a_folder_of_ones_own_comes_first(typed, betas, front_door, tmp_path):
    """For every group, alone and in a sweep; what is not there is the shipped one."""
    folder = tmp_path / "mine"
    (folder / "optimizer").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "config.yaml").write_text("defaults: [nobody: nothing]\nlr: 5\n")
    (folder / "model/scalar.yaml").write_text("_target_: runner.model.Scalar\ninitial: {w: 7.0}\n")
    (folder / "optimizer/adam.yaml").write_text(
        "_target_: torch.optim.Adam\nlr: ${lr}\nbetas: [0.5, 0.6]\n"
    )
    words = ["--config-dir", str(folder), *typed.split(), "sweep.dry_run=true"]
    status, _, [cell, *_] = front_door(*words)
    assert status == 0
    assert cell.values["optimizer"]["betas"] == betas
    assert cell.values["optimizer"]["lr"] == cell.values["lr"] < 1
    assert cell.values["model"]["initial"]["w"] == 7
    assert cell.values["loss"]["_target_"] == "torch.nn.MSELoss"


def test_a_loss_may_be_a_partial():
    """Hydra's own keys of a node mean what they mean to Hydra."""
    from runner.config.build import build

    node = {"_target_": "torch.nn.functional.huber_loss", "_partial_": True, "delta": 0.5}
    one, three = torch.tensor([1.0]), torch.tensor([3.0])
    assert build("loss", node)(one, three).item() == pytest.approx(0.5 * (2 - 0.25))
    kept = {"_target_": "builtins.dict", "a": {"_target_": "builtins.int"}}
    assert build("model", kept) == {"a": 0}
    assert build("model", {**kept, "_recursive_": False}) == {"a": {"_target_": "builtins.int"}}
    made = build("model", {"_target_": "builtins.dict", "a": {"b": 1}, "_convert_": "none"})
    assert type(made["a"]).__name__ == "DictConfig"


@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax"])
def test_a_first_step_that_overflows_is_refused_where_torch_would(name, front_door, capfd):
    """Those that make up for means that begin at 0 divide lr by 1 - beta."""
    typed = [f"optimizer._target_=torch.optim.{name}", "~optimizer.momentum", "lr=1e38"]
    typed += ["~optimizer.dampening", "~optimizer.nesterov", "+optimizer.betas=[0.9,0.99]"]
    status, said, _ = front_door(*typed, "sweep.dry_run=true")
    assert status == 1
    assert "optimizer.lr: expected at most 3.4e+37" in said + capfd.readouterr().err
