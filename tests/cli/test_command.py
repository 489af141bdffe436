"""One run through the command: what it records, how it ends, what it refuses."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.support.waiting import PATIENCE, wait_for

REFUSED = {
    # what is typed: words of the one message
    "optimizer=adm": ("Could not find 'optimizer/adm'", "adam", "sgd"),
    "learning_rate=1": ("learning_rate", "not in 'Config'"),
    "optimizer.momentun=1": ("optimizer.momentun", "not in struct"),
    "+optimizer.momentun=1": ("optimizer.momentun", "torch.optim.SGD", "momentum"),
    "+foo=1 +device.foo=1 +tracking.foo=1 +sweep.foo=1 +report.foo=1": (
        "\nfoo: there is no such value, only dataset, model,",
        "device.foo: there is no such value, only name",
        "tracking.foo",
        "sweep.foo",
        "report.foo",
    ),
    "lr=fast": ("lr", "'fast'", "Float"),
    "lr=-1": ("lr", "above 0", "-1"),
    "lr=nan": ("lr", "finite", "nan"),
    "lr=1e300": ("lr", "finite", "3.4e+38 in float32", "1e+300"),
    "lr=1e300 gradient=by_hand": ("lr", "finite", "3.4e+38 in float32", "1e+300"),
    "optimizer.lr=nan": ("optimizer.lr", "finite", "nan"),
    "optimizer.momentum=inf gradient=by_hand": ("optimizer.momentum", "finite", "inf"),
    "optimizer=adam optimizer.betas=[0.9,nan]": ("optimizer.betas", "finite", "[0.9, nan]"),
    "epochs=0": ("epochs", "1 or more", "0"),
    "epochs=1.5": ("epochs", "1.5", "Integer"),
    "epochs=99999999999999999999999 seed=99999999999999999999999": (
        "epochs: expected a whole number of 1 or more, up to",
        "seed: expected a whole number of 0 or more, up to",
    ),
    "tolerance=inf": ("tolerance", "finite", "inf"),
    "dtype=float16": ("dtype", "float16", "float32, float64"),
    "tolerance=-1 print_every=-1": ("tolerance: expected", "print_every: expected"),
    "device=cuda": ("device.name", "no 'cuda' here", "there is cpu"),
    "device.name=": ("device.name", "no '' here", "there is cpu"),
    "device=cuda gradient=by_hand": ("NumPy computes on the CPU", "device=cpu"),
    "optimizer.momentum=fast": ("optimizer.momentum", "a number", "'fast'"),
    "optimizer.momentum=null": ("optimizer.momentum", "a number", "None"),
    "optimizer.momentum=-1": ("optimizer", "momentum", "-1"),
    "optimizer.momentum=-1 gradient=by_hand": ("optimizer", "momentum", "-1"),
    "optimizer.nesterov=maybe": ("optimizer.nesterov", "true or false", "'maybe'"),
    "optimizer=adam optimizer.betas=[0.9]": ("optimizer.betas", "2 numbers", "[0.9]"),
    "optimizer._target_=torch.optim.SDG": ("optimizer._target_", "SDG"),
    "optimizer.lr=${nowhere}": ("optimizer.lr", "nowhere"),
    "dataset=diabetes": ("model", "10 features", "model=linear"),
    "dataset.x=[1,2]": ("dataset", "(2, 1) and (4,)"),
    'dataset.x=["1",2,3,4]': ("dataset.x", "expected numbers", "'1'"),
    "dataset.x=[[1],[2],[3],[4,5]]": ("dataset.x", "lists of equal length"),
    "dataset.y=[true,2,3,4]": ("dataset.y", "expected numbers", "True"),
    "~dataset.x": ("dataset.x", "needs a value"),
    "dataset.standardize=maybe": ("dataset.standardize", "true or false", "'maybe'"),
    "dataset.standardize=true dataset.x=[1e308,-1e308,1,2]": ("dataset.x", "too large"),
    "dataset=noisy_line dataset.intercept=1.7e308 dataset.noise=1e308": ("dataset.y", "infinity"),
    "dataset.standardize=null": ("dataset.standardize", "true or false", "None"),
    "dataset=diabetes model=linear dataset.return_X_y=false": ("dataset", "(x, y)", "Bunch"),
    "dataset.y=[1,2,nan,4]": ("dataset", "y", "NaN"),
    "dataset=noisy_line dataset.samples=many": ("dataset.samples", "a whole number", "'many'"),
    "dataset=noisy_line dataset.samples=0": ("dataset", "samples", "1 or more"),
    "dataset=noisy_line dataset.samples=1e3": ("dataset.samples", "a whole number", "1000.0"),
    "dataset=noisy_line dataset.samples=inf": ("dataset.samples", "a whole number", "inf"),
    "dataset=noisy_line dataset.coefficients=[a]": ("coefficients", "numbers", "'a'"),
    "dataset=noisy_line dataset.seed=-1": ("dataset", "seed: expected 0", "-1"),
    "dataset.probe=[1,2]": ("dataset", "probe", "[1, 2]"),
    "dataset.probe=true": ("dataset.probe", "expected numbers", "True"),
    'dataset.probe="5"': ("dataset.probe", "expected numbers", "'5'"),
    'dataset.probe=["5"]': ("dataset.probe", "expected numbers", "'5'"),
    "dataset=plane model=linear dataset.probe=[[0.5,0.5]]": ("dataset.probe", "2 number(s)"),
    "model=linear model.out_features=2": ("model.out_features: the dataset wants 1, got 2",),
    "model=linear model.in_features=3": ("model.in_features: the dataset has 1, got 3",),
    "model=linear model.initial.weight=[1,2]": ("model", "initial.weight", "[1, 2]"),
    "model.initial.w=one": ("model", "initial.w", "one"),
    "model.initial.w=1e39": ("model.initial.w", "a finite number of float32", "1e+39"),
    "~model.initial +model.initial=[1]": ("model", "initial", "by name (w)", "[1]"),
    "model._target_=torch.nn.Linear ~model.initial": ("model.in_features", "needs a value"),
    "model._target_=torch.nn.Identity ~model.initial": ("model", "no parameters"),
    "+loss.reduction=none": ("loss", "one number", "(4,)"),
    "loss=huber loss.delta=0": ("loss", "delta"),
    "loss.gradient_reduction=sum": ("gradient_reduction", "gradient=by_hand"),
    "gradient=by_hand loss._target_=torch.nn.SmoothL1Loss": ("SmoothL1Loss", "gradient=autograd"),
    "gradient=by_hand optimizer._target_=torch.optim.RAdam": ("RAdam", "gradient=autograd"),
    "gradient=by_hand model._target_=torch.nn.Bilinear": ("Bilinear", "model=scalar"),
    "gradient=by_hand +optimizer.fused=true": ("optimizer.fused", "momentum"),
    "optimizer=by_hand model._target_=torch.nn.Bilinear": ("Bilinear", "optimizer=sgd"),
    "tracking=server": ("tracking.uri", "no value"),
    "tracking=server tracking.uri=null gradient=by_hand": ("tracking.uri", "tracking=off"),
    "tracking=server tracking.uri= gradient=by_hand": ("tracking.uri", "tracking=off", "nothing"),
    "tracking.uri=foo://me:hush@there tracking.experiment=": (
        "tracking.uri: nothing can be published into a store of the kind foo://",
        "tracking.experiment: expected a name of 1 to 500 characters, got 0",
    ),
    "tracking.uri=http://": ("tracking.uri", "needs a host"),
    f"tracking.experiment={'x' * 501}": ("tracking.experiment", "500 characters", "got 501"),
}


@pytest.mark.parametrize("typed", REFUSED)
def test_wrong_input_is_one_message_and_no_run(typed, tmp_path, front_door, capfd):
    """What was wrong, where and what would do; a status that says so; nothing in MLflow."""
    # Without a store no publisher is started for nothing.
    place = [] if "tracking" in typed else ["tracking=off"]
    status, said, _ = front_door(*typed.split(), *place, folder=tmp_path)
    printed = capfd.readouterr()
    assert status == 1
    assert_one_message(typed, printed.err + said, printed.out, tmp_path)


@pytest.mark.parametrize("typed", ["optimizer=adm", "lr=-1", "dataset.x=[1,2]", "tracking=server"])
def test_wrong_input_of_the_command_itself(typed, tmp_path, runner):
    """The same, in a process of its own."""
    done = runner(tmp_path, typed, status=1)
    assert_one_message(typed, done.stderr, done.stdout, tmp_path)


def assert_one_message(typed, told, printed, folder):
    """What a person sees of wrong input, and what is left of it."""
    for words in REFUSED[typed]:
        assert words in told
    assert "Traceback" not in told
    assert "Warning" not in told
    assert "hush" not in told.partition("\n")[2]
    assert printed == ""
    assert not (folder / "mlruns").exists()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("initial", ["3", "[1]", "{nobody:1}", "{weight:1e39}"])
def test_starting_values_that_a_module_cannot_take(initial, tmp_path, runner):
    """Somebody's own module names its parameters itself."""
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "class Own(torch.nn.Linear):\n"
        "    def __init__(self):\n"
        "        super().__init__(1, 1)\n"
    )
    typed = ("model._target_=own.Own", "~model.initial", f"+model.initial={initial}")
    done = runner(tmp_path, *typed, status=1)
    assert "\nmodel.initial" in done.stderr
    assert "weight" in done.stderr.partition("\n")[2]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlruns").exists()


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory, runner, store):
    """A run with ten features and a bias; its folder, client and run."""
    folder = tmp_path_factory.mktemp("diabetes")
    runner(folder, "dataset=diabetes", "model=linear", "optimizer=adam", "lr=0.5", "epochs=20")
    client, [run] = store(folder)
    return folder, client, run


