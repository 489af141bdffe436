"""A search that learns, against Optuna by itself; pruning, against cells that were not pruned."""

import json
import math
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import mannwhitneyu

import runner
from runner.errors import ConfigError

WORDS = ("gradient=by_hand", "model=linear", "dataset=noisy_line", "tracking=off", "epochs=20")
RATE, MOMENTUM = "lr=tag(log,interval(1e-4,300))", "optimizer.momentum=interval(0.01,0.99)"
SPACE = {
    "lr": FloatDistribution(1e-4, 300, log=True),
    "optimizer.momentum": FloatDistribution(0.01, 0.99),
}
BOTH = (RATE, MOMENTUM, "optimizer=momentum")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Be where nothing is."""
    monkeypatch.chdir(tmp_path)


def search(*words, sampler="tpe", samples=20):
    return runner.sweep(*WORDS, *words, f"sweep.sampler={sampler}", f"sweep.samples={samples}")


def value(run):
    """What a search is told of it."""
    return math.inf if run.outcome == "diverged" else run.final_loss


def number(run, key):
    return float(run.params[key])


def alone(sampler, space, told, samples, batch):
    """The points that Optuna asks for by itself, told the same in the same rounds."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, points = optuna.create_study(sampler=sampler), []
    while len(points) < samples:
        trials = [study.ask(space) for _ in range(min(batch, samples - len(points)))]
        for trial in trials:
            points.append(trial.params)
            study.tell(trial, told[len(points) - 1])
    return points


SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "qmc": optuna.samplers.QMCSampler,
}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", SAMPLERS)
def test_it_asks_for_optunas_points(name):
    """Rounded to three digits, in rounds of eight to begin with; another seed has others."""
    cells = list(search(*BOTH, "sweep.seed=3", sampler=name, samples=25))
    told = [value(run) for run in cells]
    points = alone(SAMPLERS[name](seed=3), SPACE, told, 25, 8)
    for key in SPACE:
        wanted = [float(f"{point[key]:.3g}") for point in points]
        assert [number(run, key) for run in cells] == wanted
    assert math.inf in told  # which Optuna is told, too
    others = search(*BOTH, "sweep.seed=4", sampler=name, samples=25)
    assert [number(run, "lr") for run in others] != [number(run, "lr") for run in cells]


def test_whole_numbers_and_choices_are_searched_too():
    """As Optuna has them; a batch of one's own; nothing is asked for twice."""
    words = ("epochs=int(interval(1,6))", "optimizer=sgd,adam", RATE, "sweep.batch=4")
    cells = list(search(*words, samples=20))
    space = {
        "epochs": IntDistribution(1, 6),
        "lr": SPACE["lr"],
        "optimizer": CategoricalDistribution((0, 1)),
    }
    points = alone(optuna.samplers.TPESampler(seed=0), space, list(map(value, cells)), 20, 4)
    wanted = [(p["epochs"], ("sgd", "adam")[p["optimizer"]]) for p in points]
    assert [(number(run, "epochs"), run.params["optimizer"]) for run in cells] == wanted
    assert len({run.name for run in cells}) == 20


def test_it_ends_where_all_is_tried():
    """Four samples are all that there are of two by two."""
    found = search("optimizer=sgd,adam", "epochs=1,2", samples=20)
    assert sorted((run.params["optimizer"], run.params["epochs"]) for run in found) == [
        (optimizer, epochs) for optimizer in ("adam", "sgd") for epochs in "12"
    ]


def test_what_counts_over_seeds_is_the_median():
    """Each sample has every seed, and is told once."""
    cells = list(search(*BOTH, "seed=0,1,2", samples=9))
    assert [run.params["seed"] for run in cells] == list("012") * 9
    told = [float(np.median(list(map(value, cells[at : at + 3])))) for at in range(0, 27, 3)]
    points = alone(optuna.samplers.TPESampler(seed=0), SPACE, told, 9, 8)
    wanted = [float(f"{point['lr']:.3g}") for point in points for _ in range(3)]
    assert [number(run, "lr") for run in cells] == wanted


