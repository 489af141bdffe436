"""Ray and SLURM on this machine alone; on two machines in test_cluster.py."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, unused_port
from tests.support.waiting import PATIENCE, recorded_steps, wait_for
from tests.sweeps.test_cluster import assert_same, recorded

SWEEP = ("-m", "optimizer=sgd,adam", "lr=0.01,0.1,9", "seed=0,1", "dataset=noisy_line")
SWEEP += ("model=linear", "epochs=40", "tracking=off", "sweep.workers=2")
ENGINES = {
    "ray": ["hydra/launcher=ray"],
    "slurm": ["hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.jobs=3"],
}
KILLER = """
import os
import signal
import time
import traceback
from pathlib import Path

import torch


class Killed(torch.nn.Linear):
    "A model whose process is killed, as often as a file has lines."

    def __init__(self, where: str, size: int = 0):
        super().__init__(1, 1)
        self.where, self.size = where, size

    def forward(self, x):
        # Copies of it are tried before a run begins; what it is killed in has to have begun.
        callers = {Path(frame.filename).name for frame in traceback.extract_stack()}
        left = Path(self.where).read_text().splitlines() if "drive.py" in callers else []
        if left:
            Path(self.where).write_text("\\n".join(left[1:]))
            time.sleep(1)  # so that what has begun is known
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


class Greedy(torch.nn.Linear):
    "A model that takes more and more memory."

    def __init__(self):
        super().__init__(1, 1)
        self.kept = []

    def forward(self, x):
        if torch.is_grad_enabled():
            self.kept.append(torch.ones(40_000_000))
        return super().forward(x)
"""


@pytest.fixture
def mine(tmp_path):
    """Models of somebody's own, one of which kills its process as often as is asked."""
    (tmp_path / "parts" / "model").mkdir(parents=True)
    (tmp_path / "killer.py").write_text(KILLER)
    killed = f"_target_: killer.Killed\nwhere: {tmp_path}/times\n"
    (tmp_path / "parts" / "model" / "killed.yaml").write_text(killed)
    (tmp_path / "parts" / "model" / "greedy.yaml").write_text("_target_: killer.Greedy\n")
    (tmp_path / "times").write_text("")
    return ["-m", "--config-dir", "parts", "tracking=off", "epochs=30", "lr=0.01,0.02,0.03"]


@pytest.mark.bits
@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_it_does_what_this_machine_does(engine, runner, tmp_path):
    """In slices of stacks and lone cells, searches too: to the last bit."""
    found = {}
    for name, how in (("here", []), ("there", ENGINES[engine])):
        (tmp_path / name).mkdir()
        for more in (["print_every=0"], ["sweep.stack=false", "clip=5"]):
            done = runner(tmp_path / name, *SWEEP, *how, *more)
        search = ["-m", "gradient=by_hand", "lr=tag(log,interval(1e-4,10))", "tracking=off"]
        search += ["sweep.sampler=tpe", "sweep.samples=9", "sweep.batch=3", "epochs=20", *how]
        lines = runner(tmp_path / name, *search).stdout.splitlines()
        rounds = [line for line in lines if " of 9  best" in line]
        found[name] = [*rounds, done.stdout.partition("\n\n")[2].partition("kept")[0]]
        assert len(rounds) == 3
    assert found["here"] == found["there"]
    (here, _), (there, lost) = (recorded_in(tmp_path / name) for name in ("here", "there"))
    assert len(here) == 33
    assert_same(there, here)
    assert lost == []


def recorded_in(folder):
    """What the three sweeps have recorded; two have cells of the same names."""
    return recorded(folder, key=lambda run: (run.name, run.params["clip"]))


