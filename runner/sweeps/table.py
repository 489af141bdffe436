"""A sweep's cells as a table: what a person reads at its end, and the file with all of them."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.base.console import WIDTH, painted
from runner.base.overrides import key_of
from runner.base.seeds import is_seed
from runner.base.text import shorten
from runner.config.cell import NOT_THE_EXPERIMENT, Cell
from runner.config.schema import leaves
from runner.engine import identity
from runner.engine.stop import OUTCOMES, best_first
from runner.record.differing import distinct, informative, of_setting
from runner.record.run import FIGURES, KNOWN
from runner.sweeps import by_setting
from runner.sweeps.by_setting import EndedCell
from runner.sweeps.executors.result import Result

DATA = ("dataset", "objective", "validation", "validation_data", "split_seed")
"""Nodes of a config that say what the data are."""
BEST, FAILED = 5, 10
"""So many of the best and of the failed cells are printed."""


def swept(cells: Sequence[Cell]) -> list[str]:
    """The names of the params in which the cells differ, first those that were overridden.

    What follows from these, as `optimizer.lr` does from `lr`, is not told again.
    """
    named = dict.fromkeys(map(key_of, _overrides(cells)))
    columns = {key: [value_of(cell, key) for cell in cells] for key in named}
    tops = [key for key, value in cells[0].values.items() if _varies(cells, key, value)]
    own = [dict(leaves({top: cell.values.get(top) for top in tops})) for cell in cells]
    for key in dict.fromkeys(key for leaf in own for key in leaf):
        columns.setdefault(key, [str(leaf.get(key, "")) for leaf in own])
    return informative(columns, named)


def _varies(cells: Sequence[Cell], key: str, value: Any) -> bool:
    return key not in NOT_THE_EXPERIMENT and any(cell.values.get(key) != value for cell in cells)


def _overrides(cells: Sequence[Cell]) -> list[str]:
    return [text for cell in cells for text in cell.overrides]


def value_of(cell: Cell, key: str) -> str:
    """A param's value, or all that is below that name."""
    if key in cell.choices:
        return str(cell.choices[key])
    top = key.partition(".")[0]  # a sweep of thousands asks for each cell: look no farther
    there = {top: cell.values[top]} if top in cell.values else {}
    own = [(k, v) for k, v in leaves(there) if k == key or k.startswith(f"{key}.")]
    return str(own[0][1]) if len(own) == 1 else str(own)


def best(results: Sequence[Result]) -> list[Result]:
    """Return those that end in a number, the best first; of equals the one composed first."""
    return best_first(sorted(results, key=lambda r: r.cell))


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many cells have ended in each outcome, in the order in which outcomes are told."""
    counted = Counter(r.outcome for r in results)
    return {outcome: counted[outcome] for outcome in OUTCOMES if counted[outcome]}


def printed(cells: Sequence[Cell], results: Sequence[Result]) -> str:
    """The table, within 80 columns."""
    ended = counts(results)
    if missing := len(cells) - len(results):
        ended["not run"] = missing
    lines = [f"{painted(f'{outcome:<14}', outcome)}{count}" for outcome, count in ended.items()]
    if of_settings := list(_by_setting(cells, results)):
        lines += ["", *of_settings]
    elif first := best(results)[:BEST]:
        lines += ["", f"{'best cells':<14}{'final loss':>14}{'epochs':>9}  {'outcome':<13} run"]
        lines += [
            f"{'':<14}{r.final_loss:>14.8g}{r.epochs:>9}  {painted(f'{r.outcome:<13}', r.outcome)} "
            f"{shorten(identity.name(cells[r.cell]), WIDTH - 53)}"
            for r in first
        ]
    failed = [r for r in results if r.outcome == "failed"]
    lines += [""] if failed else []
    for r in failed[:FAILED]:
        name = identity.name(cells[r.cell])
        together = len(name) + len(r.reason) + 14 <= WIDTH
        told = f"{name}: {r.reason}" if together else f"{name}:\n{'':<12}{r.reason}"
        lines.append(f"{painted('failed', 'failed')}      {told}")
    if len(failed) > FAILED:
        lines.append(f"            and {len(failed) - FAILED} more: see cells.csv")
    return "\n".join(lines)


def _by_setting(cells: Sequence[Cell], results: Sequence[Result]) -> Iterator[str]:
    """A line a setting, where a seed was swept."""
    keys = swept(cells)
    others = [key for key in keys if not is_seed(key)]
    if len(others) == len(keys) or not any(r.epochs for r in results):
        return
    ended = [
        EndedCell(
            *of_setting({key: value_of(cells[r.cell], key) for key in others}),
            _data(cells[r.cell]),
            r.outcome,
            r.final_loss,
            r.best_loss,
        )
        for r in results
    ]
    yield from by_setting.lines(ended)


def _data(cell: Cell) -> str:
    """What the config says of the cell's data."""
    keys = DATA if cell.values.get("validation") else DATA[:-1]
    return json.dumps([cell.values.get(key) for key in keys], default=str)


def as_csv(cells: Sequence[Cell], results: Sequence[Result]) -> bytes:
    """A row for each cell: name, swept values, and what became of it; UTF-8."""
    by_cell: Mapping[int, Result] = {r.cell: r for r in results}
    keys = swept(cells)
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow([*KNOWN, *distinct(keys, (*KNOWN, *FIGURES)), *FIGURES])
    for number, cell in enumerate(cells):
        r = by_cell.get(number, Result(number, "not run"))
        own = [value_of(cell, key) for key in keys]
        numbers = [r.final_loss, r.best_loss, r.seconds]
        shown = ["" if math.isnan(x) else repr(x) for x in numbers]
        row = [number, r.run, identity.name(cell), *own, r.outcome, r.epochs, *shown]
        table.writerow([*row, r.was_done, r.reason])
    return out.getvalue().encode("utf-8", "backslashreplace")
