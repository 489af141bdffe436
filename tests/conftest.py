"""Fixtures that start the command as a person would, and read MLflow as a stock client does."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import pytest

from runner.base import project
from tests.support.browser import chromium, installed
from tests.support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[1]

NO_DRAWING = {"RUNNER_PICTURES": "false", "RUNNER_PAGE": "false"}

SERVER = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def pytest_addoption(parser):
    """A test's share is that of its name: the same one at each commit."""
    parser.addoption(
        "--share", default="1/1", metavar="K/N", help="of the slow tests, run the Kth of N shares"
    )


class AtOnce:
    """Say what has failed when it has: tests that are cut short end without a summary."""

    def __init__(self, terminal):
        self._terminal = terminal

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._terminal.write_line(f"\nfailed: {report.nodeid}\n{report.longreprtext}")


@pytest.hookimpl(trylast=True)  # the terminal's own comes first
def pytest_configure(config):
    """Where there is a terminal: the processes that xdist starts have none."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput"):
        config.pluginmanager.register(AtOnce(terminal))


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by them
def pytest_collection_modifyitems(config, items):
    """Mark the cases that are not the one in n as slow; leave out slow ones of other shares."""
    seen = Counter()
    for one in items:
        marked = one.get_closest_marker("one_in")
        if marked and seen[one.function] % marked.args[0]:
            one.add_marker(pytest.mark.slow)
        seen[one.function] += 1
    share, shares = map(int, config.getoption("share").split("/"))
    if not 1 <= share <= shares:
        raise pytest.UsageError(f"--share: expected 1/{shares} to {shares}/{shares}")
    mine = [
        one
        for one in items
        if not one.get_closest_marker("slow") or crc32(one.nodeid.encode()) % shares == share - 1
    ]
    config.hook.pytest_deselected(items=[*set(items) - set(mine)])
    items[:] = mine


@pytest.fixture(autouse=True)
def the_current_folder():
    """Let each test's project folder be the one that is current when it first asks."""
    project.forget()


@pytest.fixture
def compose_config():
    """Compose the shipped config with overrides, as the command does."""
    from hydra import compose, initialize_config_dir

    from runner.config.schema import register

    register()

    def composed(overrides=()):
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", list(overrides))

    return composed


@pytest.fixture(scope="module")
def composer():
    """Compose cells from overrides, each structure once."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    from runner.config.composer import Composer
    from runner.config.schema import register

    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield Composer(loader, loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN))


@pytest.fixture(scope="module")
def one_thread():
    """Let the bare loops of a test compute as ours do unless they are told otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def front_door(tmp_path_factory):
    """Carry out a command line here: exit status, what it says, and the cells it would run."""
    import runner.cli.command
    import runner.sweeps.launch
    from runner.tracking import session

    here = tmp_path_factory.mktemp("here")

    def typed(*words, folder=here):
        cells = []

        def kept(function, found):
            def instead(*arguments):
                made = function(*arguments)
                cells.extend(found(arguments, made))
                return made

            return instead

        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["runner", *words])
            patch.setattr(
                runner.cli.command, "run", kept(runner.cli.command.run, lambda a, _: [a[0]])
            )
            composed = kept(runner.sweeps.launch.compose, lambda _, made: made)
            patch.setattr(runner.sweeps.launch, "compose", composed)
            try:
                with session.invocation():
                    runner.cli.command.main()
                return 0, "", cells
            except SystemExit as end:
                status = 1 if isinstance(end.code, str) else end.code or 0
                return status, end.code if isinstance(end.code, str) else "", cells

    return typed


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project folder of its own for calls from Python, without drawing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    for name, value in NO_DRAWING.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture(scope="session")
def environment():
    """The environment of a process that runs this checkout, from whichever folder; it draws none.

    Drawing takes a second of each run's publisher; `tests/report/test_report.py` switches it on.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HYDRA_"))}
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]  # another MLflow, say
    return {**kept, "PYTHONPATH": os.pathsep.join(path), **NO_DRAWING}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """MLflow's tables, created once; a function that copies them into a folder: the store's URI."""
    made = tmp_path_factory.mktemp("empty") / "mlflow.db"

    def copy(folder):
        from mlflow import MlflowClient

        if not made.exists():
            MlflowClient(f"sqlite:///{made}").search_experiments()
        folder.mkdir(exist_ok=True)
        shutil.copy(made, folder)
        return f"sqlite:///{folder}/mlflow.db"

    return copy


@pytest.fixture(scope="session")
def runner(environment, empty_store):
    """Run `python -m runner` in a folder; return the process, its exit status checked.

    The store of a first run is there already: MLflow takes as long to create one as the run takes.
    """

    def run(folder, *typed, status=0, **variables):
        elsewhere = any(word.startswith(("tracking", "sweep.dry_run", "--")) for word in typed)
        if status == 0 and not variables and not elsewhere and not (folder / "mlruns").exists():
            empty_store(folder / "mlruns")
        done = subprocess.run(
            [sys.executable, "-m", "runner", *typed],
            cwd=folder,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == status, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def store():
    """Open the store that a command left in a folder: a stock client, and its runs."""
    from mlflow import MlflowClient

    def read(folder, uri=None, experiment="gradient descent"):
        client = MlflowClient(uri or f"sqlite:///{folder}/mlruns/mlflow.db")
        found = client.get_experiment_by_name(experiment)
        if found is None:  # the tables are there before the experiment is
            return client, []
        return client, list(client.search_runs([found.experiment_id], max_results=50_000))

    return read


FRAGILE = """
import torch

