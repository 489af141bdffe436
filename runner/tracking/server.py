"""MLflow's own server over a store: one that is there already, or one that is started and ended."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from runner.base import project
from runner.base.signals import signals
from runner.base.uri import scrubbed
from runner.errors import NoPort
from runner.record.run import RecordedRun
from runner.tracking.client import connect
from runner.tracking.pages import place

PORTS = 20
"""So many are looked at, from the one asked for on."""

START_SECONDS = 120.0
END_SECONDS = 10.0  # for a server to end by itself
POLL_SECONDS = 0.1

LOG = Path("mlruns/ui.log")

STARTED = "running on http"
"""What uvicorn, MLflow's server, says when it listens."""

QUIETLY = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # further processes, for generative AI
    "MLFLOW_ARTIFACTS_DESTINATION": "mlruns/artifacts",
    "MLFLOW_WORKERS": "1",
}


def serving(host: str, port: int, run: RecordedRun) -> str | None:
    """The address of a server that has the run, on one of the ports; None if there is none."""
    for address in (f"http://{host}:{one}" for one in _ports(port) if _listens(host, one)):
        with suppress(Exception):  # whatever else it is that answers there
            if place(connect(address), run):
                return address
    return None


@contextmanager
def started(uri: str, host: str, port: int) -> Iterator["Server"]:
    """A server over the store, once it answers, on the first free one of the ports.

    Raises NoPort.
    """
    why = ""
    for one in _ports(port):
        if why := _taken(host, one):
            continue
        with Server(uri, host, one) as server:
            why = server.wait_until_it_answers()
            if not why:
                yield server
                return
            if not _taken(host, one):  # it is not the port
                break
    raise NoPort(f"MLflow's server cannot be started on {host}: {why}")


def _taken(host: str, port: int) -> str:
    """Why nobody can listen there; empty if it is free."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            return str(error.strerror or error)
    return ""


def _ports(first: int) -> Iterator[int]:
    return iter(range(first, min(first + PORTS, 65536)))


def _listens(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


class Server:
    """A server of our own, for as long as the `with` lasts."""

    def __init__(self, uri: str, host: str, port: int) -> None:
        self.port = port
        self.address = f"http://{host}:{port}"
        self._uri = uri
        self._log = project.folder() / LOG
        self._log.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
        # In the environment, not on the command line, which anybody may read: it has a password.
        environment = {**os.environ, **QUIETLY, "MLFLOW_BACKEND_STORE_URI": uri}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=project.folder(),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it and its workers."""
        for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            self._send(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
                break
        self._send(getattr(signal, "SIGKILL", signal.SIGTERM))  # workers that it has left

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, number)
            elif self._process.poll() is None:
                self._process.send_signal(number)

    def wait_until_it_answers(self) -> str:
        """Why it does not; empty once it does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return self._last_words()
            # It may be another server that answers, to which this one has lost the port just now.
            if self._listens_itself():
                with suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=5):
                    return ""
            time.sleep(POLL_SECONDS)
        return f"no answer within {START_SECONDS:.0f} s; see {LOG}"

    def _listens_itself(self) -> bool:
        """Whether its own log says that it has started."""
        return STARTED in self._log.read_text("utf-8", "replace")

    def wait(self) -> int:
        """Until a signal comes, or it ends: then the exit status is 1."""
        asked = [signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)])]
        with signals(*asked) as received:
            while not received and self._process.poll() is None:
                time.sleep(POLL_SECONDS)
        return 0 if received else 1

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return scrubbed(lines[-1] if lines else "it has said nothing", self._uri)
