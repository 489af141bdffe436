"""The samples of each step: streams from which a program takes one batch at a time, without end."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from runner.base.arrays import AnyArray, Index, State
from runner.engine.contract import Batch, Stateful


class Batches(Stateful, Protocol):
    """The samples of a run by itself, or of a stack; their state is where the next step is."""

    @property
    def sizes(self) -> Sequence[int]:
        """How many samples each step of an epoch has."""

    @property
    def samples(self) -> int:
        """Return how many samples there are, also where an epoch leaves some out."""

    @property
    def whole(self) -> Batch:
        """All samples, as a batch."""

    def __iter__(self) -> "Batches": ...

    def __next__(self) -> Batch: ...


class FullBatch:
    """All samples at every step."""

    def __init__(self, x: AnyArray, y: AnyArray, *, of_cells: bool = False) -> None:
        """`of_cells`: x and y have an axis of cells before."""
        self._all = self.batch = x, y
        self._of_cells = of_cells
        self._cells: Index | None = None
        self.samples = y.shape[1] if of_cells else len(y)
        self.sizes = [self.samples]

    @property
    def whole(self) -> Batch:
        return self.batch

    def __iter__(self) -> "FullBatch":
        return self

    def __next__(self) -> Batch:
        return self.batch

    def keep(self, cells: Index) -> None:
        self._cells = cells if self._cells is None else self._cells[cells]
        self._cut()

    def state(self) -> State:
        return {"cells": self._cells}

    def restore(self, state: State) -> None:
        self._cells = state["cells"]
        self._cut()

    def _cut(self) -> None:
        x, y = self._all
        there = self._of_cells and self._cells is not None
        self.batch = (x[self._cells], y[self._cells]) if there else self._all


class Order:
    """In which order, and how many at once, the samples of an epoch are taken."""

    def __init__(
        self, samples: int, size: int, seeds: Sequence[int], shuffle: str | bool, drop_last: bool
    ) -> None:
        """`shuffle` is `epoch`, `replacement` or False; `seeds` are the cells', or the run's."""
        self.seeds = seeds
        self.samples, self._shuffle = samples, shuffle
        self.starts = starts(samples, size, drop_last)
        self.sizes = [min(size, samples - start) for start in self.starts]

    def of_epoch(self, epoch: int, cells: Index) -> Index:
        """(cells, samples): which sample comes when for these cells, epochs counted from 1."""
        seeds = [self.seeds[cell] for cell in cells]
        drawn = {s: order(self.samples, s, epoch, self._shuffle) for s in dict.fromkeys(seeds)}
        return np.stack([drawn[seed] for seed in seeds])


def starts(samples: int, size: int, drop_last: bool) -> range:
    """Where in an epoch's order each batch begins."""
    return range(0, samples - size + 1 if drop_last else samples, size)


def order(samples: int, seed: int, epoch: int, shuffle: str | bool) -> Index:
    """(samples,): which sample comes when in that epoch, counted from 1.

    `epoch` is each sample once; `replacement` draws each time from all of them; False keeps the
    order of the dataset.
    """
    if shuffle is False:
        return np.arange(samples)
    rng = np.random.default_rng([seed, epoch])
    if shuffle == "replacement":
        return rng.integers(samples, size=samples)
    return rng.permutation(samples)


class MiniBatches:
    """A part of the samples at every step; each epoch has its own order."""

    def __init__(
        self,
        x: AnyArray,
        y: AnyArray,
        order: Order,
        as_index: Callable[[Index], AnyArray] = np.asarray,
        *,
        own_data: bool = False,
        own_order: bool = False,
    ) -> None:
        """`as_index` makes of an index what x and y are indexed with: PyTorch's, on its device.

        Of a stack: whether x and y have an axis of cells, and whether the cells' orders differ.
        """
        self._x, self._y, self._order, self._as_index = x, y, order, as_index
        self._own_data, self._own_order = own_data, own_order
        self.sizes, self.samples = order.sizes, order.samples
        self._cells = np.arange(len(order.seeds))
        self._epoch, self._step = 1, 0
        self._draw()

    @property
    def whole(self) -> Batch:
        if not self._own_data:
            return self._x, self._y
        return self._x[self._rows[:, 0]], self._y[self._rows[:, 0]]

    def __iter__(self) -> "MiniBatches":
        return self

    def __next__(self) -> Batch:
        if self._step == len(self.sizes):
            self._epoch, self._step = self._epoch + 1, 0
            self._draw()
        start = self._order.starts[self._step]
        chosen = self._drawn[..., start : start + self.sizes[self._step]]
        self._step += 1
        if self._own_data:
            return self._x[self._rows, chosen], self._y[self._rows, chosen]
        if self._own_order:
            return self._x[chosen], self._y[chosen]
        return _taken(self._x, chosen), _taken(self._y, chosen)

    def keep(self, cells: Index) -> None:
        self._cells = self._cells[cells]
        self._draw()

    def state(self) -> State:
        return {"cells": self._cells, "epoch": self._epoch, "step": self._step}

    def restore(self, state: State) -> None:
        self._cells, self._epoch, self._step = state["cells"], state["epoch"], state["step"]
        self._draw()

    def _draw(self) -> None:
        """The present epoch's order, of the cells that go on; one for all where they share it."""
        drawn = self._order.of_epoch(self._epoch, self._cells)
        if self._own_data:
            self._rows = self._as_index(self._cells[:, None])
        self._drawn = self._as_index(drawn if self._own_order else drawn[0])


def _taken(values: AnyArray, chosen: AnyArray) -> AnyArray:
    """Those samples: what `values[chosen]` gives takes twice the time."""
    if isinstance(values, np.ndarray):
        return values.take(chosen, axis=0)
    return values.index_select(0, chosen)
