"""Carries out units on Ray: on this machine, or on a cluster that is there.

Ray chooses the machine, and notices what is lost. A unit is a generator of Ray's: what it records
goes from the process that computes it to the one that leads, and through no other that might be
lost, nor through a disk.
"""

import asyncio
import queue
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from runner.base.console import prepare
from runner.config.cell import Cell
from runner.record.journal import Journal
from runner.sweeps.executors.alike import versions
from runner.sweeps.executors.contract import Tell
from runner.sweeps.executors.ray_cluster import Cluster, check_alike, connected, said
from runner.sweeps.executors.remote import Arrivals, Begun, Message, SinkCall, carry_out
from runner.sweeps.executors.result import Result
from runner.sweeps.executors.work import Work

POLL_SECONDS = 0.1
AT_ONCE = 8
TOGETHER = 1000
"""So many messages of a unit are sent at once"""


class Flag:
    """The actor that tells units that they are stopped; where it is lost, they are not asked."""

    def __init__(self) -> None:
        self._why: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def raised(self) -> str:
        """Wait until it is, and why."""
        return await asyncio.shield(self._why)

    async def put_up(self, why: str) -> None:
        self._why.set_result(why)


def unit(number: int, work: Work, flag: Any) -> Iterator[list[Message]]:
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
    yield [Begun(number, socket.gethostname())]
    while True:
        some = [messages.get()]
        while len(some) < TOGETHER and not messages.empty():  # what has come meanwhile
            some.append(messages.get())
        if told := [one for one in some if isinstance(one, Begun | SinkCall | Result)]:
            yield told
        if isinstance(some[-1], BaseException):
            raise some[-1]
        if some[-1] is None:
            return


class OnRay:
    """See `runner.sweeps.executors.contract.Engine`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ray: Any = None

    def check(self, cells: Sequence[Cell]) -> None:
        """Connect. Raises ConfigError where that fails, or machines are unlike this one."""
        self._ray = connected(self._cluster)
        check_alike(self._ray, versions(cells))

    def executor(self, journal: Callable[[], Journal], received: Sequence[str]) -> "_Units":
        """One for the units of a round, whose records go into the journal."""
        return _Units(self._ray, self._cluster, journal)

    def close(self) -> None:
        """Leave the cluster; end the one that was started."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None


class _Units:
    """See `runner.sweeps.executors.contract.Executor`."""

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
                room = self._room() if waiting else 0  # Ray is asked: once for all of them
                while waiting and not over() and len(running) < room:
                    number, tried = waiting.popleft()
                    left = units[number].only(arrivals.left(number))
                    running[carried_out.remote(number, left, flag)] = number, tried
                ready, _ = ray.wait(list(running), num_returns=len(running), timeout=POLL_SECONDS)
                for stream in ready:
                    number, tried = running[stream]
                    try:
                        some = ray.get(next(stream))
                        arrivals.take((f"{number}.{tried}", message) for message in some)
                    except StopIteration:
                        del running[stream]
                        unit_is_done()
                    except ray.exceptions.RayError as error:
                        del running[stream]
                        if stopped:
                            arrivals.cut_off(number, said(error))
                        elif tried < of.max_retries and _is_lost(ray, error):
                            waiting.append((number, tried + 1))
                        else:
                            arrivals.give_up(number, said(error))
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
