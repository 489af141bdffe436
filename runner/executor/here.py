"""Carries out units in this process, one after another."""

from collections.abc import Callable, Iterable, Sequence

from runner.executor.contract import Tell
from runner.executor.work import Work, do
from runner.record.journal import Sink


class Here:
    """See `runner.executor.contract.Executor`."""

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
