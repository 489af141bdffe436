"""What an executor is, and an engine, which has executors on other machines."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from runner.config.cell import Cell
from runner.record.journal import Journal
from runner.sweeps.executors.work import Tell, Work

__all__ = ["Engine", "Executor", "Tell"]


class Executor(Protocol):
    """Carries out units of work.

    What is recorded of a unit ends up in journals of the machine that leads: an executor is made
    with a sink, to which it hands on what its processes record, or with a place for journals that
    they write themselves. `sweeps.executors.work.do` is what a process does with a unit; it writes
    to any `runner.record.journal.Sink`, one that sends records through a pipe as well.
    """

    def run(
        self,
        works: Iterable[Work],
        over: Callable[[], str],
        tell: Tell,
        unit_is_done: Callable[[], None],
    ) -> None:
        """Carry out the units, until `over` says by what they are stopped: a signal, say.

        `tell` the result of each cell once it is recorded, of one that failed or was lost as well,
        and call `unit_is_done` after each unit. A process that is gone fails the cells of its unit
        alone, once these have been tried again. Raises JournalError where nothing can be recorded.
        """


class Engine(Protocol):
    """What carries out units on other machines, for all rounds of a sweep."""

    def check(self, cells: Sequence[Cell]) -> None:
        """Raise ConfigError, within seconds, where it cannot carry out such cells at all."""

    def executor(self, journal: Callable[[], Journal], received: Sequence[str]) -> Executor:
        """One for the units of a round, whose records go into the journal of who leads."""

    def close(self) -> None:
        """Leave the machines; whatever was started for the sweep ends."""