def test_params_are_the_leaves_of_the_config(diabetes):
    """Each leaf under its dotted name, each group's option under the group's."""
    _, _, run = diabetes
    params = run.data.params
    expected = {
        "dataset": "diabetes",
        "dataset._target_": "sklearn.datasets.load_diabetes",
        "dataset.standardize": "True",
        "model": "linear",
        "model.initial.weight": "None",
        "optimizer": "adam",
        "optimizer.lr": "0.5",
        "optimizer.betas": "[0.9, 0.999]",
        "loss": "mse",
        "device": "cpu",
        "gradient": "autograd",
        "lr": "0.5",
        "epochs": "20",
        "dtype": "float32",
        "seed": "0",
    }
    assert expected.items() <= params.items()
    assert not [key for key in params if key.startswith(("tracking", "hydra", "print_every"))]


def test_metrics_have_one_name_for_each_parameter(diabetes):
    """Several weights are numbered; final figures stand beside the trajectory."""
    _, client, run = diabetes
    weights = {f"w.{i}" for i in range(10)}
    final = {"final_loss", "best_loss", "epochs_run", "seconds"}
    assert run.data.metrics.keys() == {"loss", "grad_norm", "b"} | weights | final
    losses = [m.value for m in client.get_metric_history(run.info.run_id, "loss")]
    assert run.data.metrics["final_loss"] == losses[-1]
    assert run.data.metrics["best_loss"] == min(losses)


