"""Carries out units on this machine: in this process, or in a pool of others."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from runner.record.journal import Sink
from runner.sweeps.executors.contract import Tell
from runner.sweeps.executors.here import Here
from runner.sweeps.executors.pool import Pool
from runner.sweeps.executors.work import Work

WORTH_A_POOL = 8.0  # seconds in this process; its start costs about three


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def needs_other_process(gradients: Iterable[str]) -> bool:
    """Whether cells with these gradients need PyTorch, and this process is without it.

    The process that leads does not import it: another one does while this one is at its own.
    """
    return "torch" not in sys.modules and "autograd" in {*gradients}


class Local:
    """See `runner.sweeps.executors.contract.Executor`."""

    def __init__(
        self,
        sink: Callable[[], Sink],
        pool: Pool,
        received: Sequence[str],
        workers: int | None,
        seconds_left: Callable[[], float],
    ) -> None:
        """With `workers` None, one process does it all until `seconds_left` says that takes long.

        And then one for each core.
        """
        self._here, self._pool, self._workers = Here(sink, received), pool, workers
        self._seconds_left = seconds_left
        self._is_told = False  # what a unit takes

    def run(
        self,
        works: Iterable[Work],
        over: Callable[[], str],
        tell: Tell,
        unit_is_done: Callable[[], None],
    ) -> None:
        left = deque(works)
        gradients = (cell.spec.gradient for work in left for cell in work.cells)
        few = self._workers == 1 or len(left) == 1

        def is_done() -> None:
            self._is_told = True
            unit_is_done()

        if not needs_other_process(gradients) and (few or self._workers is None):
            self._here.run(self._first(left, few=few), over, tell, is_done)
        if left and not over():
            self._pool.run(left, over, tell, is_done, self._most)

    def _first(self, left: deque[Work], *, few: bool) -> Iterator[Work]:
        """Units for this process: all that are left, or as many as do not take long."""
        while left and (few or not self._is_long()):
            yield left.popleft()

    def _most(self) -> int:
        """How many processes there may be now."""
        if self._workers is not None:
            return self._workers
        return cores() if self._is_long() else 1

    def _is_long(self) -> bool:
        """Whether what is left takes longer in one process than a pool and its start."""
        return self._is_told and cores() > 1 and self._seconds_left() > WORTH_A_POOL