class Fragile(torch.nn.Linear):
    def __init__(self, fails=0.0):
        super().__init__(1, 1)
        self.fails = fails
    def forward(self, x):
        if self.fails and torch.is_grad_enabled():
            raise RuntimeError("it broke on purpose")
        return super().forward(x)
"""


@pytest.fixture
def own(tmp_path):
    """Write a config and a module of somebody's own: a model that breaks in training if asked."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "fragile.yaml").write_text("_target_: own.Fragile\nfails: 0.0\n")
    (tmp_path / "own.py").write_text(FRAGILE)
    return tmp_path


class TrackingServer:
    """A real `mlflow server` in a folder, over a database that is there or one of its own."""

    def __init__(self, folder, environment, database="server.db", host="127.0.0.1"):
        self.folder, self._environment = folder, environment
        self.host, self.port = host, unused_port()
        self.uri = f"http://{host}:{self.port}"
        self.database = database if "://" in database else f"sqlite:///{folder}/{database}"
        self._process = None

    def start(self):
        """Start it, or start it again, and wait until it answers."""
        asked = {"HOST": self.host, "PORT": str(self.port), "WORKERS": "1"}
        asked |= {"DATABASE": self.database, "ARTIFACTS": str(self.folder / "artifacts")}
        log = self.folder / "server.log"
        with open(log, "ab") as told:
            self._process = subprocess.Popen(
                ["bash", ROOT / "deploy" / "mlflow.sh"],
                cwd=self.folder,
                env={**self._environment, **SERVER, **asked, "PYTHON": sys.executable},
                stdout=told,
                stderr=told,
                start_new_session=True,
            )

        def answers():
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return True

        assert wait_for(answers, self._process, log.read_text), log.read_text()
        return self

    def kill(self):
        """End it and its workers without a chance to finish anything."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def unused_port():
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def closed_port():
    """Give a port that nobody listens on."""
    return unused_port


@pytest.fixture(scope="module")
def server(tmp_path_factory, environment):
    """Start a tracking server for the tests of one module."""
    started = TrackingServer(tmp_path_factory.mktemp("server"), environment).start()
    yield started
    started.kill()


@pytest.fixture
def new_server(tmp_path_factory, environment):
    """Prepare a tracking server for one test, which starts it."""
    prepared = TrackingServer(tmp_path_factory.mktemp("server"), environment)
    yield prepared
    prepared.kill()


@pytest.fixture(scope="module")
def browser():
    """Start a browser for the tests of one module."""
    pytest.importorskip("playwright", reason="needs Playwright: pip install '.[dev]'")
    if installed() is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    """Keep what a page shows, also in the folder that SCREENSHOTS names."""
    folder = tmp_path_factory.mktemp("screenshots")

    def kept(page, name, **how):
        path = folder / f"{name}.png"
        page.screenshot(path=path, **how)
        if wanted := os.environ.get("SCREENSHOTS"):
            os.makedirs(wanted, exist_ok=True)
            shutil.copy(path, wanted)

    return kept


@pytest.fixture(scope="session")
def postgres():
    """Start PostgreSQL on a socket of its own; a function that gives a new database's URI."""
    psycopg2 = pytest.importorskip("psycopg2", reason="needs psycopg2: pip install '.[dev]'")
    here = Path(shutil.which("initdb") or "/nowhere").resolve().parent
    found = [*here.glob("initdb"), *Path("/").glob("usr/lib/postgresql/*/bin/initdb")]
    if not found:
        pytest.skip("needs PostgreSQL's initdb and postgres: apt-get install postgresql")
    binaries = found[0].parent
    # PostgreSQL refuses root, and the folders of pytest are for their owner alone.
    as_user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if as_user:
            shutil.chown(folder, "nobody")
        data = f"{folder}/data"
        command = [*as_user, binaries / "initdb", "-D", data, "-U", "runner", "-A", "trust"]
        subprocess.run(
            [*command, "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        process = subprocess.Popen(
            [*as_user, binaries / "postgres", "-D", data, "-k", folder, "-h", "", "-F"],
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield _databases(psycopg2, folder, process)
        finally:
            pid = Path(data, "postmaster.pid").read_text().split()[0]
            os.kill(int(pid), signal.SIGINT)  # ends it without waiting for its clients
            process.wait()


def _databases(psycopg2, folder, process):
    """A function that creates a database in the server whose socket lies in the folder."""

    def connected():
        with suppress(psycopg2.OperationalError):
            return psycopg2.connect(host=folder, user="runner", dbname="postgres")

    connection = wait_for(connected, process, lambda: "PostgreSQL does not answer")
    assert connection, "PostgreSQL did not start"
    connection.autocommit = True
    count = iter(range(1000))

    def create():
        name = f"mlflow{next(count)}"
        connection.cursor().execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg2://runner:secret@/{name}?host={folder}"

    return create
