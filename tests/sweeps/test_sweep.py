"""Sweeps through the front door: plan, stacks, pool, resume, verify, and what MLflow has."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import open_dict

from runner.config.composer import Composer
from runner.config.instead import settled, without_replaced
from runner.config.schema import plain, register
from tests.conftest import ROOT
from tests.support.waiting import PATIENCE, recorded_steps, wait_for

OPTIMIZERS = ["adagrad", "adam", "adamw", "by_hand", "momentum", "nesterov", "rmsprop", "sgd"]
QUICK = ("gradient=by_hand", "epochs=5")


def children_of(store, folder, uri=None):
    """The sweep's own run and its children, from a store with one sweep in it."""
    client, runs = store(folder, uri)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = [run for run in runs if run is not parents[0]]
    assert {r.data.tags["mlflow.parentRunId"] for r in children} <= {parents[0].info.run_id}
    return client, parents[0], children


def table_of(client, run, folder):
    """The rows of the sweep's table."""
    path = client.download_artifacts(run.info.run_id, "cells.csv", str(folder))
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def composers():
    """Give a Composer, and a function that composes the same cell with Hydra alone."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)

        def by_hydra(overrides):
            config = loader.load_sweep_config(master, list(overrides))
            HydraConfig.instance().set_config(config)
            choices = dict(config.hydra.runtime.choices)
            with open_dict(config):
                del config["hydra"]
            return settled(plain(config)), without_replaced(choices)

        yield Composer(loader, master), by_hydra


OPTIONS = [
    f"{folder.name}={option.stem}"
    for folder in sorted((ROOT / "conf").iterdir())
    if folder.is_dir() and folder.name != "study"  # no group of Hydra's
    for option in sorted(folder.glob("*.yaml"))
]
MIXED = [
    ["lr=0.1", "+optimizer.maximize=true", "optimizer=adam"],
    ["model.initial={w: 3}", "model.initial.w=4", "lr=0.1"],
    ["model.initial.w=4", "model.initial={w: 3}", "lr=0.1"],
    ["+optimizer.maximize=true", "lr=3"],
    ["~loss.gradient_reduction", "lr=3"],
    ["dtype=float64", "tolerance=0", "hydra.job.name=other"],
    ["optimizer=adam", "optimizer.betas=[0.5,0.6]"],
    ["optimizer=adam", "optimizer.betas=[0.7,0.8]"],
    ["optimizer.momentum=${lr}", "lr=0.3"],
    ["optimizer.momentum=${lr}", "lr=0.4"],
    ["optimizer.momentum=${.lr}", "optimizer.nesterov=${dtype}", "lr=1"],
    ["optimizer.momentum=2${lr}", "model.initial.w=${optimizer.momentum}", "lr=2"],
    ["lr=${seed}", "seed=3"],
    ["lr=${seed}", "seed=4"],
    ["+optimizer.deep={a: [{b: '${seed}'}, 1]}", "seed=4", "dtype=float64"],
    # Merged after a plain value; and what leaves a node of another kind for the next cell.
    ["optimizer.lr=0.5", "optimizer={lr: 0.1}"],
    ["optimizer.lr=0.5", "optimizer={lr: 0.2}"],
    ["optimizer={lr: 0.2}", "optimizer.lr=0.5"],
    ["model.initial.w=3", "model.initial=null"],
    ["model.initial.w=4", "model.initial=null"],
    ["dataset.x=[5,6,7,8]", "dataset.x.0=9"],
    ["dataset.x=${dataset.y}", "seed=1"],
    ["dataset.x=[5,6,7,8]", "seed=2"],
    ["optimizer.momentum=0.1", "~optimizer.dampening"],
    ["optimizer.momentum=0.2", "~optimizer.dampening"],
    ["optimizer=adam", "optimizer.eps=${hydra:runtime.choices.optimizer}"],
    ["optimizer=sgd", "optimizer.momentum=${hydra:runtime.choices.optimizer}"],
    ["optimizer=adam", "optimizer.eps=${hydra:runtime.choices.optimizer}"],
]
NEEDS = {
    "tracking=server": ["tracking.uri=http://127.0.0.1:1"],
    "measure=angle": ["measure.angle.direction=[1]"],
    "dataset=npz": ["dataset.path=a.npz"],
    **{f"dataset={name}": ["dataset.path=a", "dataset.target=b"] for name in ("csv", "parquet")},
}
WHOLE = ["0", "-0", "7", "-12", "+3", "007", "1_000", "12345678901234567890", "--1", "0x10"]
BROKEN = ["0.1", "-0.5", ".5", "5.", "0.009890000000000001", "1e3", "1e-05", "-2.5e+10", "1E3"]
ODD = ["1.e3", "1e", "1e400", "1e0400", "nan", "-inf"]


SOON = {option.partition("=")[0]: option for option in OPTIONS}.values()
"""One of each group; the others are files like them."""


@pytest.mark.parametrize(
    "option",
    [pytest.param(one, marks=[] if one in SOON else pytest.mark.slow) for one in OPTIONS],
)
def test_cells_are_those_that_hydra_composes(option, composers):
    """Every shipped option with plain values, and with what is interpolated from them."""
    place = NEEDS.get(option, [])
    for settings in (["lr=0.1", "seed=3"], ["lr=0.2", "seed=4"], ["lr=1", "optimizer.lr=0.5"]):
        assert_same(composers, [option, *place, *settings])


@pytest.mark.slow
def test_cells_of_any_override_are_those_that_hydra_composes(composers):
    """Additions, deletions, merges, lists, Hydra's own; in the order given, nothing left over."""
    for settings in [*MIXED, *reversed(MIXED)]:
        assert_same(composers, settings)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("number", WHOLE + BROKEN + ODD)
