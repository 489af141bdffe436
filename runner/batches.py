"""The samples of each step: a stream from which a program takes one batch at a time."""

from typing import Any


class FullBatch:
    """All samples at every step."""

    def __init__(self, x: Any, y: Any, *, of_cells: bool = False) -> None:
        """`of_cells`: x and y have an axis of cells before, of a stack whose cells have their own.

        Arrays of NumPy's or PyTorch's.
        """
        self._all = self._batch = x, y
        self._of_cells = of_cells
        self._indices: Any = None

    def __iter__(self) -> "FullBatch":
        return self

    def __next__(self) -> tuple[Any, Any]:
        return self._batch

    def keep(self, cells: Any) -> None:
        """Go on with the cells at these indices among the present ones alone."""
        self._indices = cells if self._indices is None else self._indices[cells]
        self._cut()

    def state(self) -> dict[str, Any]:
        """Where in the data the next step is."""
        return {"indices": self._indices}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._indices = state["indices"]
        self._cut()

    def _cut(self) -> None:
        x, y = self._all
        there = self._of_cells and self._indices is not None
        self._batch = (x[self._indices], y[self._indices]) if there else self._all
