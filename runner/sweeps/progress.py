"""What a person sees while a sweep goes on: a bar over cells, and how long it may take."""

import time
from typing import Any

from runner.base.console import on_terminal, say
from runner.sweeps import table
from runner.sweeps.executors.result import Result

BAR_DELAY = 1.5  # seconds; a shorter sweep shows no bar
WORTH_TELLING = 5.0  # seconds that are left
TOLD_AFTER = 10  # the share of the cells, in parts, after which an estimate is one


class Progress:
    """Collects results; on a terminal, shows how many cells have ended how."""

    def __init__(self, cells: int) -> None:
        self.results: list[Result] = []
        self._cells = cells
        self._began = self._shown = time.monotonic()
        self._bar: Any = None
        self._estimated = False

    def tell(self, result: Result) -> None:
        """Take note of a cell that has ended."""
        self.results.append(result)
        now = time.monotonic()
        if on_terminal() and now - self._shown > 0.1:
            self._show(now)

    def _show(self, now: float) -> None:
        self._shown = now
        if self._bar is None:
            if now - self._began < BAR_DELAY:
                return
            from tqdm import tqdm

            self._bar = tqdm(total=self._cells, unit=" cells", leave=False)
        self._bar.set_postfix(table.counts(self.results), refresh=False)
        self._bar.update(len(self.results) - self._bar.n)

    def unit_is_done(self) -> None:
        """Once, after a tenth of the cells: say how long the rest may take, if that is long."""
        if self._estimated or TOLD_AFTER * len(self.results) < self._cells or not self.results:
            return
        self._estimated = True
        if (left := self.seconds_left()) > WORTH_TELLING:
            say(f"about {left:.0f} s to go, by what the first of them took")

    def seconds_left(self) -> float:
        """An estimate, from what the cells that have ended have taken."""
        if not self.results:
            return 0.0
        each = (time.monotonic() - self._began) / len(self.results)
        return each * (self._cells - len(self.results))

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