def test_it_minimises_what_is_asked():
    """The validation loss, say, which is another search."""
    words = (*BOTH, "validation=0.4", "dataset.samples=10", "dataset.noise=3")
    cells = list(search(*words, "sweep.minimise=final_val_loss"))
    assert all("final_val_loss" in run.figures for run in cells)
    told = [
        math.inf if run.outcome == "diverged" else run.figures["final_val_loss"] for run in cells
    ]
    points = alone(optuna.samplers.TPESampler(seed=0), SPACE, told, 20, 8)
    wanted = [float(f"{point['lr']:.3g}") for point in points]
    assert [number(run, "lr") for run in cells] == wanted


@pytest.mark.bits
@pytest.mark.slow
def test_it_goes_on_with_the_same_study():
    """What is done is told again, and the rest asked for: the cells of one longer search."""
    first = search(*BOTH, samples=21)
    longer = search(*BOTH, "sweep.resume=true", samples=120)
    assert [run.id for run in longer][:21] == [run.id for run in first]
    at_once = search(*BOTH, samples=120)
    assert [run.params for run in longer] == [run.params for run in at_once]
    assert [run.final_loss for run in longer] == [run.final_loss for run in at_once]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on(environment, tmp_path):
    """By SIGKILL, in the middle of a round: the samples, and what became of them, are the same."""
    words = ("-m", *WORDS[:4], *BOTH, "sweep.sampler=tpe", "sweep.samples=30", "sweep.batch=6")
    words += ("epochs=3000", "tolerance=0", "seed=0,1", "sweep.prune=median")
    command = [sys.executable, "-m", "runner", *words]
    (tmp_path / "killed").mkdir()
    unbuffered = {**environment, "PYTHONUNBUFFERED": "1"}
    how = {"env": unbuffered, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path / "killed", **how) as begun:
        for line in begun.stdout:
            if line.startswith("  12 of"):
                break
        time.sleep(0.05)
        begun.kill()
    assert begun.returncode == -signal.SIGKILL
    found = {}
    for folder, more in (("killed", ["sweep.resume=true"]), ("whole", [])):
        (tmp_path / folder).mkdir(exist_ok=True)
        how = {"env": environment, "check": True, "text": True, "capture_output": True}
        done = subprocess.run([*command, *more], cwd=tmp_path / folder, **how)
        rounds, _, table = done.stdout.partition("  30 of 30")
        found[folder] = rounds.splitlines()[-4:], table.partition("kept")[0]
    assert "pruned" in found["whole"][1]
    assert found["killed"] == found["whole"]


@pytest.mark.slow
def test_it_finds_the_best_in_fewer_cells_than_random():
    """On least squares whose best lr and momentum are known: Polyak, 1964. By ranks, over seeds."""
    largest, smallest = 2.0, 2 / 50
    root, other = math.sqrt(largest), math.sqrt(smallest)
    best = {
        "lr": 4 / (root + other) ** 2,
        "optimizer.momentum": ((root - other) / (root + other)) ** 2,
    }
    words = (
        *("gradient=by_hand", "model=linear", "model.bias=false", "dataset=ill_conditioned"),
        *("dataset.condition=50", "dataset.features=2", "optimizer=momentum", "epochs=60"),
        *("tolerance=0", "dtype=float64", "tracking=off"),
    )
    near = 100 * runner.run(*words, **best).final_loss
    space = ("lr=tag(log,interval(1e-3,4))", "optimizer.momentum=interval(0.001,0.99)")

    def cells_until(sampler, seed):
        how = (f"sweep.sampler={sampler}", "sweep.samples=60", f"sweep.seed={seed}")
        batch = ("sweep.batch=6",) if sampler != "random" else ()
        values = [value(run) for run in runner.sweep(*words, *space, *how, *batch)]
        return next((number for number, one in enumerate(values) if one < near), 60)

    seeds = range(20)
    learned, drawn = ([cells_until(how, seed) for seed in seeds] for how in ("tpe", "random"))
    assert mannwhitneyu(learned, drawn, alternative="less").pvalue < 0.01


