"""A tracking server that is absent, dies, refuses, dawdles or hangs up stops no run."""

import http.client
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.slow

EPOCHS = 30
KEYS = {"loss": range(1, EPOCHS + 1)} | dict.fromkeys(["weight.0.0", "bias.0"], range(EPOCHS + 1))
LATE_SECONDS = 6  # longer than a publisher waits for an answer

SLOW_MODEL = """
import time
from pathlib import Path
import torch

class Slow(torch.nn.Linear):
    calls = 0
    def forward(self, x):
        self.calls += self.training
        time.sleep(0.1)
        while self.calls == 15 and not Path("go").exists():
            time.sleep(0.05)
        return super().forward(x)
"""


class Proxy(ThreadingHTTPServer):
    """Stands before a server and does to each request what `fault` says.

    `fault` is called with the request's method and path, without ids, and how many of these there
    have been; it returns None for nothing, an HTTP status to answer with, or a word of `answer`.
    """

    daemon_threads = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), Handler)
        self.target = target
        self.fault = lambda request, count: None
        self.arrived, self.answered = Counter(), Counter()
        self.released = threading.Event()
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Say nothing of clients that did not wait."""

    def wait_for(self, part):
        """Wait until a request of that kind has been answered."""
        wait_for(
            lambda: any(part in request for request in list(self.answered)),
            said=lambda: f"no {part} among {list(self.answered)}",
        )


class Handler(BaseHTTPRequestHandler):
    """One request through the proxy."""

    def answer(self):
        """Pass the request on, or not."""
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = re.sub("[0-9a-f]{32}|[?].*", "", f"{self.command} {self.path}")
        fault = proxy.fault(request, proxy.arrived[request])
        proxy.arrived[request] += 1
        if isinstance(fault, int):
            self.send_response(fault)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault == "silent":
            proxy.released.wait(PATIENCE)
        else:
            time.sleep({"slow": 1, "late": LATE_SECONDS}.get(fault, 0))
            self.forward(body, cut=fault == "cut")
        proxy.answered[request] += 1

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def forward(self, body, cut):
        """Have the server answer; with `cut`, leave in the middle of its answer."""
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=PATIENCE)
        try:
            connection.request(self.command, self.path, body, kept)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:  # the server is gone, so this connection ends as well
            return
        finally:
            connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(content) + cut))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, *_):
        """Nothing; pytest shows what it needs."""


@pytest.fixture
def proxy(server):
    """Start a proxy before the server."""
    with Proxy(server.port) as started:
        yield started
        started.released.set()
        started.shutdown()


class Command:
    """A run whose steps wait at the fifteenth for `go`."""

    def __init__(self, folder, environment, uri, experiment):
        (folder / "slow.py").write_text(SLOW_MODEL)
        self.folder = folder
        own = ["model=linear", "model._target_=slow.Slow", "~model.initial", "tolerance=0"]
        shown = [f"epochs={EPOCHS}", "print_every=1", f"tracking.experiment={experiment}"]
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "runner",
                "tracking=server",
                f"tracking.uri={uri}",
                *own,
                *shown,
            ],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def go(self):
        """Let it take its other steps."""
        (self.folder / "go").touch()

    def end(self):
        """What it says after its last step; it has not been kept from ending."""
        hangs = threading.Timer(60, self.process.kill)
        hangs.start()
        with self.process:
            printed = ""
            for line in self.process.stdout:
                printed += line
                if line.startswith("outcome"):  # all steps are made
                    break
            made = time.monotonic()
            rest = self.process.stdout.read()
        hangs.cancel()
        assert self.process.returncode == 0, printed + rest
        assert time.monotonic() - made < 60  # 10 s on a machine that has time; minutes if it hung
        seconds = re.search(r"^seconds +([\d.]+)$", rest, re.M)
        assert float(seconds[1]) < 3 * (EPOCHS * 0.1) + 30  # of sleep, and what a busy machine adds
        assert "Traceback" not in printed + rest
        return rest


@pytest.fixture
def command(tmp_path, environment):
    """Start a run in an empty folder."""
    started = []

    def start(uri, experiment, go=True):
        started.append(Command(tmp_path, environment, uri, experiment))
        if go:
            started[-1].go()
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def publish(folder, environment, *typed):
    """Run `python -m runner.publish`."""
    return subprocess.run(
        [sys.executable, "-m", "runner.publish", *typed],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def assert_whole(uri, experiment):
    """One run, with every point, param, tag and artifact once."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    [run] = client.search_runs([found.experiment_id])
    run_id = run.info.run_id
    assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "exhausted")
    assert run.data.params["epochs"] == str(EPOCHS)
    for key, steps in KEYS.items():
        assert [m.step for m in client.get_metric_history(run_id, key)] == list(steps)
    assert len(client.get_metric_history(run_id, "final_loss")) == 1
    assert run.data.metrics["epochs_run"] == EPOCHS
    artifacts = [file.path for file in client.list_artifacts(run_id)]
    assert sorted(artifacts) == ["config.yaml", "trajectory.parquet"]


