"""Where the cells of a sweep come from: all at once, or one round after the other."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple

from runner.config.cell import Cell
from runner.sweeps.executors.result import Result

Rounds = Generator[Sequence[Cell], Sequence[Result], None]
"""The cells of each round, from what became of those of the round before."""


class CellSource(NamedTuple):
    """The cells of a sweep."""

    span: Sequence[Cell]
    """Cells that differ in whatever any two of them differ in: all, or some of a search"""
    rounds: Rounds
    most: int
    """How many there are, at most"""
    lines: Sequence[str] = ()
    """What a person is told of it beside the plan"""
    found: Callable[[], Mapping[str, str]] = dict
    """What is to be told of it at the end, as tags of the sweep's own run"""

    @property
    def is_search(self) -> bool:
        """Whether what comes next depends on what came of those before."""
        return bool(self.lines)

    def mapped(self, change: Callable[[Sequence[Cell]], Sequence[Cell]]) -> "CellSource":
        """The same with other cells in the place of each round's."""

        def rounds() -> Rounds:
            try:
                cells = next(self.rounds)
                while True:
                    results = yield change(cells)
                    cells = self.rounds.send(results)
            except StopIteration:
                return

        span = change(self.span)
        most = self.most * len(span) // len(self.span)
        return self._replace(span=span, rounds=rounds(), most=most)


def all_at_once(cells: Sequence[Cell]) -> CellSource:
    """Cells of which each is known."""

    def once() -> Rounds:
        yield cells

    return CellSource(cells, once(), len(cells))