@pytest.mark.bits
def test_a_pruned_cell_is_the_beginning_of_itself():
    """At an eighth, a quarter and a half, those that are worse than the median of what goes on."""
    words = (*WORDS, "epochs=40", "optimizer=momentum", "sweep.samples=40", "sweep.sampler=sobol")
    whole = list(runner.sweep(*words, *BOTH))
    pruned = runner.sweep(*words, *BOTH, "sweep.prune=median")
    losses = [run.trajectory["loss"].to_numpy()[1:] for run in whole]
    goes_on, end = set(range(40)), {}
    for epoch in (5, 10, 20):
        goes_on = {cell for cell in goes_on if len(losses[cell]) >= epoch}
        middle = np.median([losses[cell][epoch - 1] for cell in goes_on])
        behind = {cell for cell in goes_on if losses[cell][epoch - 1] > middle}
        end |= dict.fromkeys(behind, epoch)
        goes_on -= behind
    assert set(end.values()) == {5, 10, 20}
    for cell, (run, its) in enumerate(zip(pruned, whole, strict=True)):
        assert (run.outcome, run.figures["epochs_run"]) == (
            ("pruned", end[cell]) if cell in end else (its.outcome, its.figures["epochs_run"])
        )
        beginning = its.trajectory.iloc[: len(run.trajectory)]
        assert run.trajectory["loss"].equals(beginning["loss"])
        assert run.trajectory["w"].equals(beginning["w"])


def test_a_setting_is_pruned_as_a_whole():
    """By the median over its seeds, with mini-batches too."""
    words = ("batch_size=4", "dataset.noise=1", "epochs=16", "seed=0,1,2", "lr=0.0001,0.001,0.1")
    found = runner.sweep(*WORDS, *words, "sweep.prune=median")
    outcomes = {(run.params["lr"], run.outcome) for run in found}
    assert outcomes == {("0.0001", "pruned"), ("0.001", "pruned"), ("0.1", "exhausted")}


def test_pruned_cells_are_done_as_long_as_one_prunes():
    """And a stack is pruned as a whole: nothing of it is done again by itself."""
    words = (*WORDS, *BOTH, "sweep.sampler=sobol", "sweep.samples=16", "sweep.prune=median")
    first = runner.sweep(*words)
    again = runner.sweep(*words, "sweep.resume=true")
    assert [run.id for run in again] == [run.id for run in first]
    whole = runner.sweep(*(word for word in words if "prune" not in word), "sweep.resume=true")
    assert {run.outcome for run in whole} == {"exhausted", "diverged"}
    kept = [run.id for run in first if run.outcome != "pruned"]
    assert {run.id for run in whole} & {run.id for run in first} == {*kept}


def test_a_search_prunes():
    """Optuna is told so, and goes on; the best is not among them."""
    found = search(*BOTH, "sweep.prune=median", samples=30)
    outcomes = [run.outcome for run in found]
    assert outcomes.count("pruned") > 10
    assert found.best.outcome != "pruned"
    assert found.best.final_loss == min(value(run) for run in found if run.outcome != "pruned")