def assert_kept(said):
    """One line that it is kept, and one that says how to publish it."""
    [kept] = [line for line in said.splitlines() if line.startswith("kept")]
    assert "mlruns/journal" in kept
    assert "-m runner.publish" in said.partition("kept")[2]


def test_absent(command, closed_port, environment, tmp_path, server):
    """Nobody listens: kept; and published into another server when told so."""
    said = command(f"http://127.0.0.1:{closed_port()}", "absent").end()
    assert_kept(said)
    done = publish(tmp_path, environment)
    assert done.returncode == 1
    assert "kept" in done.stderr
    done = publish(tmp_path, environment, "--uri", server.uri)
    assert done.returncode == 0, done.stderr
    assert_whole(server.uri, "absent")


FOR_EVER = {
    "500": lambda request, count: 500,
    "429": lambda request, count: 429,
    "silent": lambda request, count: "silent",
    "cut off": lambda request, count: "cut",
    # Only some of what a run needs.
    "500 for points": lambda request, count: 500 if "log-batch" in request else None,
    "silent for artifacts": lambda request, count: "silent" if "artifacts" in request else None,
    "cut off at the end": lambda request, count: "cut" if "runs/update" in request else None,
}


@pytest.mark.parametrize("fault", FOR_EVER)
def test_faults_for_ever(fault, command, proxy, environment, tmp_path, server):
    """Kept, with a line that says how to publish it; and whole once the server answers."""
    experiment = f"{fault} for ever"
    proxy.fault = FOR_EVER[fault]
    said = command(proxy.uri, experiment).end()
    assert_kept(said)
    proxy.fault = lambda request, count: None
    proxy.released.set()
    done = publish(tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert_whole(server.uri, experiment)
    assert "nothing was left" in publish(tmp_path, environment).stdout


FOR_A_WHILE = {
    "500": lambda request, count: 500 if count < 2 else None,
    "429": lambda request, count: 429 if count < 2 else None,
    "cut off": lambda request, count: "cut" if count < 1 else None,
    "slow": lambda request, count: "slow",
    "silent": lambda request, count: "silent" if "create" in request and count < 1 else None,
    # Carried out when the publisher has long since tried again.
    "late": lambda request, count: "late" if "runs/create" in request and count < 1 else None,
}


@pytest.mark.parametrize("fault", FOR_A_WHILE)
def test_faults_for_a_while(fault, command, proxy, environment, tmp_path, server):
    """Waited out while the run goes on; what its end could not wait for is kept."""
    experiment = f"{fault} for a while"
    proxy.fault = FOR_A_WHILE[fault]
    run = command(proxy.uri, experiment, go=False)
    proxy.wait_for("log-batch")
    run.go()
    said = run.end()
    if "see it" not in said:
        assert_kept(said)
    proxy.fault = lambda request, count: None
    done = publish(tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert_whole(server.uri, experiment)


@pytest.mark.parametrize("back", ["while the run goes on", "afterwards"])
def test_killed_and_restarted(back, command, environment, tmp_path, new_server):
    """The server's process dies when it has half of the run, and comes back with what it had."""
    server = new_server.start()
    with Proxy(server.port) as proxy:
        run = command(proxy.uri, back, go=False)
        proxy.wait_for("log-batch")
        server.kill()
        if back == "afterwards":
            run.go()
            assert_kept(run.end())
            server.start()
        else:
            server.start()
            run.go()
            assert "see it" in run.end()
        done = publish(tmp_path, environment)
        assert done.returncode == 0, done.stderr
        proxy.shutdown()
    assert_whole(server.uri, back)