def test_a_number_is_what_hydra_reads(number, composers):
    """Where any value may stand, so that nothing turns it into another kind of number."""
    for sign in ("", "+"):
        key = "extra" if sign else "momentum"
        assert_same(composers, ["lr=0.1", f"{sign}optimizer.{key}={number}"])


def assert_same(composers, overrides):
    """Our cell is Hydra's."""
    composer, by_hydra = composers
    values, choices = by_hydra(overrides)
    cell = composer.cell(overrides)
    assert json.dumps(cell.values) == json.dumps(values)  # 1 is not 1.0, and NaN is NaN
    assert cell.choices == choices
    assert list(cell.overrides) == [text for text in overrides if not text.startswith("hydra")]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("lr=fast,0.1", "Value 'fast' of type 'str' could not be converted to Float"),
        ("lr=-1,0.1", "lr: expected a finite number above 0, at most 3.4e+38 in float32, got -1.0"),
        ("optimizer.momentu=1,2", "Could not override 'optimizer.momentu'"),
        ("optimizer=sgd,sdg", "Could not find 'optimizer/sdg'"),
        ("optimizer.betas=[0.9],[0.8,0.9]", "betas"),
        ("dataset=line,plane", "one weight for 2 features"),
        ("lr=1e300,0.1", "lr: expected a finite number above 0, at most 3.4e+38 in float32"),
        ("optimizer.momentum=inf,0.1", "optimizer.momentum: expected finite numbers"),
        ("model.initial.w=1e39,1", "model.initial.w: expected a finite number of float32"),
        ("dataset.probe=true,1", "dataset.probe: expected numbers"),
        ("+tracking.foo=1,2", "tracking.foo: there is no such value"),
        ("tracking.experiment=a,b", "tracking: is one for the whole sweep"),
        ("tracking.experiment=", "tracking.experiment: expected a name"),
        ("tracking.uri=null", "tracking.uri: tracking=local needs a store"),
    ],
    ids=str,
)
def test_a_bad_cell_is_refused_before_anything_runs(override, told, runner, tmp_path):
    """With its overrides and the message of a lone run."""
    done = runner(tmp_path, "-m", *QUICK, override, "seed=1", status=1)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("mlruns/**/*.db"))


