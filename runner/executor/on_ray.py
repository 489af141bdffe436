"""Carries out units on Ray: on this machine, or on a cluster that is there.

Ray chooses the machine, and notices what is lost. A unit is a generator of Ray's: what it records
goes from the process that computes it to the one that leads, and through no other that might be
lost, nor through a disk.
"""

import asyncio
import os
import queue
import secrets
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, NamedTuple

from runner import project
from runner.cell import Cell
from runner.config import ConfigError
from runner.console import complain, prepare
from runner.executor.alike import Versions, differences, of_this_machine, versions
from runner.executor.contract import Tell
from runner.executor.remote import Arrivals, Begun, Message, carry_out
from runner.executor.work import Work
from runner.journal import Journal

INSTALL = "pip install 'gradient-descent-runner[ray]'"
POLL_SECONDS = 0.1
CONNECT_SECONDS = 5.0
AT_ONCE = 8
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


class Flag:
    """The actor that tells units that they are stopped; where it is lost, they are not asked."""

    def __init__(self) -> None:
        self._why: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def raised(self) -> str:
        """Wait until it is, and why."""
        return await asyncio.shield(self._why)

    async def put_up(self, why: str) -> None:
        self._why.set_result(why)


def unit(number: int, work: Work, flag: Any) -> Iterator[Message]:
    """What a worker does with a unit: carry it out, and give all that comes of it."""
    import ray

    prepare()
    messages: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()
    received: list[str] = []

    def look() -> None:
        with suppress(Exception):  # it is lost
            received.append(ray.get(flag.raised.remote()))

    def compute() -> None:
        try:
            carry_out(work, messages.put, received)
            messages.put(None)
        except BaseException as error:
            messages.put(error)

    for target in (look, compute):
        threading.Thread(target=target, daemon=True).start()
    yield Begun(number, socket.gethostname())
    while (message := messages.get()) is not None:
        if isinstance(message, BaseException):
            raise message
        yield message


class OnRay:
    """See `runner.executor.contract.Engine`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ray: Any = None

    def check(self, cells: Sequence[Cell]) -> None:
        """Connect. Raises ConfigError where that fails, or machines are unlike this one."""
        if find_spec("ray") is None:
            raise ConfigError(f"hydra/launcher=ray: needs Ray: {INSTALL}")
        if address := self._cluster.address:
            _check_reachable(address)
        self._ray = _connected(self._cluster)
        _check_alike(self._ray, versions(cells))

    def executor(self, journal: Callable[[], Journal], received: Sequence[str]) -> "_Units":
        """One for the units of a round, whose records go into the journal."""
        return _Units(self._ray, self._cluster, journal)

    def close(self) -> None:
        """Leave the cluster; end the one that was started."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None


class _Units:
    """See `runner.executor.contract.Executor`."""

    def __init__(self, ray: Any, cluster: Cluster, journal: Callable[[], Journal]) -> None:
        self._ray, self._cluster, self._journal = ray, cluster, journal

    def run(
        self,
        works: Iterable[Work],
        over: Callable[[], str],
        tell: Tell,
        unit_is_done: Callable[[], None],
    ) -> None:
        ray, units = self._ray, list(works)
        flag = ray.remote(num_cpus=0)(Flag).remote()
        arrivals = Arrivals(units, self._journal(), tell)
        of = self._cluster
        carried_out = ray.remote(
            num_cpus=of.num_cpus,
            num_gpus=of.num_gpus,
            memory=of.memory,
            max_retries=0,  # a generator that was tried again would go on where the lost one was
            num_returns="streaming",
            scheduling_strategy="SPREAD",
        )(unit)
        waiting = deque((number, 0) for number in range(len(units)))
        running: dict[Any, tuple[int, int]] = {}  # of each stream, its unit and which try it is
        stopped = False
        try:
            while running or (waiting and not over()):
                if over() and not stopped:
                    stopped = True
                    flag.put_up.remote(over())
                    for stream, (number, _) in running.items():
                        if number not in arrivals.begun():  # it would begin only to end
                            ray.cancel(stream)
                while waiting and not over() and len(running) < self._room():
                    number, tried = waiting.popleft()
                    left = units[number].only(arrivals.left(number))
                    running[carried_out.remote(number, left, flag)] = number, tried
                ready, _ = ray.wait(list(running), num_returns=len(running), timeout=POLL_SECONDS)
                for stream in ready:
                    number, tried = running[stream]
                    try:
                        message = ray.get(next(stream))
                        arrivals.take([(f"{number}.{tried}", message)])
                    except StopIteration:
                        del running[stream]
                        unit_is_done()
                    except ray.exceptions.RayError as error:
                        del running[stream]
                        if stopped:
                            arrivals.cut_off(number, _said(error))
                        elif tried < of.max_retries and _is_lost(ray, error):
                            waiting.append((number, tried + 1))
                        else:
                            arrivals.give_up(number, _said(error))
                            unit_is_done()
        finally:
            for stream in running:  # an exception, a second Ctrl-C: nobody waits for them
                ray.cancel(stream, force=True)
            ray.kill(flag)

    def _room(self) -> int:
        """How many units are handed to Ray at once: twice as many as it can carry out."""
        there = self._ray.cluster_resources().get("CPU", 1)
        return max(AT_ONCE, int(2 * there / max(self._cluster.num_cpus, 0.1)))


def _is_lost(ray: Any, error: Exception) -> bool:
    """Whether its process or machine was lost, so that another may do better."""
    return not isinstance(error, ray.exceptions.RayTaskError | ray.exceptions.TaskCancelledError)


def _said(error: Exception) -> str:
    """What Ray says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit() or "//" in host:
        raise ConfigError(f"hydra.launcher.address: expected auto or HOST:PORT, got {address}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"hydra.launcher.address: nothing answers at {address} ({error}): expected the address "
            "that `ray start --head` has printed, or none for a Ray on this machine"
        ) from error


def _connected(cluster: Cluster) -> Any:
    """Ray, with a cluster. Raises ConfigError."""
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
            raise ConfigError(f"hydra/launcher=ray: {_said(error)}") from error
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


def _check_alike(ray: Any, here: Versions) -> None:
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
            raise ConfigError(f"hydra/launcher=ray: {_said(error)}") from error
        wrong += [f"{name}: {fault}" for fault in differences(here, there)]
    if wrong:
        raise ConfigError("\n".join(["machines of the cluster are unlike this one:", *wrong]))
