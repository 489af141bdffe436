"""Carries out units on Ray: on this machine, or on a cluster that is there.

Ray chooses the machine, notices what is lost, and tries again. Records come home through an actor
where the sweep is led, so that no machine needs a disk that another one has.
"""

import os
import secrets
import signal
import socket
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
from runner.executor.result import Result
from runner.executor.work import Work
from runner.journal import Journal, new_id

INSTALL = "pip install 'gradient-descent-runner[ray]'"
POLL_SECONDS = 0.1
CONNECT_SECONDS = 5.0
UNANSWERED = 1
"""So many messages may be on their way while a unit goes on"""
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
    runtime_env: Mapping[str, Any]


class Inbox:
    """The actor to which units send; it stays where the sweep is led."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Message]] = []
        self._told: set[int] = set()
        self._over = ""

    def begin(self, attempt: str, message: Begun) -> tuple[str, set[int]]:
        """Why nothing is to begin any more, if so, and which cells have ended already."""
        if not self._over:
            self._messages.append((attempt, message))
        return self._over, self._told

    def put(self, attempt: str, message: Message) -> str:
        """Why it is to end, if it is to."""
        self._messages.append((attempt, message))
        if isinstance(message, Result):
            self._told.add(message.cell)
        return self._over

    def take(self) -> list[tuple[str, Message]]:
        """All that has come since this was last asked."""
        messages, self._messages = self._messages, []
        return messages

    def stop(self, why: str) -> None:
        self._over = why


def unit(number: int, work: Work, inbox: Any) -> None:
    """What a worker does: one unit, from its beginning."""
    import ray

    prepare()
    attempt, received, sent = new_id(), list[str](), list[Any]()
    over, told = ray.get(inbox.begin.remote(attempt, Begun(number, socket.gethostname())))

    def send(message: Message) -> None:
        sent.append(inbox.put.remote(attempt, message))
        if len(sent) > UNANSWERED and (why := ray.get(sent.pop(0))) and not received:
            received.append(why)

    if not over:
        carry_out(work.only({*work.numbers} - told), send, received)
        ray.get(sent)  # all of it is there


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
        home = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        inbox = ray.remote(num_cpus=0, scheduling_strategy=home)(Inbox).remote()
        arrivals = Arrivals(units, self._journal(), tell)
        of = self._cluster
        carried_out = ray.remote(
            num_cpus=of.num_cpus,
            num_gpus=of.num_gpus,
            memory=of.memory,
            max_retries=of.max_retries,
            scheduling_strategy="SPREAD",
        )(unit)
        running = {carried_out.remote(n, work, inbox): n for n, work in enumerate(units)}
        stopped = False
        try:
            while running:
                if over() and not stopped:
                    stopped = True
                    ray.get(inbox.stop.remote(over()))
                    for ref, number in running.items():
                        if number not in arrivals.begun():  # it would begin only to end
                            ray.cancel(ref)
                done, _ = ray.wait(list(running), num_returns=len(running), timeout=POLL_SECONDS)
                arrivals.take(ray.get(inbox.take.remote()))
                for ref in done:
                    self._ended(ref, running.pop(ref), arrivals, is_stopped=stopped)
                    unit_is_done()
        finally:
            for ref in running:  # an exception has come, a second Ctrl-C: nobody waits for them
                ray.cancel(ref, force=True)
            ray.kill(inbox)

    def _ended(self, ref: Any, number: int, arrivals: Arrivals, *, is_stopped: bool) -> None:
        """What is to be done once Ray tries no more."""
        try:
            self._ray.get(ref)
        except Exception as error:  # Ray's, or what came of sending
            why = _said(error)
            if is_stopped:
                arrivals.cut_off(number, why)
            else:
                arrivals.give_up(number, why)


def _said(error: Exception) -> str:
    """What Ray says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes. Raises ConfigError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
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
    environment = dict(cluster.runtime_env)
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


def _check_alike(ray: Any, here: Versions) -> None:
    """Ask each machine of the cluster. Raises ConfigError that names what is different."""
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = [
        ray.remote(
            num_cpus=0, max_retries=0, scheduling_strategy=affinity(node["NodeID"], soft=False)
        )(of_this_machine).remote(list(here))
        for node in ray.nodes()
        if node["Alive"]
    ]
    wrong = []
    for ref in asked:
        try:
            name, there = ray.get(ref)
        except Exception as error:  # another Python, which Ray refuses itself; an import that fails
            raise ConfigError(f"hydra/launcher=ray: {_said(error)}") from error
        wrong += [f"{name}: {fault}" for fault in differences(here, there)]
    if wrong:
        raise ConfigError("\n".join(["machines of the cluster are unlike this one:", *wrong]))