def test_dry_run_prints_the_plan_alone(runner, tmp_path):
    """Stacks, lone cells with their reason, and what is done; nothing is written."""
    done = runner(
        tmp_path, "-m", *QUICK, "optimizer=sgd,adam", "lr=0.1,0.2,0.3", "sweep.dry_run=true"
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "6 cells: 2 stacks (6), 0 alone, 0 already done"
    assert lines[1] == "  stack      3  optimizer=sgd: numpy over lr"
    assert len(lines) == 3
    assert not (tmp_path / "mlruns").exists()
    done = runner(tmp_path, "-m", *QUICK, "loss=mse,mae", "sweep.dry_run=true")
    assert "alone      2" in done.stdout
    assert "no other cell has its structure" in done.stdout


def test_a_sweep_is_a_parent_with_a_child_for_each_cell(runner, tmp_path, store):
    """Children are ordinary runs; the parent tells what was swept and what became of it."""
    done = runner(
        tmp_path, "-m", "gradient=by_hand", "optimizer=sgd,adam", "lr=0.1,0.01", "seed=range(3)"
    )
    client, parent, children = children_of(store, tmp_path)
    assert parent.info.status == "FINISHED"
    assert len(children) == 12
    assert {child.info.status for child in children} == {"FINISHED"}
    assert len({child.info.run_name for child in children}) == 12
    told = Counter((c.data.params["optimizer"], c.data.params["lr"]) for c in children)
    assert set(told.values()) == {3}
    assert {c.data.params["seed"] for c in children} == {"0", "1", "2"}
    outcomes = Counter(c.data.tags["outcome"] for c in children)
    assert {k: int(v) for k, v in parent.data.tags.items() if k.startswith("cells.")} == {
        f"cells.{outcome}": count for outcome, count in outcomes.items()
    }
    best = min(children, key=lambda c: (c.data.metrics["final_loss"], c.data.metrics["epochs_run"]))
    assert parent.data.metrics["final_loss"] == best.data.metrics["final_loss"]
    assert parent.data.tags["plan"].startswith("12 cells: 2 stacks (12)")
    assert parent.data.tags["command"].startswith("python -m runner -m gradient=by_hand")
    assert "optimizer, lr, seed" in parent.info.run_name
    rows = table_of(client, parent, tmp_path)
    assert {row["run"] for row in rows} == {child.info.run_id for child in children}
    for child in children:
        [row] = [row for row in rows if row["run"] == child.info.run_id]
        assert row["lr"] == child.data.params["lr"]
        assert float(row["final_loss"]) == child.data.metrics["final_loss"]
        history = client.get_metric_history(child.info.run_id, "loss")
        assert len(history) == int(row["epochs"]) == child.data.metrics["epochs_run"]
        artifacts = {item.path for item in client.list_artifacts(child.info.run_id)}
        assert artifacts == {"config.yaml", "trajectory.parquet"}
    assert "medians " in done.stdout


@pytest.mark.slow
def test_children_on_a_server_nest_under_its_parent(runner, tmp_path, server, store):
    """A server gives runs ids of its own."""
    place = ["tracking=server", f"tracking.uri={server.uri}"]
    runner(tmp_path, "-m", *QUICK, "lr=0.1,0.2,0.3", *place)
    client, parent, children = children_of(store, tmp_path, server.uri)
    assert parent.data.tags["cells.exhausted"] == "3"
    rows = table_of(client, parent, tmp_path)
    assert {row["run"] for row in rows} == {child.data.tags["journal"] for child in children}


def test_a_stacked_child_is_the_lone_run(runner, tmp_path, store):
    """Same names of params, metrics and tags, same figures but for the time."""
    (tmp_path / "lone").mkdir()
    runner(tmp_path, "-m", "gradient=by_hand", "lr=0.1,1")
    _, _, children = children_of(store, tmp_path)
    for child in children:
        folder = tmp_path / child.data.params["lr"]
        folder.mkdir()
        runner(folder, "gradient=by_hand", f"lr={child.data.params['lr']}")
        _, [lone] = store(folder)
        assert child.data.params == lone.data.params
        own = {"mlflow.parentRunId", "mlflow.runColor", "cell", "stacked"}
        assert child.data.tags.keys() - own == lone.data.tags.keys()
        for tag in ("outcome", "fingerprint"):
            assert child.data.tags[tag] == lone.data.tags[tag]
        assert child.data.metrics.keys() == lone.data.metrics.keys()
        for name in child.data.metrics.keys() - {"seconds"}:
            assert child.data.metrics[name] == pytest.approx(lone.data.metrics[name], rel=1e-5)


@pytest.mark.slow
def test_every_combination_in_one_command(runner, tmp_path, store):
    """Optimizer x loss x gradient x model, to the end."""
    parts = [f"optimizer={','.join(OPTIMIZERS)}", "loss=mse,mae,huber", "gradient=by_hand,autograd"]
    parts += ["model=scalar,linear"]
    done = runner(tmp_path, "-m", *parts, "lr=0.01,0.02", "epochs=3")
    count = len(OPTIMIZERS) * 3 * 2 * 2 * 2
    assert done.stdout.startswith(f"{count} cells: ")
    _, parent, children = children_of(store, tmp_path)
    assert len(children) == count
    assert parent.data.tags["cells.exhausted"] == str(count)
    assert {child.info.status for child in children} == {"FINISHED"}


def test_resume_does_only_what_is_not_done(runner, tmp_path, store):
    """Finished cells stay as they are, also those that diverged; without any server."""
    typed = ["-m", *QUICK, "optimizer=sgd,adam"]
    runner(tmp_path, *typed, "lr=0.1,1e30", "tracking=off")
    again = runner(tmp_path, *typed, "lr=0.1,1e30", "tracking=off", "sweep.resume=true")
    assert again.stdout.startswith("4 cells: 0 stacks (0), 0 alone, 4 already done")
    more = runner(tmp_path, *typed, "lr=0.1,0.2", "tracking=off", "sweep.resume=true")
    assert more.stdout.startswith("4 cells: 2 stacks (2), 0 alone, 2 already done")
    other = runner(tmp_path, *typed, "lr=0.1", "tracking=off", "sweep.resume=true", "seed=5")
    assert "0 already done" in other.stdout
    published = runner(tmp_path, *typed, "lr=0.1", "sweep.resume=true")
    assert "0 already done" in published.stdout  # they were not for this store
    _, _, children = children_of(store, tmp_path)
    assert len(children) == 2


def test_verify_reruns_cells_alone(runner, tmp_path, store):
    """And reports the largest difference, which is rounding."""
    done = runner(tmp_path, "-m", "lr=range(0.001,0.0195,0.001)", "epochs=30", "sweep.verify=5")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("verified")]
    assert line.startswith("verified    5 cells alone: largest difference ")
    assert float(line.split("difference ")[1].split()[0]) < 1e-5
    _, parent, children = children_of(store, tmp_path)
    assert parent.data.tags["verified"] == line
    assert len(children) == 19


