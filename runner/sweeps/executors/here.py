"""Carries out units in this process, one after another."""

from collections.abc import Callable, Iterable, Sequence

from runner.record.journal import Sink
from runner.sweeps.executors.contract import Tell
from runner.sweeps.executors.work import Work, do


class Here:
    """See `runner.sweeps.executors.contract.Executor`."""

    def __init__(self, sink: Callable[[], Sink], received: Sequence[str]) -> None:
        """`sink` is asked for when a unit begins; units end early once `received` is not empty."""
        self._sink, self._received = sink, received

    def run(
        self,
        works: Iterable[Work],
        over: Callable[[], str],
        tell: Tell,
        unit_is_done: Callable[[], None],
    ) -> None:
        for work in works:
            if over():
                return
            do(work, self._sink(), self._received, tell)
            unit_is_done()
