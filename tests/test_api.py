"""Calls from Python: the command's own results, and nothing of the caller's touched."""

import asyncio
import functools
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.singleton import Singleton
from omegaconf import OmegaConf

import runner as api
from runner.config.words import words
from runner.record.journals import Journals
from tests.support.parts import Small
from tests.support.waiting import PATIENCE

OFF = "tracking=off"  # no publisher: what is recorded is in the journals


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A project folder of its own, without drawing, in a process with arguments of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest", "-m", "lr=7"])
    monkeypatch.setenv("RUNNER_PICTURES", "false")
    monkeypatch.setenv("RUNNER_PAGE", "false")
    return tmp_path


@pytest.fixture
def published(here, empty_store):
    """MLflow's tables are there; afterwards no publisher is left."""
    empty_store(here / "mlruns")
    yield
    api.finish()


def rows_of(run):
    """Everything that was recorded but the time."""
    return [run._read().rows[name] for name in ("step", "loss", "grad_norm", "parameters")]


def assert_same(run, other):
    for one, two in zip(rows_of(run), rows_of(other), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


SAME = [
    ["gradient=by_hand", "optimizer=adam", "lr=0.1"],
    pytest.param(
        ["dataset=plane", "model=linear", "loss=huber", "dtype=float64", "seed=3", "epochs=20"],
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("typed", SAME, ids=" ".join)
def test_a_call_is_the_command(typed, here, runner):
    """The same numbers to the last bit, the same params; words and keywords are the same."""
    runner(here, *typed, OFF)
    command = api.load("latest")
    keywords = {text.partition("=")[0]: text.partition("=")[2] for text in typed}
    for run in (api.run(*typed, OFF), api.run(OFF, **{k: eval_of(v) for k, v in keywords.items()})):
        assert_same(run, command)
        assert (run.params, run.outcome) == (command.params, command.outcome)
        assert run.name == command.name
        assert run.tags["mlflow.source.name"] == "runner, from Python"


def eval_of(text):
    """A keyword's value: a number where the text is one."""
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def test_a_sweep_is_the_command(here, runner):
    """Cells in the same order, under the same names, with the same numbers."""
    runner(here, "-m", "optimizer=sgd,adam", "lr=0.01,0.1", "seed=0,1", "epochs=9", OFF)
    command = api.load("latest")
    swept = api.sweep(OFF, optimizer=["sgd", "adam"], lr=[0.01, 0.1], seed=range(2), epochs=9)
    assert len(swept) == len(command) == 8
    for one, two in zip(swept, command, strict=True):
        assert one.name == two.name
        assert_same(one, two)
    cells = swept.cells
    assert list(cells.columns[:4]) == ["name", "optimizer", "lr", "seed"]
    assert cells.lr.tolist() == [0.01, 0.01, 0.1, 0.1] * 2
    assert cells.final_loss.idxmin() == [run.id for run in swept].index(swept.best.id)
    assert swept.best.final_loss == cells.final_loss.min()


def test_a_run_says_what_it_was():
    run = api.run(OFF, lr=0.1)
    assert (run.outcome, run.epochs, run.loop, run.reason) == ("converged", 19, "optimizer", "")
    table = run.trajectory
    assert list(table.columns) == ["time", "loss", "grad_norm", "w"]
    assert table.index.tolist() == list(range(20))
    assert np.isnan(table.loss[0])
    assert table.w[0] == 0
    assert table.loss[19] == run.final_loss == run.figures["final_loss"]
    assert run.parameters.shape == (20, 1)
    assert run.config["optimizer"]["_target_"] == "torch.optim.SGD"
    assert "converged after 19 epochs" in repr(run)


def test_of_many_parameters_each_tensor_has_a_norm():
    run = api.run(OFF, model=torch.nn.Sequential(torch.nn.Linear(1, 40), torch.nn.Linear(40, 1)))
    assert list(run.trajectory.columns[3:5]) == ["0.weight.norm", "0.bias.norm"]
    first = np.linalg.norm(run.parameters[5, :40].astype(np.float64))
    assert run.trajectory["0.weight.norm"][5] == pytest.approx(first)


def test_in_a_notebook_it_shows_itself():
    """A picture and figures; a sweep as its page, escaped into a frame."""
    shown = api.run(OFF, lr=0.1, **{"dataset.probe": None})._repr_html_()
    assert "data:image/png;base64," in shown
    assert "converged" in shown
    swept = api.sweep(OFF, lr=[0.1, 0.2], gradient="by_hand")
    assert swept._repr_html_().startswith('<iframe title="sweep of 2 cells over lr"')
    assert "&lt;table" in swept._repr_html_()
    assert "sweep of 2 cells over lr" in swept.report().read_text()
    assert swept.report("mine.html").read_text().startswith("<!DOCTYPE html>")
    assert "How did it end?" in swept[0].report().read_text()


def test_it_prints_nothing_unless_asked(capfd):
    api.run(OFF, lr=0.1)
    api.run(OFF, **{"model.initial.w": 3e38}, gradient="by_hand")  # too large for its prediction
    api.sweep(OFF, lr=[0.1, 0.2])
    assert capfd.readouterr() == ("", "")
    api.run(OFF, lr=0.1, verbose=True)
    api.sweep(OFF, lr=[0.1, 0.2], verbose=True)
    said = capfd.readouterr().out
    assert "outcome     converged" in said
    assert "2 cells: 1 stack (2)" in said


# --- Nothing is left behind ---


def state():
    """What a call might change for its caller."""
    return {
        "python": random.getstate(),
        "numpy": [
            part.tolist() if hasattr(part, "tolist") else part for part in np.random.get_state()
        ],
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "switches": (torch.is_grad_enabled(), torch.get_default_dtype(), np.geterr()),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "hydra": {
            kind: id(one) for kind, one in Singleton._instances.items() if "Store" not in str(kind)
        },
        "resolvers": OmegaConf.has_resolver("runner.env"),
        "folder": os.getcwd(),
        "arguments": list(sys.argv),
        "environment": dict(os.environ),
        "filters": list(warnings.filters),
    }


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


CALLS = [
    {"lr": 0.1},
    {"gradient": "by_hand", "optimizer": "adam"},
    {"optimizer": "by_hand", "dataset": "plane", "model": "linear"},
    {"model": torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))},
    {"dataset": ([0.0, 1.0], [1.0, 2.0]), "lr": 0.3},
    {"lr": 3.0, "epochs": 500},  # diverges
]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_fifty_calls_leave_nothing_behind(published, store, here):
    """One publisher at most, and what 50 runs have recorded is in MLflow."""
    api.run(lr=0.1, epochs=2)  # what is loaded once
    before, files, threads = state(), open_files(), threading.active_count()
    for number in range(48):
        api.run(**{"epochs": 5, **CALLS[number % len(CALLS)]})
    api.sweep(lr=[0.1, 0.2], epochs=5)
    assert state() == before
    assert threading.active_count() == threads
    assert open_files() <= files
    assert "see it" in api.finish()
    _, runs = store(here)
    assert len(runs) == 1 + 48 + 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.source.name"] for run in runs} == {"runner, from Python"}
    import mlflow

    assert mlflow.active_run() is None


def test_hydra_of_the_callers_own_goes_on(here):
    """A program that has composed with Hydra finds its own again, also after a refusal."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    (here / "conf").mkdir()
    (here / "conf" / "app.yaml").write_text("mine: 1\n")
    with initialize_config_dir(str(here / "conf"), version_base="1.2"):
        loader = GlobalHydra.instance().config_loader()
        api.run(OFF, lr=0.1)
        with pytest.raises(api.ConfigError):
            api.run(OFF, lr="abc")
        assert GlobalHydra.instance().config_loader() is loader
        assert compose("app").mine == 1
    assert not GlobalHydra.instance().is_initialized()


def test_in_threads_and_under_an_event_loop():
    """Calls of several threads wait for one another; each has its own numbers."""
    runs = {}

    def call(lr):
        runs[lr] = api.run(OFF, lr=lr, model="linear", seed=int(lr * 100))

    threads = [threading.Thread(target=call, args=[lr]) for lr in (0.01, 0.02, 0.05)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lr, run in runs.items():
        assert_same(run, api.run(OFF, lr=lr, model="linear", seed=int(lr * 100)))

    async def called():
        return api.run(OFF, lr=0.01, model="linear", seed=1)

    assert_same(asyncio.run(called()), runs[0.01])


def test_the_import_is_light():
    """Nothing that takes long, before it is needed."""
    heavy = "'torch', 'mlflow', 'hydra', 'numpy'"
    code = f"import sys, runner; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; runner.run('gradient=by_hand', '{OFF}'); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[1] == "['hydra', 'numpy']"


@pytest.mark.parametrize("signals", [["SIGINT"], ["SIGTERM"]], ids=str)
def test_an_interrupted_call_keeps_its_run(signals, here, environment):
    """The run is interrupted and whole, and the caller gets what it would have got."""
    script = """
        import runner, signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it came ignored
        try:
            long = "gradient=by_hand", "tolerance=0", "epochs=100000000", "print_every=1000"
            runner.run("tracking=off", *long, verbose=True)
        except KeyboardInterrupt:
            print("then", runner.load("latest").outcome, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not process.stdout.readline().startswith("epoch 5001:"):
        assert process.poll() is None
    for name in signals:
        process.send_signal(getattr(signal, name))
    said, _ = process.communicate(timeout=PATIENCE)
    assert said.endswith("then interrupted\n") == (signals == ["SIGINT"])
    assert process.returncode == (0 if signals == ["SIGINT"] else -signal.SIGTERM)
    run = api.load("latest")
    assert (run.outcome, run.reason) == ("interrupted", f"stopped by {signals[0]}")
    assert run.epochs == len(run.trajectory) - 1 > 5000


# --- Objects ---


def test_a_module_is_copied_and_recorded():
    """What is given is never trained, and starts every run from where it is."""
    model = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    start = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()
    swept = api.sweep(OFF, model=model, seed=[0, 1], epochs=10)
    for run in swept:
        np.testing.assert_array_equal(run.parameters[0], start)
        assert not np.array_equal(run.parameters[-1], start)
        assert run.params["model"] == "Sequential"
        assert run.params["model.kind"] == "torch.nn.modules.container.Sequential"
        assert "Linear(in_features=1, out_features=4" in run.params["model.repr"]
    after = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    np.testing.assert_array_equal(after, start)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_class_or_a_function_is_drawn_from_the_seed():
    """As a config that names it; one of a script or a notebook has no name to be found by."""

    class Mine(torch.nn.Linear):
        def __init__(self):
            super().__init__(1, 1)

    for model in (Mine, lambda: torch.nn.Linear(1, 1)):
        swept = api.sweep(OFF, model=model, seed=[0, 1, 0], epochs=3)
        starts = [run.parameters[0].tolist() for run in swept]
        torch.manual_seed(0)
        assert starts[0] == starts[2] == [p.item() for p in torch.nn.Linear(1, 1).parameters()]
        assert starts[1] != starts[0]
    named = api.run(OFF, model=Small)
    assert named.params["model._target_"] == "tests.support.parts.Small"


def test_parts_of_every_kind():
    """The same numbers as by the names in a config."""
    x, y = [[1.0], [2.0], [3.0], [4.0]], [2.0, 4.0, 6.0, 8.0]

    def mean_square(prediction, y):
        return ((prediction - y) ** 2).mean()

    by_name = api.run(OFF, "dataset.probe=null", lr=0.01, epochs=9)
    for given in (
        {"dataset": (x, y)},
        {"dataset": (np.array(x), np.array(y))},
        {"dataset": lambda: (x, y)},
        {"optimizer": torch.optim.SGD},
        {"optimizer": lambda params, lr: torch.optim.SGD(params, lr=lr)},
        {"loss": mean_square},
        {"loss": torch.nn.MSELoss()},
        {"loss": torch.nn.MSELoss},
    ):
        probe = {} if "dataset" in given else {"dataset.probe": None}
        run = api.run(OFF, lr=0.01, epochs=9, **given, **probe)
        assert_same(run, by_name)


def test_a_class_of_pytorchs_goes_by_its_public_name():
    """So it has its rule by hand, as by that name."""
    named = api.run(OFF, "gradient=by_hand", lr=0.01, epochs=9)
    run = api.run(
        OFF, "gradient=by_hand", optimizer=torch.optim.SGD, loss=torch.nn.MSELoss, lr=0.01, epochs=9
    )
    assert_same(run, named)
    keys = ("optimizer._target_", "loss._target_")
    assert [run.params[key] for key in keys] == ["torch.optim.SGD", "torch.nn.MSELoss"]


@pytest.mark.parametrize(
    ("optimizer", "is_used"),
    [
        (lambda params: torch.optim.SGD(params, lr=0.5), False),
        (functools.partial(torch.optim.SGD, lr=0.5), False),
        (lambda params, lr: torch.optim.SGD(params, lr=lr), True),
        (torch.optim.SGD, True),
    ],
    ids=["lambda", "partial", "lambda of lr", "class"],
)
def test_a_rate_beside_an_optimizer_that_has_its_own(optimizer, is_used):
    """Is used, or refused, alone and in a sweep; without it nothing is."""
    calls = [lambda: api.run(OFF, optimizer=optimizer, lr=0.1, epochs=2)]
    calls += [lambda: api.sweep(OFF, optimizer=optimizer, lr=[0.1, 0.2], epochs=2)]
    for call in calls:
        if is_used:
            assert call().outcome != "failed" if call is calls[0] else len(call()) == 2
        else:
            with pytest.raises(api.ConfigError, match="lr: no part refers to it"):
                call()
    api.run(OFF, optimizer=optimizer, epochs=2)


def test_a_rate_beside_a_schedule_that_has_its_own():
    own = lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.5, total_steps=9)  # noqa: E731
    with pytest.raises(api.ConfigError, match=r"lr: .* sets every rate itself"):
        api.run(OFF, "optimizer=momentum", schedule=own, lr=0.1, epochs=2)
    api.run(OFF, "optimizer=momentum", schedule=own, epochs=2)


def test_an_objective_whose_least_value_nobody_knows():
    """A tolerance that was typed would never be met."""
    with pytest.raises(api.ConfigError, match="tolerance: the least value of this objective"):
        api.run(OFF, "objective.start=[1.0]", objective=bowl, tolerance=0.1)
    api.run(OFF, "objective.start=[1.0]", objective=bowl, epochs=2)


def bowl(w):
    return (w**2).sum()


@pytest.mark.slow
def test_what_mlflow_was_told_in_this_process_is_heeded(here, empty_store):
    """Its store and its experiment, also where the environment says something else."""
    script = """
import mlflow, os, runner, sys
mlflow.set_tracking_uri(sys.argv[1])
os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///elsewhere.db"
mlflow.set_experiment("mine")
run = runner.run("gradient=by_hand", epochs=2)
runner.finish()
assert os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///elsewhere.db"
[found] = mlflow.search_runs(output_format="list")
assert found.info.run_name == run.name, found
"""
    uri = empty_store(here / "theirs")
    done = subprocess.run([sys.executable, "-c", script, uri], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (here / "elsewhere.db").exists()


@pytest.mark.parametrize("uri", [5, b"sqlite:///x.db", "", "nowhere", "ftp://x"])
def test_no_address_of_a_store_finds_nothing(uri):
    with pytest.raises(api.NotFound, match="uri: "):
        api.load("latest", uri)


def test_several_objects_are_swept():
    x = np.linspace(-1, 1, 20)
    swept = api.sweep(
        OFF,
        dataset=[(x, 2 * x), (x, 3 * x)],
        optimizer=[torch.optim.SGD, torch.optim.Adam],
        lr=[0.1, 0.2],
        epochs=3,
    )
    assert len(swept) == 8
    assert len(set(swept.cells.name)) == 8
    assert {run.tags["dataset.digest"] for run in swept[:4]} != {swept[4].tags["dataset.digest"]}


def test_a_part_that_breaks_fails_its_run():
    class Broken(torch.nn.Linear):
        calls = 0

        def __init__(self):
            super().__init__(1, 1)

        def forward(self, x):
            self.calls += 1
            if self.calls > 4:
                raise ArithmeticError("on purpose")
            return super().forward(x)

    with pytest.raises(ArithmeticError, match="on purpose"):
        api.run(OFF, model=Broken)
    assert api.load("latest").outcome == "failed"
    with pytest.warns(UserWarning, match=r"1 of 2 cells failed; the first: Broken: Arithmetic"):
        swept = api.sweep(OFF, model=[Broken, torch.nn.Linear(1, 1)])
    assert [run.outcome for run in swept] == ["failed", "exhausted"]
    assert "ArithmeticError: on purpose" in swept.cells.reason[0]


def test_a_function_of_a_module_is_a_loss():
    """Also where it could be imported: it is the loss, and makes none."""
    for loss in (torch.nn.functional.mse_loss, mean_square):
        run = api.run(OFF, loss=loss, lr=0.1)
        assert_same(run, api.run(OFF, lr=0.1))
        assert run.params["loss._target_"].endswith(("mse_loss", "mean_square"))


def mean_square(prediction, y):
    return ((prediction - y) ** 2).mean()


def test_a_function_that_returns_the_same_module_does_not_train_it():
    model = torch.nn.Linear(1, 1)
    before = [parameter.clone() for parameter in model.parameters()]
    first, *others = api.sweep(OFF, model=lambda: model, seed=range(3), epochs=5)
    for run in others:
        assert_same(run, first)
    assert all(map(torch.equal, before, model.parameters()))


def test_what_cannot_be_copied_is_told():
    model = torch.nn.Linear(1, 1)
    model.lock = threading.Lock()
    with pytest.raises(api.ConfigError, match=r"cannot be copied .*: give a class, or a function"):
        api.run(OFF, model=model)


def test_a_cell_that_never_began_has_its_row(here):
    """In the sweep, when it is loaded, on the screen; the order is the sweep's."""
    calls = []

    def model():
        calls.append(1)
        if len(calls) == 2:
            raise OSError("a flaky file")
        return torch.nn.Linear(1, 1)

    with pytest.warns(UserWarning, match="1 of 3 cells failed; the first: lr=0.1"):
        swept = api.sweep(OFF, "sweep.stack=false", model=model, lr=[0.1, 0.2, 0.3], epochs=3)
    for sweep in (swept, api.load("latest")):
        assert sweep.cells.outcome.tolist() == ["failed", "exhausted", "exhausted"]
        assert sweep.cells.lr.tolist() == [0.1, 0.2, 0.3]
        assert "a flaky file" in sweep[0].reason
        assert (sweep[0].id, len(sweep[0].trajectory), sweep[0].epochs) == ("", 0, 0)
        assert sweep.report().exists()


MODES = [
    torch.no_grad,
    torch.inference_mode,
    lambda: torch.autocast("cpu", torch.bfloat16),
    lambda: torch.device("meta"),
]


@pytest.mark.parametrize("mode", MODES, ids=["no_grad", "inference_mode", "autocast", "meta"])
def test_the_callers_modes_do_not_matter(mode):
    """What is recorded is what is recorded outside of them."""
    expected = api.run(OFF, model=lambda: torch.nn.Linear(1, 1), lr=0.02, epochs=5)
    with mode():
        run = api.run(OFF, model=lambda: torch.nn.Linear(1, 1), lr=0.02, epochs=5)
    assert_same(run, expected)


def test_nor_does_the_callers_dtype():
    expected = api.run(OFF, model=lambda: torch.nn.Linear(1, 1), lr=0.02, epochs=5)
    torch.set_default_dtype(torch.float64)
    try:
        run = api.run(OFF, model=lambda: torch.nn.Linear(1, 1), lr=0.02, epochs=5)
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(run, expected)


def test_what_is_called_alike_is_told_apart():
    """In names and in the table; numbers of Python's as a person writes them."""
    sgd = partial(torch.optim.SGD, momentum=0.0), partial(torch.optim.SGD, momentum=0.5)
    swept = api.sweep(OFF, optimizer=list(sgd), lr=np.array([0.01, 0.02]), epochs=2)
    assert swept.cells.name.tolist() == [
        f"SGD(momentum={momentum}) lr={lr}" for momentum in (0.0, 0.5) for lr in (0.01, 0.02)
    ]
    models = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    swept = api.sweep(OFF, model=list(models), epochs=2)
    assert swept.cells.name.tolist() == ["Linear-1", "Linear-2"]
    assert swept.cells.model.tolist() == ["Linear-1", "Linear-2"]
    swept = api.sweep(OFF, gradient="by_hand", lr=[10.0, 1e2, np.float32(0.1)], epochs=2)
    assert swept.cells.name.tolist() == ["lr=10", "lr=100", "lr=0.1"]
    assert api.run(OFF, gradient="by_hand", lr=np.float32(0.1)).name == "lr=0.1 gradient=by_hand"
    logspaced = torch.logspace(-2, -1, 3)
    assert api.sweep(OFF, gradient="by_hand", lr=logspaced).cells.lr.tolist() == logspaced.tolist()


# --- Signals ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_handler_of_the_callers_gets_the_signal_once(number):
    """When the run is recorded; if it returns, so does the call, with the interrupted run."""
    heard = []
    before = signal.signal(number, lambda *_: heard.append(api.load("latest").outcome))

    def loss(prediction, y):
        if torch.is_grad_enabled() and not heard and prediction.grad_fn is not None:
            steps.append(1)
            if len(steps) == 50:
                signal.raise_signal(number)
        return ((prediction - y) ** 2).mean()

    steps = []
    try:
        run = api.run(OFF, loss=loss, tolerance=0, epochs=1000)
    finally:
        signal.signal(number, before)
    assert heard == ["interrupted"]
    assert (run.outcome, run.epochs < 60) == ("interrupted", True)


def test_a_ctrl_c_while_hydra_cleans_up_is_a_ctrl_c(monkeypatch):
    """Hydra raises something else from there, which would be taken for a bad config."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    def interrupted(*_, **__):
        try:
            raise KeyboardInterrupt
        finally:
            raise UnboundLocalError("old")

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", interrupted)
    with pytest.raises(KeyboardInterrupt):
        api.run(OFF, lr=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_is_forked_in_the_middle_of_a_call(here, environment):
    script = here / "script.py"
    script.write_text(
        "import os, threading, time, runner\n"
        f"runner.run('{OFF}', 'gradient=by_hand')\n"
        f"call = lambda: runner.run('{OFF}', 'gradient=by_hand', tolerance=0, epochs=10**5)\n"
        "thread = threading.Thread(target=call)\n"
        "thread.start()\n"
        "time.sleep(0.5)\n"
        "child = os.fork()\n"
        "if not child:\n"
        f"    print(runner.run('{OFF}', 'gradient=by_hand', lr=0.1).outcome, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "thread.join()\n"
    )
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(
        command, cwd=here, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout == "converged\n", done.stderr


# --- Refused ---

REFUSED = [
    ({"lr": object()}, "lr: expected a number, a text"),
    ({"optimizer": torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)}, "a class or func"),
    (
        {"model": 3},
        "model: expected the name of an option (linear, logistic, mlp",
    ),
    ({"model": torch.nn.Linear(3, 1)}, "torch.nn.modules.linear.Linear does not fit the dataset"),
    ({"dataset": ([1, 2], [1, "a"])}, "dataset.y: expected numbers"),
    ({"dataset": (1,)}, "dataset: expected (x, y), two arrays or a DataFrame"),
    (
        {"dataset": np.ones((2, 3))},
        "dataset: expected (x, y), two arrays or a DataFrame and a column, or a fu",
    ),
    ({"loss": 0.5}, "loss: expected the name of an option"),
    ({"model": torch.nn.Linear(1, 1), "model.bias": True}, "model is an object in this call"),
    ({"hydra.job.name": "x"}, "Hydra's own settings are for the command line"),
    ({"grid": "loops"}, "a grid is a sweep"),
    ({"sweep.dry_run": True}, "sweep.dry_run: prints a plan"),
    ({"sweep.workers": 2}, "sweep.workers: is for a sweep"),
    ({"config_dir": "nowhere"}, "there is no such folder"),
    ({"epochs": -1}, "epochs: expected a whole number of 1 or more"),
]


@pytest.mark.parametrize(("keywords", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_cannot_run_is_refused(keywords, why, here):
    """One message, and nothing recorded."""
    with pytest.raises(api.ConfigError) as refused:
        api.run(OFF, **keywords)
    assert why in str(refused.value)
    assert not (here / "mlruns").exists()


def test_a_sweep_is_refused_as_a_run_is(here):
    x = np.array([1.0, 2.0])
    for keywords, why in (
        (
            {"dataset": [x, x]},
            "dataset: expected (x, y), two arrays or a DataFrame and a column, or a fu",
        ),
        ({"lr": []}, "lr: expected one value or more to sweep"),
        ({"dataset": ["line", (x, x)]}, "expected options or objects to sweep, got both"),
        ({"model": torch.nn.Linear(1, 1), "sweep.workers": 2}, "sweep.workers: expected 1"),
        ({"hydra/launcher": "basic"}, "Hydra's own settings"),
        ({"lr": [0.1, -1]}, "lr=-1\n  lr: expected a finite number above 0"),
    ):
        with pytest.raises(api.ConfigError) as refused:
            api.sweep(OFF, **keywords)
        assert why in str(refused.value)
    assert not (here / "mlruns").exists()


@pytest.mark.parametrize("typed", ["lr=abc", "optimizer=sdg", "lr=0.1,0.2", "nowhere=1", "~epochs"])
def test_the_message_is_the_commands(typed, front_door):
    """Word for word."""
    status, said, _ = front_door(typed, OFF)
    assert status == 1
    with pytest.raises(api.ConfigError) as refused:
        api.run(typed, OFF)
    assert str(refused.value) == said


def test_what_is_not_there():
    with pytest.raises(api.NotFound, match="nothing: no run is recorded here yet"):
        api.load("nothing")
    with pytest.raises(api.NotFound, match="3: expected an id"):
        api.load(3)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = api.nothing
    with pytest.raises(LookupError, match="no cell"):
        _ = api.sweep(OFF, "lr=1e30,2e30", "epochs=99").best


VALUES = [
    (None, "null"),
    (True, "true"),
    (1e-5, "1e-05"),
    (float("inf"), "inf"),
    (np.float32(0.5), "0.5"),
    (np.array([1, 2]), "[1, 2]"),
    ((1, 2.5), "[1, 2.5]"),
    ({"w": 1}, "{w: 1}"),
    ("sgd", "sgd"),
    ("a b", "'a b'"),
    ("it's", r"'it\'s'"),
    ("null", "'null'"),
    ("", "''"),
    ("0.1", "'0.1'"),
    ("a\\", r"'a\\'"),
    (Path("a/b.csv"), "a/b.csv"),
    ("${lr}", "'${lr}'"),
]


@pytest.mark.parametrize(("value", "text"), VALUES, ids=lambda value: str(value)[:20])
def test_values_are_said_in_hydras_grammar(value, text):
    """And come out of it as they were."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    [said] = words([], {"key": value}, swept=False).overrides
    assert said == f"key={text}"
    [parsed] = OverridesParser.create().parse_overrides([said])
    found = parsed.value()
    expected = value.tolist() if hasattr(value, "tolist") else value
    expected = list(expected) if isinstance(expected, tuple) else expected
    assert found == (str(expected) if isinstance(expected, Path) else expected)


# --- Kept and found ---


def test_what_is_resumed_is_found(here):
    """A sweep of which all has been done has the runs of the earlier one."""
    first = api.sweep(OFF, lr=[0.1, 0.2])
    again = api.sweep(OFF, "sweep.resume=true", lr=[0.1, 0.2, 0.3])
    assert [run.id for run in again[:2]] == [run.id for run in first]
    all_done = api.sweep(OFF, "sweep.resume=true", lr=[0.1, 0.2])
    assert [run.id for run in all_done] == [run.id for run in first]
    assert all_done.id == ""
    assert "done before" in repr(all_done)
    assert all_done.cells.lr.tolist() == [0.1, 0.2]


@pytest.mark.slow
def test_a_journal_that_is_not_kept(published, here):
    """What is returned has been read by then; MLflow has it later."""
    run = api.run("tracking.keep_journal=false", lr=0.1)
    api.finish()
    assert list((here / "mlruns" / "journal").rglob("*.db")) == []
    assert len(run.trajectory) == 20
    assert api.load(run.id).final_loss == run.final_loss
    swept = api.sweep("tracking.keep_journal=false", lr=[0.1, 0.2])
    api.finish()
    assert "sweep of 2 cells" in swept.report().read_text()


def test_what_the_store_refuses_is_kept_and_told(published, here):
    """Once, and what comes after it is published."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{here}/mlruns/mlflow.db")
    client.delete_experiment(client.create_experiment("gone"))
    api.run("tracking.experiment=gone", lr=0.1)
    run = api.run(lr=0.1)
    said = api.finish()
    assert "the experiment 'gone' is deleted" in said
    assert client.get_run(run.id).info.status == "FINISHED"
    assert len(list((here / "mlruns" / "journal").glob("*.db"))) == 1


def test_the_folder_is_the_callers_of_the_moment(here, monkeypatch):
    for name in ("one", "two"):
        (here / name).mkdir()
        monkeypatch.chdir(here / name)
        api.run(OFF, lr=0.1)
        assert len(Journals().parentless()) == 1
        assert len(list((here / name / "mlruns" / "journal").glob("*.db"))) == 1


@pytest.mark.slow
def test_pools_from_a_script_without_a_guard(here, environment):
    """Its processes do not import the script that calls."""
    script = here / "script.py"
    script.write_text(
        "import runner\nprint('once')\n"
        f"s = runner.sweep('{OFF}', 'sweep.workers=2', 'sweep.stack=false', lr=[0.1, 0.2, 0.3])\n"
        "print([run.outcome for run in s])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=here, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "once\n['converged', 'diverged', 'diverged']\n", done.stderr


# --- Data of one's own ---


def test_a_data_frame_and_a_column(here):
    """With a category, a text to predict and a missing number; and data of its own to try it on."""
    from pandas import DataFrame

    rng = np.random.default_rng(0)
    frame = DataFrame({"size": rng.normal(size=60), "kind": ["a", "b", "c"] * 20})
    frame["kind"] = frame.kind.astype("category")
    frame["good"] = np.where(frame["size"] + (frame.kind == "a") > 0.3, "yes", "no")
    frame.loc[7, "size"] = np.nan
    x, y = frame[["size", "kind"]], frame.good
    run = api.run(
        "dataset.missing=mean",
        "dataset.standardize=true",
        "tracking=off",
        dataset=(x[:40], y[:40]),
        validation_data=(x[40:], y[40:]),
        model="logistic",
        lr=1.0,
        epochs=200,
    )
    last = run.trajectory.iloc[-1]
    assert last.accuracy > 0.8
    assert last.val_accuracy > 0.8
    assert [*run.trajectory.columns[-5:-1]] == ["w.0", "w.1", "w.2", "w.3"]


def test_what_goes_with_an_object_of_samples(here):
    """Its own keys, whether or not the option in whose place it stands has them."""
    x, y = np.arange(6.0), np.array([1, 2, 1, 2, 1, 2])
    words = ["dataset.classes=true", "+dataset.missing=drop", "tracking=off"]
    run = api.run(*words, dataset=(x, y), model="logistic", epochs=2)
    assert {"accuracy"} <= {*run.trajectory.columns}
    with pytest.raises(api.ConfigError, match="dataset is an object"):
        api.run("dataset.path=a", dataset=(x, y))


def test_validation_data_are_swept(here):
    x = np.arange(8.0)
    others = [(x[:4], x[:4]), (x[4:], x[4:])]
    sweep = api.sweep("tracking=off", dataset=(x, x), validation_data=others, epochs=2)
    first, second = (run.trajectory.val_loss.iloc[-1] for run in sweep)
    assert first != second


def focal(scores, y):
    """A loss of somebody's own, of scores and classes."""
    each = torch.nn.functional.cross_entropy(scores, y, reduction="none")
    return ((1 - torch.exp(-each)) ** 2 * each).mean()


class Reweighted(torch.nn.CrossEntropyLoss):
    """One of PyTorch's, as somebody has derived from it."""


CLASSES = np.array([0, 1, 2] * 20)
POINTS = np.random.default_rng(0).normal(size=(60, 2)) + 3 * np.eye(3, 2)[CLASSES]


@pytest.mark.parametrize(
    "loss", [focal, Reweighted(), Reweighted], ids=["function", "own", "class"]
)
@pytest.mark.parametrize(
    "labels", [CLASSES, np.array(["a", "b", "c"])[CLASSES]], ids=["int", "text"]
)
def test_a_loss_of_ones_own_takes_classes(loss, labels, here):
    """Where the dataset says that they are some; without that, the message says how."""
    given = {"dataset": (POINTS, labels), "model": "mlp", "loss": loss, "epochs": 30, "lr": 0.1}
    run = api.run("dataset.classes=true", "tracking=off", batch_size=20, **given)
    assert run.figures["final_accuracy"] > 0.8
    if labels is CLASSES:
        with pytest.raises(api.ConfigError, match=r"dataset\.classes=true"):
            api.run("tracking=off", **given)


def test_rows_of_a_frame_and_a_column_belong_together(here):
    from pandas import DataFrame

    frame = DataFrame({"a": np.arange(6.0), "b": [True, False, None] * 2, "y": np.arange(6.0)})
    frame["kind"] = frame.a.astype(int).astype("category")
    shuffled = frame.y.sample(frac=1, random_state=0)
    with pytest.raises(api.ConfigError, match="x and y: the indexes of their rows differ"):
        api.run("tracking=off", dataset=(frame[["a"]], shuffled), model="linear", epochs=2)
    words = ["dataset.missing=drop", "tracking=off"]
    run = api.run(*words, dataset=(frame[["b", "kind"]], frame.y), model="linear", epochs=2)
    assert run.parameters.shape[1] == 1 + 6 + 1


def test_a_batch_that_a_module_does_not_train_on_is_refused(here):
    """Batch norm wants two samples, and the last batch has one: known before the first step."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    given = {"dataset": (POINTS[:21], CLASSES[:21]), "loss": "cross_entropy", "model": net}
    with pytest.raises(api.ConfigError, match=r"a batch of 1 sample, .* \(drop_last=true"):
        api.run("tracking=off", batch_size=10, epochs=2, **given)
    assert api.run("drop_last=true", "tracking=off", batch_size=10, epochs=2, **given).epochs == 2


def test_validation_stands_beside_the_cells(here):
    sweep = api.sweep(
        "tracking=off", dataset="iris", model="softmax", validation=[0.2, None], epochs=3, lr=0.1
    )
    first, second = sweep.cells.itertuples()
    assert first.final_val_loss == sweep[0].trajectory.val_loss.iloc[-1]
    assert first.final_val_accuracy == sweep[0].trajectory.val_accuracy.iloc[-1]
    assert first.final_accuracy == sweep[0].trajectory.accuracy.iloc[-1]
    assert np.isnan(second.final_val_loss)
    assert second.final_accuracy == sweep[1].trajectory.accuracy.iloc[-1]


def test_names_in_any_script_are_words(here):
    assert words([], {"dataset.target": "größe"}, swept=False).overrides == [
        "dataset.target='größe'"
    ]