def test_tags_tell_loop_outcome_and_versions(diabetes):
    """Tags, name and status of a run that used all its epochs."""
    _, _, run = diabetes
    tags = run.data.tags
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "adam diabetes linear lr=0.5 epochs=20"
    assert (tags["loop"], tags["outcome"]) == ("module", "exhausted")
    assert tags["overrides"] == "dataset=diabetes model=linear optimizer=adam lr=0.5 epochs=20"
    assert tags["version.torch"].startswith("2.")


def test_artifacts_hold_config_and_trajectory(diabetes, tmp_path):
    """The Parquet file has every point that MLflow has, in the run's dtype."""
    _, client, run = diabetes
    folder = client.download_artifacts(run.info.run_id, "", str(tmp_path))
    config = yaml.safe_load(Path(folder, "config.yaml").read_text())
    assert config["optimizer"]["lr"] == 0.5
    assert "tracking" not in config
    trajectory = pq.read_table(f"{folder}/trajectory.parquet")
    assert trajectory["step"].to_pylist() == list(range(21))
    assert trajectory["loss"].to_pylist()[0] is None
    assert str(trajectory.schema.field("w.3").type) == "float"
    for name in ("w.3", "b", "loss", "grad_norm"):
        points = client.get_metric_history(run.info.run_id, name)
        column = dict(enumerate(trajectory[name].to_pylist()))
        assert {m.step: m.value for m in points}.items() <= column.items()