def test_the_sweeps_run_tells_how_it_searched(runner, store, tmp_path):
    """From the command, as MLflow has it; and what was found important."""
    words = [word for word in WORDS if word != "tracking=off"]
    done = runner(
        tmp_path, "-m", *words, *BOTH, "sweep.sampler=tpe", "sweep.samples=36", "sweep.batch=6"
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "search by tpe: 36 samples, 6 at a time, the least final_loss"
    assert [line.split()[:3] for line in lines[3:9]] == [
        [str(count), "of", "36"] for count in range(6, 37, 6)
    ]
    [parent] = [run for run in store(tmp_path)[1] if "cells" in run.data.tags]
    tags = parent.data.tags
    known = {key: tags[key] for key in ("sampler", "minimise", "cells")}
    assert known == {"sampler": "tpe", "minimise": "final_loss", "cells": "36"}
    importance = json.loads(tags["importance"])
    assert set(importance) == set(SPACE)
    assert 0 < sum(importance.values()) <= 1
    shares = ", ".join(f"{key} {100 * share:.0f} %" for key, share in importance.items())
    assert f"importance  {shares}" in lines
    assert parent.data.params["swept"] == "lr, optimizer.momentum"
    assert not {"lr", "optimizer.momentum"} & {*parent.data.params}


REFUSED = {
    "lr=interval(0.1,1) sweep.sampler=anneal sweep.samples=3": "expected one of grid, random,",
    "lr=interval(0.1,1) sweep.sampler=tpe": "sweep.samples: expected how many",
    "lr=interval(0.1,1) sweep.sampler=cmaes sweep.samples=3": "expected two intervals or more",
    "lr=interval(0.1,1) sweep.sampler=tpe sweep.samples=3 sweep.batch=0": "sweep.batch: expected 1",
    "lr=interval(0.1,1) sweep.sampler=bruteforce sweep.samples=3": "expected one of grid, random",
    "lr=interval(0.1,1) sweep.sampler=random sweep.samples=3 sweep.batch=2": "random learns",
    "lr=0.1,0.2 sweep.minimise=best_loss": "sweep.minimise: is of a search, or of sweep.prune",
    "lr=interval(0.1,1) sweep.samples=1": "expected 2 or more, for both ends",
    "lr=interval(0.1,1) sweep.sampler=tpe sweep.samples=3 sweep.minimise=loss": "sweep.minimise: ",
    "lr=interval(0.1,1) sweep.sampler=tpe sweep.samples=3 sweep.minimise=final_val_loss": (
        "expected validation=..."
    ),
    "lr=0.1,0.2 sweep.prune=hyperband": "sweep.prune: expected median or null, got hyperband",
    "lr=0.1,0.2 sweep.prune=median sweep.stack=false": "sweep.prune: compares the cells of a stack",
    "lr=0.1,0.2 sweep.prune=median sweep.minimise=epochs_run": "sweep.prune: expected a loss",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words):
    """Before anything runs, in one message that says what would do."""
    with pytest.raises(ConfigError) as refused:
        runner.sweep(*WORDS, *words.split())
    assert REFUSED[words] in str(refused.value)
    assert "\n" not in str(refused.value).strip()


def test_what_cannot_run_is_found_before_the_first_cell():
    """At the ends of what is searched, and in each choice."""
    with pytest.raises(ConfigError, match="nesterov=true needs a momentum above 0"):
        search("optimizer=momentum,nesterov", RATE, "optimizer.momentum=interval(0,0.9)")


REFUSES = """
import torch


class Net(torch.nn.Linear):
    "A model that refuses one number, which lies between the ends of what is searched."

    def __init__(self, hidden):
        if hidden == 6:
            raise ValueError("no such size")
        super().__init__(1, 1)
"""


@pytest.mark.slow
def test_a_sample_that_cannot_be_built_has_failed(runner, tmp_path):
    """And the search goes on; what is tried when it is resumed is the same."""
    (tmp_path / "parts" / "model").mkdir(parents=True)
    (tmp_path / "parts" / "model" / "net.yaml").write_text("_target_: refuses.Net\nhidden: 1\n")
    (tmp_path / "refuses.py").write_text(REFUSES)
    typed = ["-m", "--config-dir", "parts", "model=net", "tracking=off", "epochs=3", "lr=0.01,0.1"]
    typed += ["model.hidden=int(interval(5,8))", "sweep.sampler=tpe", "sweep.samples=8"]
    tables = []
    for more in ([], ["sweep.resume=true"]):
        done = runner(tmp_path, *typed, *more, status=1)
        assert "exhausted     6" in done.stdout
        assert "failed        2" in done.stdout
        assert "model: refuses.Net refused its values: no such size" in done.stdout
        tables.append(done.stdout.partition("exhausted")[2].partition("kept")[0])
    assert tables[0] == tables[1]


def test_settings_of_a_sweep_may_be_given_as_python_has_them():
    """A list of keys is one value, and a mapping has several settings."""
    both = {"lr": [0.1, 0.2], "epochs": [3, 4]}
    for own in ({"sweep.zip": ["lr", "epochs"]}, {"sweep": {"zip": ["lr", "epochs"]}}):
        assert len(runner.sweep("tracking=off", "gradient=by_hand", **both, **own)) == 2
    words = ("tracking=off", "gradient=by_hand", "lr=interval(0.5,1)")
    spaced = runner.sweep(*words, sweep={"samples": 3})
    assert [run.params["lr"] for run in spaced] == ["0.5", "0.75", "1.0"]
