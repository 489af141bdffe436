"""A Ray cluster of two machines, started by what `deploy/` starts one with.

Where the machine allows it, each is a network namespace with an address of its own; else, or with
ONE_ADDRESS in the environment, both are processes with that of this machine. None of them has the
folder of the sweep as its own.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_for

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAMES = "head", "worker"
CPUS = 2
# Each of pytest's workers may have its own.
NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NETWORK = f"10.213.{77 + NUMBER}"
BRIDGE = f"runner-br{NUMBER}"


def _space(name):
    return f"runner-{name}{NUMBER}"


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _has_namespaces():
    if os.geteuid() or not shutil.which("ip") or os.environ.get("ONE_ADDRESS"):
        return False
    tried = subprocess.run(["ip", "netns", "add", _space("tried")], capture_output=True)
    subprocess.run(["ip", "netns", "del", _space("tried")], capture_output=True)
    return tried.returncode == 0


class Machines:
    """The two, as a context."""

    def __init__(self, folder, environment, port):
        self.is_apart = _has_namespaces()
        self.folder, self.port = folder, port
        token = {"RAY_AUTH_TOKEN": "a" * 64, "RAY_AUTH_MODE": "token"}
        self.environment = {**environment, **token}
        self._processes = {}

    @property
    def here(self):
        """Where this machine is, as those see it."""
        return f"{NETWORK}.1" if self.is_apart else "127.0.0.1"

    @property
    def address(self):
        return f"{self._address('head')}:{self.port}"

    def on(self, name):
        """What stands before a command that is to run on one of them."""
        return ["ip", "netns", "exec", _space(name)] if self.is_apart else []

    def _address(self, name):
        if self.is_apart:
            return f"{NETWORK}.{2 + NAMES.index(name)}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.connect(("192.0.2.1", 9))  # nothing is sent
            return asked.getsockname()[0]

    def __enter__(self):
        if self.is_apart:
            self._leave_network()
            _ip("link", "add", BRIDGE, "type", "bridge")
            _ip("addr", "add", f"{self.here}/24", "dev", BRIDGE)
            _ip("link", "set", BRIDGE, "up")
            for name in NAMES:
                space, cable = _space(name), f"rb{NUMBER}-{name}"
                _ip("netns", "add", space)
                _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
                _ip("link", "set", cable, "master", BRIDGE, "up")
                _ip("-n", space, "link", "set", "lo", "up")
                _ip("-n", space, "addr", "add", f"{self._address(name)}/24", "dev", "eth0")
                _ip("-n", space, "link", "set", "eth0", "up")
        for name in NAMES:
            self.start(name)
        return self

    def start(self, name):
        """Start Ray there, and wait until the cluster has it."""
        own = self.folder / name
        own.mkdir(exist_ok=True)
        more = {"PYTHON": sys.executable, "CPUS": str(CPUS), "ADDRESS": self._address(name)}
        more |= {"PORT": str(self.port), "HEAD": self.address}
        with open(self.folder / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                [*self.on(name), "bash", DEPLOY / f"ray-{name}.sh"],
                cwd=own,
                env={**self.environment, **more},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        log = self.folder / f"{name}.log"
        begun = wait_for(
            lambda: "Ray runtime started" in log.read_text(), self._processes[name], log.read_text
        )
        assert begun, log.read_text()

    def pids(self, name):
        """Of all that runs there."""
        if self.is_apart:
            found = subprocess.run(["ip", "netns", "pids", _space(name)], capture_output=True)
            return [int(pid) for pid in found.stdout.split()]
        return _below(self._processes[name].pid) if name in self._processes else []

    def units(self):
        """The processes that carry out a unit now."""
        titles = {pid: _title(pid) for name in NAMES for pid in self.pids(name)}
        return [pid for pid, title in titles.items() if title.startswith("ray::unit")]

    def kill(self, name):
        """End the machine with all that runs there, without a chance to finish anything."""
        for pid in self.pids(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if process := self._processes.pop(name, None):
            process.wait()

    def _leave_network(self):
        for name in NAMES:  # a name may be gone before the last of its processes is
            subprocess.run(["ip", "link", "del", f"rb{NUMBER}-{name}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", _space(name)], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)

    def __exit__(self, *error):
        for name in reversed(NAMES):
            self.kill(name)
        if self.is_apart:
            self._leave_network()


def _below(pid):
    """The process and all that it has started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _below(int(child))
    return found


def _title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended
        return ""
