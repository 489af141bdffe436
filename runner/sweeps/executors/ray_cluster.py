"""A Ray to carry out units on: found or started, and held against this machine."""

import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from runner.base import project
from runner.base.console import complain
from runner.errors import ConfigError
from runner.sweeps.executors.alike import Versions, differences, of_this_machine

INSTALL = "pip install 'gradient-descent-runner[ray]'"
CONNECT_SECONDS = 5.0
STAY = (".git", ".venv", "mlruns", "__pycache__")
"""What of the project folder does not travel"""


class Cluster(NamedTuple):
    """What a config says of it, in Ray's own words."""

    address: str | None
    """`auto`, or HOST:PORT; None starts one on this machine"""
    num_cpus: float
    """For each unit, as the next two"""
    num_gpus: float
    memory: int | None
    max_retries: int
    runtime_env: Mapping[str, Any] | None


def said(error: Exception) -> str:
    """What Ray says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"


def _check_values(cluster: Cluster) -> None:
    """Raises ConfigError for what Ray would only say later, or not at all."""
    for name in ("num_cpus", "num_gpus", "memory", "max_retries"):
        value = getattr(cluster, name)
        if value is not None and value < 0:
            raise ConfigError(f"hydra.launcher.{name}", expected="0 or more", got=value)
    environment = cluster.runtime_env
    if environment is not None and not isinstance(environment, Mapping):
        raise ConfigError(
            "hydra.launcher.runtime_env",
            f"expected a mapping, {{excludes: [data]}} say, got {environment}",
        )


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes. Raises ConfigError."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _last_started()
        if not address:
            raise ConfigError(
                "hydra.launcher.address=auto: no Ray runs on this machine: expected HOST:PORT, or "
                "none for one of the sweep's own"
            )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "//" in host:
        raise ConfigError("hydra.launcher.address", expected="auto or HOST:PORT", got=address)
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            "hydra.launcher.address",
            f"nothing answers at {address} ({error}): expected the address "
            "that `ray start --head` has printed, or none for a Ray on this machine",
        ) from error


def _last_started() -> str:
    """Where Ray would look for a cluster of this machine, be it gone."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    with suppress(OSError):
        return Path(folder, "ray", "ray_current_cluster").read_text().strip()
    return ""


def connected(cluster: Cluster) -> Any:
    """Ray, with a cluster. Raises ConfigError, within seconds, where there is none."""
    if find_spec("ray") is None:
        raise ConfigError(f"hydra/launcher=ray: needs Ray: {INSTALL}")
    _check_values(cluster)
    if cluster.address:
        _check_reachable(cluster.address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that it is used
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "5")  # seconds, for one that is no Ray
    environment = dict(cluster.runtime_env or {})
    own: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if cluster.address is None:
        if "RAY_AUTH_MODE" not in os.environ:  # Ray would keep a token in the home folder
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        own |= {"address": "local", "include_dashboard": False}  # none that is there already
    else:
        own["address"] = cluster.address
        environment.setdefault("working_dir", str(project.folder()))
        environment["excludes"] = [*STAY, *environment.get("excludes", [])]
    import ray

    with _own_signals():
        try:
            ray.init(runtime_env=environment, **own)
        except Exception as error:
            raise ConfigError(f"hydra/launcher=ray: {said(error)}") from error
    _tell_what_lacks(ray, cluster)
    return ray


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread, which alone may
            for number, handler in before.items():
                signal.signal(number, handler)


def _tell_what_lacks(ray: Any, cluster: Cluster) -> None:
    """Units that no machine has room for would wait without a word."""
    wanted = {"CPU": cluster.num_cpus, "GPU": cluster.num_gpus, "memory": cluster.memory or 0}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(k, 0) >= v for k, v in wanted.items()) for node in nodes):
        asked = ", ".join(f"{value:g} {name}" for name, value in wanted.items() if value)
        complain(f"ray: no machine has {asked} for a unit now; they wait until one has")


def _alive(ray: Any) -> list[str]:
    return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


def check_alike(ray: Any, here: Versions) -> None:
    """Ask each machine of the cluster. Raises ConfigError that names what is different."""
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = {
        node: ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=affinity(node, soft=False))(
            of_this_machine
        ).remote(list(here))
        for node in _alive(ray)
    }
    wrong = []
    for node, ref in asked.items():
        try:
            name, there = ray.get(ref)
        except Exception as error:  # another Python, which Ray refuses itself; an import that fails
            if node not in _alive(ray):  # it was lost just then
                continue
            raise ConfigError(f"hydra/launcher=ray: {said(error)}") from error
        wrong += [f"{name}: {fault}" for fault in differences(here, there)]
    if wrong:
        raise ConfigError("\n".join(["machines of the cluster are unlike this one:", *wrong]))