def test_many_parameters_have_a_norm_each_and_a_file(tmp_path, runner, store):
    """Past 64 scalars: a metric for each tensor's norm, the values in the Parquet file."""
    conf = tmp_path / "conf" / "model"
    conf.mkdir(parents=True)
    (conf / "wide.yaml").write_text(
        "_target_: torch.nn.Sequential\n"
        "_args_:\n"
        "  - {_target_: torch.nn.Linear, in_features: 1, out_features: 40}\n"
        "  - {_target_: torch.nn.Tanh}\n"
        "  - {_target_: torch.nn.Linear, in_features: 40, out_features: 1}\n"
    )
    runner(tmp_path, "--config-dir=conf", "model=wide", "epochs=3")
    client, [run] = store(tmp_path)
    norms = {f"{layer}.{name}.norm" for layer in (0, 2) for name in ("weight", "bias")}
    assert norms < run.data.metrics.keys()
    assert "0.weight" not in run.data.metrics
    path = client.download_artifacts(run.info.run_id, "trajectory.parquet", str(tmp_path))
    rows = pq.read_table(path)["0.weight"].to_pylist()
    history = client.get_metric_history(run.info.run_id, "0.weight.norm")
    assert len(rows) == len(history) == 4
    assert sum(v * v for v in rows[3]) ** 0.5 == pytest.approx(history[3].value)