@pytest.mark.slow
def test_ray_tries_again(runner, mine, tmp_path):
    """A process that is killed twice, and then not: the cell is done, the attempts are told."""
    (tmp_path / "times").write_text("once\ntwice\n")
    done = runner(tmp_path, *mine, "hydra/launcher=ray", "model=killed", "sweep.stack=false")
    assert "exhausted     3" in done.stdout
    _, lost = recorded(tmp_path)
    assert [run.tags["lost"] for run in lost] == ["true"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_it_gives_up(engine, runner, mine, tmp_path):
    """A process that is killed always: its cells have failed, with the reason, and no others."""
    (tmp_path / "times").write_text("again\n" * 100)
    more = {"ray": ["hydra.launcher.max_retries=1"], "slurm": ["hydra.launcher.jobs=6"]}[engine]
    typed = [*mine, *ENGINES[engine], "model=killed,linear", "sweep.stack=false", *more]
    done = runner(tmp_path, *typed, status=1)
    assert "failed        3" in done.stdout
    assert "exhausted     3" in done.stdout
    assert {"ray": "WorkerCrashedError", "slurm": "ended without it"}[engine] in done.stdout
    _, lost = recorded(tmp_path)
    assert {run.outcome for run in lost} == {"interrupted"}


@pytest.mark.slow
def test_a_unit_that_runs_out_of_memory(runner, mine, tmp_path):
    """Ray ends it before the machine has none left; the message says so, and others are done."""
    total, free = (
        int(line.split()[1])
        for name in ("MemTotal", "MemAvailable")
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith(f"{name}:")
    )
    limit = f"{(total - free + 3_000_000) / total:.3f}"  # of kilobytes; the rest is in use now
    typed = [*mine[:-1], "lr=0.01", "model=greedy,linear", "epochs=200", "sweep.stack=false"]
    memory = {"RAY_memory_usage_threshold": limit, "RAY_memory_monitor_refresh_ms": "50"}
    done = runner(
        tmp_path,
        *typed,
        "hydra/launcher=ray",
        "hydra.launcher.max_retries=2",
        status=1,
        **memory,
    )
    assert "exhausted     1" in done.stdout
    assert "failed        1" in done.stdout
    assert "OutOfMemoryError" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_stops_it(engine, environment, tmp_path):
    """What runs ends after its step; nothing that was recorded is lost, and it goes on."""
    command = [sys.executable, "-m", "runner", *SWEEP[:-1], *ENGINES[engine], "epochs=30000"]
    command += ["tolerance=0", "sweep.stack=false", "print_every=0"]
    how = {"cwd": tmp_path, "env": environment}
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, **how)
        wait_for(lambda: any(recorded_steps(tmp_path)), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM, (tmp_path / "said").read_text()
    text = (tmp_path / "said").read_text()
    assert "interrupted" in text
    assert "not run" in text
    _, cut = recorded(tmp_path)
    assert {run.outcome for run in cut} == {"interrupted"}
    assert any(len(run.trajectory().rows) > 1 for run in cut)


@pytest.mark.slow
def test_a_signal_stops_what_waits_for_room(environment, tmp_path):
    """No machine has so many cores: nothing has begun, and the sweep ends at once."""
    command = [sys.executable, "-m", "runner", *SWEEP, "hydra/launcher=ray"]
    command += ["hydra.launcher.num_cpus=1000"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=tmp_path, env=environment)
        wait_for(lambda: "they wait until one has" in (tmp_path / "said").read_text(), process)
        wait_for(lambda: "slices" in (tmp_path / "said").read_text(), process)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 128 + signal.SIGINT
    assert "not run       12" in (tmp_path / "said").read_text()


@pytest.mark.slow
def test_slurm_names_what_a_job_has_otherwise(runner, tmp_path):
    """A module that the job finds in another state than the one that leads."""
    (tmp_path / "parts" / "model").mkdir(parents=True)
    (tmp_path / "parts" / "model" / "own.yaml").write_text("_target_: own.Own\n")
    (tmp_path / "own.py").write_text(
        "import os\nimport torch\n\n\nclass Own(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(1, 1)\n\n\n"
        "if 'SUBMITIT_EXECUTOR' in os.environ:  # in a job\n"
        "    with open(__file__, 'a') as file:\n        file.write('# changed')\n"
    )
    typed = ["-m", "--config-dir", "parts", "tracking=off", "lr=0.1,0.2", "model=own"]
    done = runner(tmp_path, *typed, *ENGINES["slurm"], status=1)
    assert "machines of the cluster are unlike this one:" in done.stderr
    assert "own.Own" in done.stderr


PACKAGES = {
    "deep/__init__.py": "",
    "deep/er/__init__.py": "",
    "deep/er/model.py": "from .layer import Layer\n\n\nclass Own(Layer):\n    pass\n",
    "deep/er/layer.py": "import torch\n\n\nclass Layer(torch.nn.Linear):\n"
    "    def __init__(self):\n        super().__init__(1, 1)\n",
    "bare/inner/data.py": "from deep.er import layer\n\n\ndef two():\n    return [1, 2], [2, 4]\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_parts_in_packages(engine, runner, tmp_path):
    """Of two levels, one without `__init__`, some imported before others; and the example's."""
    project = shutil.copytree(ROOT / "examples" / "project", tmp_path / "project")
    typed = ["lr=0.01,0.02", "epochs=3", "tracking=off", *ENGINES[engine]]
    parts = ["dataset=mine", "model=mine", "loss=mine", "optimizer=mine"]
    done = runner(project, "-m", "--config-dir", "conf", *typed, *parts)
    assert "exhausted     2" in done.stdout
    for name, text in PACKAGES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name, target in (("model", "deep.er.model.Own"), ("dataset", "bare.inner.data.two")):
        (tmp_path / "parts" / name).mkdir(parents=True)
        (tmp_path / "parts" / name / "own.yaml").write_text(f"_target_: {target}\n")
    done = runner(tmp_path, "-m", "--config-dir", "parts", *typed, "model=own", "dataset=own")
    assert "exhausted     2" in done.stdout


REFUSED = {
    "hydra/launcher=ray hydra.launcher.address=nowhere": "expected auto or HOST:PORT, got nowhere",
    "hydra/launcher=ray hydra.launcher.address=127.0.0.1:PORT": "nothing answers at 127.0.0.1:",
    "hydra/launcher=slurm": "hydra/launcher=slurm: ",
    "hydra/launcher=slurm hydra.launcher.jobs=0": "hydra.launcher.jobs: expected 1 or more, got 0",
    "hydra/launcher=ray checkpoint.every=5": "checkpoint.every: expected null",
    "hydra/launcher=ray hydra.launcher.num_cpus=-1": "num_cpus: expected 0 or more, got -1",
    "hydra/launcher=ray hydra.launcher.runtime_env=foo": "runtime_env: expected a mapping",
    "hydra/launcher=slurm hydra.launcher.timeout_min=0": "timeout_min: expected 1 or more, got 0",
    "hydra/launcher=ray hydra.launcher.cores=2": "Key 'cores' not in 'RayLauncherConf'",
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words, runner, tmp_path):
    """Within seconds, before anything is recorded, in one message."""
    if words == "hydra/launcher=slurm" and shutil.which("srun"):
        pytest.skip("here is a SLURM")
    typed = words.replace("PORT", str(unused_port())).split()
    done = runner(
        tmp_path, "-m", "gradient=by_hand", "lr=0.1,0.2", "tracking=off", *typed, status=1
    )
    assert REFUSED[words] in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "mlruns").glob("journal/*"))


def test_the_services_are_what_the_tests_start():
    """Each of the compose file's that is ours runs a script of `deploy/`; nothing is public."""
    composed = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    services = composed["services"]
    assert set(services) == {"postgres", "mlflow", "ray-head", "ray-worker"}
    for name, service in services.items():
        if name != "postgres":
            assert service["command"] == ["bash", f"/deploy/{name}.sh"]
            assert (ROOT / "deploy" / f"{name}.sh").is_file()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    started = (ROOT / "tests/support/cluster.py").read_text() + (
        ROOT / "tests/conftest.py"
    ).read_text()
    for name in ("ray-{name}.sh", "mlflow.sh"):
        assert name in started


def test_docker_takes_the_compose_file():
    """With both secrets set; without them it is refused."""
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("needs Docker's client with compose")
    command = [docker, "compose", "-f", str(ROOT / "deploy" / "compose.yaml"), "config", "--quiet"]
    secrets = {"POSTGRES_PASSWORD": "a", "RAY_AUTH_TOKEN": "b"}
    assert subprocess.run(command, env={**os.environ, **secrets}).returncode == 0
    assert subprocess.run(command, env=dict(os.environ), capture_output=True).returncode != 0