def test_a_failing_cell_fails_alone(own, runner, store):
    """The others finish; status 1; the table and MLflow say which and why."""
    typed = ["--config-dir", "mine", "-m", "model=fragile", "epochs=3", "model.fails=0,1,2"]
    done = runner(own, *typed, status=1, PYTHONPATH=f"{ROOT}{os.pathsep}{own}")
    assert "it broke on purpose" in done.stdout
    assert "Traceback" not in done.stderr
    client, parent, children = children_of(store, own)
    assert sorted(child.info.status for child in children) == ["FAILED", "FAILED", "FINISHED"]
    assert parent.info.status == "FAILED"
    assert parent.data.tags["reason"] == "2 of 3 cells failed"
    rows = table_of(client, parent, own)
    assert [row["outcome"] for row in rows] == ["exhausted", "failed", "failed"]
    assert rows[1]["reason"] == "RuntimeError: it broke on purpose"


@pytest.mark.slow
def test_on_error_stop_starts_nothing_more(own, runner, store):
    """The rest is not run, and said to be so."""
    typed = ["--config-dir", "mine", "-m", "model=fragile", "epochs=3", "model.fails=0,1,2,3"]
    path = f"{ROOT}{os.pathsep}{own}"
    typed += ["sweep.on_error=stop", "sweep.workers=1"]  # one after another
    done = runner(own, *typed, status=1, PYTHONPATH=path)
    assert "not run       2" in done.stdout
    _, parent, children = children_of(store, own)
    assert len(children) == 2
    assert parent.data.tags["cells.not run"] == "2"