def test_divergence_is_an_outcome(tmp_path, runner, store):
    """Exit status 0, the finite part of the trajectory, and the epoch at which it left."""
    printed = runner(tmp_path, "lr=1").stdout
    client, [run] = store(tmp_path)
    left = int(run.data.tags["diverged_at"])
    assert f"(at epoch {left})" in printed
    assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "diverged")
    points = client.get_metric_history(run.info.run_id, "w")
    # By hand: w - 2 grows by 1 - 2 * 7.5 lr = -14 an epoch, and the squared residuals, 30 (w - 2)^2
    # in all, are summed in float32 before their mean is taken.
    assert [m.value for m in points][:3] == [0, 30, 2 - 14 * 28]
    largest = 3.4028235e38  # float32
    assert [m.step for m in points] == list(range(left))
    assert 30 * (2 * 14.0 ** (left - 2)) ** 2 < largest < 30 * (2 * 14.0 ** (left - 1)) ** 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_all_that_was_recorded(number, tmp_path, environment, store):
    """Ctrl-C or a polite kill: KILLED, interrupted, by which, and every step up to there."""
    command = ["gradient=by_hand", "epochs=1000000000", "tolerance=0", "print_every=1000"]
    with subprocess.Popen(
        [sys.executable, "-m", "runner", *command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        next(line for line in process.stdout if line.startswith("epoch 1001:"))
        process.send_signal(number)
        printed = process.stdout.read()
    assert process.returncode == 128 + number
    client, [run] = store(tmp_path)
    assert (run.info.status, run.data.tags["outcome"]) == ("KILLED", "interrupted")
    assert run.data.tags["reason"] == f"stopped by {number.name}"
    epochs = int(re.search(r"^epochs +(\d+)$", printed, re.M)[1])
    assert epochs > 1000
    assert run.data.metrics["epochs_run"] == epochs
    path = client.download_artifacts(run.info.run_id, "trajectory.parquet", str(tmp_path))
    assert pq.read_table(path)["step"].to_pylist() == list(range(epochs + 1))
    assert run.data.metrics.keys() >= {"w", "final_loss"}


def test_an_exception_ends_the_run_as_failed(tmp_path, runner, store):
    """A model that breaks in its fifth step: FAILED, its traceback, and the four steps before."""
    (tmp_path / "fragile.py").write_text(
        "import torch\n"
        "class Fragile(torch.nn.Linear):\n"
        "    calls = 0\n"
        "    def forward(self, x):\n"
        "        self.calls += self.training\n"
        "        if self.calls == 5:\n"
        "            raise ArithmeticError('the fifth step')\n"
        "        return super().forward(x)\n"
    )
    typed = ("model=linear", "model._target_=fragile.Fragile", "~model.initial")
    done = runner(tmp_path, *typed, status=1)
    assert "ArithmeticError: the fifth step" in done.stderr
    client, [run] = store(tmp_path)
    assert (run.info.status, run.data.tags["outcome"]) == ("FAILED", "failed")
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3, 4]
    path = client.download_artifacts(run.info.run_id, "traceback.txt", str(tmp_path))
    assert "ArithmeticError: the fifth step" in Path(path).read_text()


def test_multirun_leaves_a_run_for_each_cell(tmp_path, runner, store):
    """Hydra's own multirun, and names that tell the cells apart."""
    runner(tmp_path, "-m", "optimizer=sgd,adam", "lr=0.01,0.1", "hydra/launcher=basic")
    _, runs = store(tmp_path)
    names = {run.info.run_name for run in runs}
    assert names == {"sgd lr=0.01", "sgd lr=0.1", "adam lr=0.01", "adam lr=0.1"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert run.info.run_name == f"{run.data.params['optimizer']} lr={run.data.params['lr']}"


@pytest.mark.parametrize(
    "typed",
    [
        "gradient=by_hand optimizer=adam lr=0.1 dataset=noisy_line model=linear seed=3",
        pytest.param(
            "optimizer=adam lr=0.1 dataset=noisy_line model=linear seed=3", marks=pytest.mark.slow
        ),
        pytest.param(
            "optimizer=by_hand dataset=plane model=linear seed=3 loss=huber",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_same_seed_gives_the_same_bits(typed, tmp_path, runner, store):
    """In a new process, and not with another seed."""
    client, columns = None, []
    for seed in ("seed=3", "seed=3", "seed=4"):
        folder = tmp_path / str(len(columns))
        folder.mkdir()
        runner(folder, *typed.split(), seed)
        client, [run] = store(folder)
        path = client.download_artifacts(run.info.run_id, "trajectory.parquet", str(folder))
        columns.append(pq.read_table(path).drop_columns("time"))
    assert columns[0].equals(columns[1])
    assert not columns[0].equals(columns[2])


def test_everything_stays_under_mlruns(tmp_path, runner):
    """A run and a multirun leave one folder, and no temporary one in it."""
    runner(tmp_path, "epochs=2")
    runner(tmp_path, "-m", "epochs=2,3")
    assert os.listdir(tmp_path) == ["mlruns"]
    assert sorted(os.listdir(tmp_path / "mlruns")) == ["artifacts", "journal", "mlflow.db"]
    assert sorted(os.listdir(tmp_path / "mlruns" / "journal")) == ["published", "store.opening"]


def test_another_store_by_environment_variable(tmp_path, runner, store):
    """MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME are those of MLflow's own documentation."""
    uri = f"sqlite:///{tmp_path}/other.db"
    runner(tmp_path, "epochs=2", MLFLOW_TRACKING_URI=uri, MLFLOW_EXPERIMENT_NAME="mine")
    _, [run] = store(tmp_path, uri, "mine")
    assert run.info.status == "FINISHED"
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_an_empty_variable_is_as_good_as_none(tmp_path, runner, store):
    """Shells and CI systems set them for what is not given."""
    empty = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "RUNNER_PICTURES", "RUNNER_PAGE")
    runner(tmp_path, "gradient=by_hand", "epochs=2", **dict.fromkeys(empty, ""))
    _, [run] = store(tmp_path)
    assert run.info.status == "FINISHED"


@pytest.mark.slow
def test_a_name_says_the_lr_that_the_optimizer_has(tmp_path, runner, store):
    """None where it uses its own default, and whatever somebody's own optimizer takes."""
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "class Own(torch.optim.SGD):\n"
        "    def __init__(self, params, lr):\n"
        "        super().__init__(params, lr=0.1 if lr == 'auto' else lr)\n"
    )
    runner(tmp_path, "~optimizer.lr", "gradient=by_hand", "epochs=2")
    own = ("optimizer=by_hand", "optimizer._target_=own.Own", "optimizer.lr=auto")
    runner(tmp_path, *own, "epochs=2")
    _, runs = store(tmp_path)
    assert {run.info.run_name for run in runs} == {
        "epochs=2 gradient=by_hand ~optimizer.lr",
        "Own epochs=2 optimizer.lr=auto",
    }


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path, environment, store):
    """`python -m runner ... | head -1` records as much as without."""
    command = [sys.executable, "-m", "runner", "print_every=1", "tolerance=0", "epochs=500"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        complaints = process.stderr.read()
    assert process.returncode == 0, complaints
    _, [run] = store(tmp_path)
    assert run.data.metrics["epochs_run"] == 500


@pytest.mark.one_in(3)
@pytest.mark.parametrize("to", [">&-", ">/dev/full", "2>&-", "| true"])
@pytest.mark.parametrize("typed", [["seed=1"], ["-m", "seed=1,2"]], ids=["run", "sweep"])
def test_nowhere_to_print_does_not_end_the_run(to, typed, tmp_path, environment, store):
    """Closed, full, or nobody there: all is recorded all the same."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, "-m", "runner", *typed, "gradient=by_hand", "epochs=5"]
    script = ["sh", "-c", f'"$@" {to}', "sh", *command]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

    def finished():
        runs = store(tmp_path)[1] if (tmp_path / "mlruns" / "mlflow.db").exists() else []
        return {run.info.status for run in runs} == {"FINISHED"} and runs

    runs = wait_for(finished)  # `| true` waits for nobody
    assert len(runs) == (1 if typed == ["seed=1"] else 3)


@pytest.mark.slow
def test_what_an_earlier_run_left_does_not_spoil_the_next(tmp_path, runner, store):
    """The store refuses the one, whose experiment somebody has deleted, and has the other."""
    place = "tracking.experiment=gone"
    runner(tmp_path, "gradient=by_hand", place)
    client, [run] = store(tmp_path, experiment="gone")
    client.delete_experiment(run.info.experiment_id)
    kept = runner(tmp_path, "gradient=by_hand", place).stdout
    assert "kept        mlruns/journal: " in kept
    assert "see it" not in kept
    told = runner(tmp_path, "gradient=by_hand").stdout
    assert "see it      " in told
    assert "kept        1 earlier run(s)" in told
    assert len(store(tmp_path)[1]) == 1


def test_bar_on_a_terminal_only(tmp_path, environment):
    """A longer run shows a bar on a terminal, below the lines; a pipe gets lines alone."""
    pty = pytest.importorskip("pty", reason="a pseudo-terminal needs a POSIX system")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = ["gradient=by_hand", "epochs=100000000", "tolerance=0", "print_every=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *command],
        cwd=tmp_path,
        env=environment,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + PATIENCE
    while b"epochs/s" not in seen and time.monotonic() < deadline:
        seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not more:
            break
        seen += more
    os.close(ours)
    process.wait(PATIENCE)
    assert b"epochs/s" in seen
    assert b"interrupted" in seen
