"""Cells of stacks run again, alone, and compared step by step with what was recorded of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runner import identity
from runner.cell import Cell
from runner.console import Console
from runner.experiment import compose
from runner.journal import Reader, Rows
from runner.run import train
from runner.sweep.result import Result
from runner.trajectory import Recorder


class Difference(NamedTuple):
    """How far a cell's trajectory in the stack is from the lone one."""

    cell: int
    largest: float
    """Of loss and parameters, relative to the largest magnitude of each."""
    stacked: tuple[object, ...]
    """Outcome and epochs."""
    alone: tuple[object, ...]


def chosen(results: Sequence[Result], stacked: set[int], count: int) -> list[Result]:
    """So many of the stacked cells that have ended by themselves, evenly over the sweep."""
    there = [r for r in results if r.cell in stacked and r.outcome not in ("failed", "interrupted")]
    there.sort(key=lambda r: r.cell)
    places = np.unique(np.linspace(0, len(there) - 1, min(count, len(there))).round().astype(int))
    return [there[place] for place in places] if there else []


def compare(
    cells: Sequence[Cell], results: Sequence[Result], journals: Iterable[Path]
) -> list[Difference]:
    """Run those cells alone, recording nothing, and compare."""
    recorded = _rows({r.run for r in results}, journals)
    return [_difference(cells[r.cell], r, recorded[r.run]) for r in results]


def told(cells: Sequence[Cell], differences: Sequence[Difference]) -> list[str]:
    """The largest difference in a line, and one for each cell that ended otherwise."""
    worst = max(differences, key=lambda d: d.largest)
    name = identity.name(cells[worst.cell])
    count = f"{len(differences)} cell" + ("" if len(differences) == 1 else "s")
    lines = [f"verified    {count} alone: largest difference {worst.largest:.2g} ({name})"]
    for d in differences:
        if d.stacked != d.alone:
            there, here = (f"{outcome} at epoch {epochs}" for outcome, epochs in d[2:])
            lines.append(f"            {identity.name(cells[d.cell])}: {there}, alone {here}")
    return lines


def _difference(cell: Cell, result: Result, rows: Rows) -> Difference:
    lone, *alone = _alone(cell)
    common = min(len(lone), len(rows))
    largest = 0.0
    for name in ("loss", "parameters"):
        here, there = (part[name][:common].astype(np.float64) for part in (lone, rows))
        scale = np.nanmax(np.abs(here), initial=0.0) or 1.0
        largest = max(largest, float(np.nanmax(np.abs(here / scale - there / scale), initial=0.0)))
    return Difference(result.cell, largest, (result.outcome, result.epochs), tuple(alone))


def _alone(cell: Cell) -> tuple[Rows, str, int]:
    """The trajectory, the outcome and the epochs of the cell's lone run."""
    kept: list[Rows] = []
    experiment = compose(cell.values)
    recorder = Recorder(experiment.initial, lambda rows: kept.append(rows.copy()))
    values = {**cell.values, "print_every": 0}
    console = Console(cell.values["epochs"], quiet=True)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        outcome = train(experiment, values, recorder, console, [])
    recorder.flush()
    return np.concatenate(kept), outcome, recorder.epochs


def _rows(runs: set[str], journals: Iterable[Path]) -> Mapping[str, Rows]:
    """What the journals have of these runs."""
    kept: dict[str, list[Rows]] = {run: [] for run in runs}
    for path in journals:
        for record in Reader(path).rest():
            if record.run in kept and isinstance(record.content, np.ndarray):
                kept[record.run].append(record.content)
    return {run: np.concatenate(chunks) for run, chunks in kept.items()}