def test_a_pool_of_processes(runner, tmp_path, store):
    """Lone cells in two processes, each with a journal; nothing is lost or done twice."""
    done = runner(tmp_path, "-m", *QUICK, "lr=range(1,9)", "sweep.stack=false", "sweep.workers=2")
    assert "alone      8  optimizer=sgd: sweep.stack=false" in done.stdout
    _, parent, children = children_of(store, tmp_path)
    assert sorted(float(child.data.params["lr"]) for child in children) == list(range(1, 9))
    journals = {p.stem.rpartition("-")[2] for p in (tmp_path / "mlruns").rglob("*-[12].db")}
    assert journals == {"1", "2"}
    assert parent.info.status == "FINISHED"


def test_a_grid_is_a_sweep_by_name(runner, tmp_path):
    """Its values can be overridden, and more be swept."""
    done = runner(tmp_path, "grid=learning_rates", *QUICK, "sweep.dry_run=true")
    assert done.stdout.startswith("8 cells: 1 stack (8)")
    done = runner(
        tmp_path, "grid=learning_rates", *QUICK, "lr=1,2", "seed=1,2,3", "sweep.dry_run=true"
    )
    assert done.stdout.startswith("6 cells: 1 stack (6)")


@pytest.mark.slow
def test_hydras_basic_launcher_and_sweeper_still_work(runner, tmp_path, store):
    """Each cell is then a run of its own, without a parent."""
    typed = ["-m", *QUICK, "lr=0.1,0.2", "hydra/launcher=basic"]
    runner(tmp_path, *typed)
    runner(tmp_path, *typed, "hydra/sweeper=basic", "seed=1")
    _, runs = store(tmp_path)
    assert len(runs) == 4
    runner(tmp_path, "-m", *QUICK, "lr=0.1,0.2", "hydra/sweeper=basic", "seed=2")
    _, runs = store(tmp_path)
    assert len(runs) == 7  # with our launcher there is a parent


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "joblib"])
def test_hydras_launcher_plugins_still_work(launcher, runner, tmp_path, environment, store):
    """Each cell is a run of its own, in a process of the plugin's."""
    runner(tmp_path, "-m", *QUICK, "lr=0.1,0.2,0.3", f"hydra/launcher={launcher}")
    status = [sys.executable, "-m", "runner.publish", "--status"]
    how = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    wait_for(lambda: "everything is published" in subprocess.run(status, **how).stdout)
    _, runs = store(tmp_path)
    assert sorted(run.data.params["lr"] for run in runs) == ["0.1", "0.2", "0.3"]
    assert {run.info.status for run in runs} == {"FINISHED"}


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once(tmp_path, environment):
    """In the middle of steps that take long; what was recorded is kept."""
    slow = ["dataset=noisy_line", "dataset.samples=3000000", "epochs=1000000", "tolerance=0"]
    typed = ["gradient=by_hand", *slow, "lr=1e-4,2e-4", "tracking=off"]
    process = begun(tmp_path, environment, *typed, "sweep.workers=2", "sweep.stack=false")
    wait_for(lambda: len(recorded_steps(tmp_path)) == 2, process)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT, out + err
    assert "Traceback" not in err
    assert "go on with: sweep.resume=true" in out


