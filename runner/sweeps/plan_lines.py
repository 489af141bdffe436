"""The plan of a sweep as a person reads it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from runner.base.console import WIDTH
from runner.base.text import counted
from runner.config.cell import TARGET, Cell
from runner.sweeps.plan import Plan
from runner.sweeps.table import swept, value_of

ROOM = "record.most_bytes"
MUCH = 10**9  # bytes of parameters, told before they are written
LOOK: Any = {"subsequent_indent": " " * 16, "break_long_words": False}


def headline(planned: Plan) -> str:
    """`120 cells: 3 stacks (114), 6 alone, 0 already done`."""
    stacked = [group for group in planned.groups if not group.alone]
    alone = sum(len(group.numbers) for group in planned.groups if group.alone)
    count = sum(len(group.numbers) for group in stacked)
    done = sum(one.was_done for one in planned.done)
    stacks = counted(len(stacked), "stack")
    cells = counted(len(planned.cells), "cell")
    return f"{cells}: {stacks} ({count}), {alone} alone, {done} already done"


def lines(planned: Plan) -> list[str]:
    """The headline, and a line for each group."""
    own = list(_group_lines(planned))
    if planned.spaced:
        which = counted(planned.spaced, "cell")
        own.append(f"of {which}, norms at every step, all parameters at some: {ROOM}")
    if planned.most_bytes >= MUCH:
        size = f"{planned.most_bytes / MUCH:.1f} GB"
        kept = f"all parameters at every step: up to {size} in the journal"
        own.append(f"{kept}, and again as Parquet: {ROOM}")
    told = (f"  {line}" for line in own)
    return [headline(planned), *(part for line in told for part in wrap(line, WIDTH, **LOOK))]


def _group_lines(planned: Plan) -> Iterator[str]:
    everyone = Counter(
        (part, str(cell.choices[part])) for cell in planned.cells for part in _chosen(cell)
    )
    everything = swept(planned.cells) if len(planned.groups) > 1 else []
    for group in planned.groups:
        cells = [planned.cells[number] for number in group.numbers]
        own = swept(cells)
        same = _parts_of(planned, cells, everyone)
        same += _constant(cells[0], [key for key in everything if key not in own])
        varying = ", ".join(own) or "nothing"
        if group.alone:
            yield f"alone {len(cells):>6}  {same}: {group.alone}"
        else:
            more = f", {len(group.units)} slices" if len(group.units) > 1 else ""
            more += ", verified afterwards" if group.doubt else ""
            yield f"stack {len(cells):>6}  {same}: {group.loop} over {varying}{more}"


def _parts_of(planned: Plan, cells: Sequence[Cell], everyone: Mapping[Any, int]) -> str:
    """The options chosen for these cells where others chose differently."""
    told = [
        f"{part}={','.join(dict.fromkeys(str(cell.choices[part]) for cell in cells))}"
        for part in _chosen(cells[0])
        if everyone[part, str(cells[0].choices[part])] < len(planned.cells)
    ]
    return " ".join(told) or f"optimizer={cells[0].choices.get('optimizer')}"


def _constant(cell: Cell, keys: Sequence[str]) -> str:
    """The values of what was swept, and is the same in all cells of the one's group."""
    told = [
        f"{key}={value_of(cell, key)}"
        for key in keys
        if key.removesuffix(TARGET) not in cell.choices
    ]
    return "".join(f" {text}" for text in told)


def _chosen(cell: Cell) -> list[str]:
    return [part for part, option in cell.choices.items() if option and "/" not in part]