def test_numpy_sweeps_import_no_torch(tmp_path, environment):
    """Nor MLflow: asked after a whole sweep."""
    program = (
        "import runpy, sys\n"
        "runpy.run_module('runner', run_name='__main__', alter_sys=True)\n"
        "heavy = 'torch', 'mlflow', 'sqlalchemy', 'pandas'\n"
        "sys.stderr.write(str([name for name in heavy if name in sys.modules]))\n"
    )
    typed = [sys.executable, "-c", program, "-m", *QUICK, "lr=0.1,0.2", "tracking=off"]
    done = subprocess.run(typed, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]"


def begun(folder, environment, *typed):
    """A sweep in a process group of its own, once some of its cells have begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "-m", *typed],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = process.stdout.readline()
    assert "cells:" in line, process.communicate()
    return process


LONG = ("gradient=by_hand", "tolerance=0", "epochs=3000000", "tracking.live=false")


@pytest.mark.parametrize(
    "how",
    [(), pytest.param(("sweep.workers=2", "sweep.stack=false"), marks=pytest.mark.slow)],
    ids=["here", "pool"],
)
def test_ctrl_c_keeps_what_is_recorded_and_resume_goes_on(
    how, tmp_path, environment, store, runner
):
    """Running cells end as interrupted; the table says how to go on; then all are done once."""
    process = begun(tmp_path, environment, *LONG, "lr=0.01,0.02,0.03", *how)
    wait_for(lambda: len(steps := recorded_steps(tmp_path)) > 1 and all(steps), process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGINT, out + err
    assert "go on with: sweep.resume=true" in out
    assert "Traceback" not in err
    client, parent, children = children_of(store, tmp_path)
    assert parent.info.status == "KILLED"
    assert children
    assert {child.info.status for child in children} == {"KILLED"}
    for child in children:
        assert child.data.metrics["epochs_run"] > 0
        assert child.data.tags["reason"] == "stopped by SIGINT"
    rows = table_of(client, parent, tmp_path)
    assert {row["outcome"] for row in rows} <= {"interrupted", "not run"}
    typed = ["-m", "gradient=by_hand", "tolerance=0", "lr=0.01,0.02,0.03", "sweep.resume=true"]
    short = runner(tmp_path, *typed, "epochs=3", *how)
    assert "0 already done" in short.stdout


@pytest.mark.slow
def test_a_killed_worker_loses_its_unit_alone(tmp_path, environment, store):
    """It is tried once more, as a new run; old points never mix with new ones."""
    typed = ["gradient=by_hand", "tolerance=0", "epochs=60000", "lr=range(1,7)"]
    typed[3] = "lr=0.001,0.002,0.003,0.004,0.005,0.006"
    process = begun(tmp_path, environment, *typed, "sweep.workers=2", "sweep.stack=false")
    wait_for(lambda: any(recorded_steps(tmp_path)), process)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
    _, parent, children = children_of(store, tmp_path)
    finished = [child for child in children if child.info.status == "FINISHED"]
    assert sorted(c.data.params["lr"] for c in finished) == [f"0.00{n}" for n in range(1, 7)]
    assert {c.data.metrics["epochs_run"] for c in finished} == {60000}
    killed = [child for child in children if child.info.status != "FINISHED"]
    assert [child.info.status for child in killed] in ([], ["KILLED"])
    assert parent.data.tags["cells.exhausted"] == "6"


KILLED_ONCE = """
import os, signal, sys
from runner.sweeps.executors import work
real = work.result
def result(number, *known):
    if number == 2 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return real(number, *known)
work.result = result
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("stack", ["true", "false"])
def test_what_a_killed_worker_has_recorded_is_not_done_again(
    stack, tmp_path, environment, store, runner
):
    """It dies after its cell has ended in the journal, before it could tell: a result like any."""
    (tmp_path / "sitecustomize.py").write_text(KILLED_ONCE)
    typed = ["-m", "gradient=by_hand", "tolerance=0", "epochs=5", "lr=0.01,0.02,0.03,0.04"]
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    how = ["sweep.workers=2", f"sweep.stack={stack}"]
    runner(tmp_path, *typed, *how, PYTHONPATH=path)
    assert (tmp_path / "killed").exists()
    _, parent, children = children_of(store, tmp_path)
    assert sorted(child.data.params["lr"] for child in children) == ["0.01", "0.02", "0.03", "0.04"]
    assert {child.info.status for child in children} == {"FINISHED"}
    assert parent.data.tags["cells.exhausted"] == "4"


def test_a_resume_with_nothing_to_do_tells_of_no_fault(runner, tmp_path, store):
    typed = ["-m", "gradient=by_hand", "lr=0.01,0.02", "epochs=3"]
    runner(tmp_path, *typed)
    again = runner(tmp_path, *typed, "sweep.resume=true")
    assert "2 already done" in again.stdout
    assert "kept" not in again.stdout


def test_a_sweep_has_the_environment_that_its_jobs_would_have(runner, tmp_path):
    """Also where its parts are tried, before the plan is printed."""
    typed = [
        "-m",
        "model._target_=tests.support.parts.of_environment",
        "~model.initial",
        "lr=0.01,0.02",
    ]
    done = runner(tmp_path, *typed, "epochs=2", "+hydra.job.env_set.OF_A_JOB=yes", "tracking=off")
    assert "exhausted     2" in done.stdout


@pytest.mark.slow
def test_cells_that_a_second_ctrl_c_has_ended_are_told(tmp_path, environment):
    """In the middle of a step: the table has what the journals have of them."""
    typed = [
        "loss._target_=tests.support.parts.Sleeping",
        "lr=0.001,0.002",
        "epochs=90",
        "tolerance=0",
    ]
    how = ["sweep.workers=2", "sweep.stack=false", "tracking=off"]
    process = begun(tmp_path, environment, *typed, *how)
    wait_for(lambda: len(list(tmp_path.glob("sleeping-*"))) == 2, process)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.5)
    out, err = process.communicate(timeout=PATIENCE)
    assert "interrupted   2" in out, out + err
    assert "not run" not in out


def workers_of(pid):
    """The processes that the fork server of a sweep has started."""
    try:
        found = subprocess.run(["ps", "-eo", "pid,ppid,pgid"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs ps")
    rows = [tuple(map(int, line.split())) for line in found.stdout.splitlines()[1:]]
    mine = [row for row in rows if row[2] == pid and row[0] != pid]
    servers = {row[0] for row in mine if row[1] == pid}
    return [row[0] for row in mine if row[1] in servers]


def test_processes_of_a_pool_have_the_data_of_the_plan(runner, tmp_path, store):
    """Drawn once, although their function draws anew at each call."""
    typed = ["dataset._target_=tests.support.parts.unseeded", "~dataset.x", "~dataset.y"]
    how = ["sweep.stack=false", "sweep.workers=2", "epochs=1", "dataset.probe=null"]
    runner(tmp_path, "-m", "lr=0.01,0.02,0.03,0.04", *typed, *how, "gradient=by_hand")
    client, _, children = children_of(store, tmp_path)
    losses = {client.get_metric_history(c.info.run_id, "loss")[0].value for c in children}
    assert len(children) == 4
    assert len(losses) == 1
    assert len({child.data.tags["dataset.digest"] for child in children}) == 1
