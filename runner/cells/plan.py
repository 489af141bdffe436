"""The plan of a sweep: which cells are done, which form stacks, which run alone, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from runner.cell import TARGET, Cell
from runner.cells.compose import refuse
from runner.cells.table import swept, value_of
from runner.check import check
from runner.config import ConfigError
from runner.console import WIDTH
from runner.dataset.samples import Dataset
from runner.draws import Draws
from runner.executor.result import Result, result
from runner.experiment import compose
from runner.fingerprint import fingerprint
from runner.stack import Parts, impossible, prepare, refusal, slower
from runner.stop import most_steps

ROOM = "record.most_bytes"
MUCH = 10**9  # bytes of parameters, told before they are written
SLICE_BYTES = 128 * 2**20  # of what a slice of a stack holds at once
LOOK: Any = {"subsequent_indent": " " * 16, "break_long_words": False}
SLICE_CELLS = 500  # beyond it, a step gains nothing, and the first cells are published later


class Unit(NamedTuple):
    """What one process executes at once: a slice of a stack, or a lone cell."""

    numbers: tuple[int, ...]
    parts: Sequence[Parts] | None
    """What the cells bring to a stack; None for a lone one."""


class Group(NamedTuple):
    """Cells of one structure, and why they run alone if they do."""

    numbers: tuple[int, ...]
    units: tuple[Unit, ...]
    alone: str | None
    loop: str
    doubt: str | None = None
    """Why the stack has to be verified, if it has to be"""


class Plan(NamedTuple):
    """What is to be done of a sweep's cells."""

    cells: Sequence[Cell]
    data: Sequence[Dataset]
    fingerprints: Sequence[str]
    done: Sequence[Result]
    groups: Sequence[Group]
    spaced: int = 0
    """Of so many cells not all parameters are recorded at every step."""
    most_bytes: int = 0
    """That the parameters of the others take, if all of their epochs are used."""

    @property
    def units(self) -> list[Unit]:
        return [unit for group in self.groups for unit in group.units]

    def numbered_from(self, first: int) -> "Plan":
        """The same of cells that come after so many others."""

        def moved(numbers: Sequence[int]) -> tuple[int, ...]:
            return tuple(number + first for number in numbers)

        groups = [
            group._replace(
                numbers=moved(group.numbers),
                units=tuple(Unit(moved(unit.numbers), unit.parts) for unit in group.units),
            )
            for group in self.groups
        ]
        done = [one._replace(cell=one.cell + first) for one in self.done]
        return self._replace(groups=groups, done=done)

    def followed_by(self, other: "Plan") -> "Plan":
        """Both together, the other numbered from the end of this."""
        return Plan(
            [*self.cells, *other.cells],
            [*self.data, *other.data],
            [*self.fingerprints, *other.fingerprints],
            [*self.done, *other.done],
            [*self.groups, *other.groups],
            self.spaced + other.spaced,
            self.most_bytes + other.most_bytes,
        )

    def headline(self) -> str:
        """`120 cells: 3 stacks (114), 6 alone, 0 already done`."""
        stacked = [group for group in self.groups if not group.alone]
        alone = sum(len(group.numbers) for group in self.groups if group.alone)
        count = sum(len(group.numbers) for group in stacked)
        stacks = _count(len(stacked), "stack")
        cells = _count(len(self.cells), "cell")
        return f"{cells}: {stacks} ({count}), {alone} alone, {len(self.done)} already done"

    def lines(self) -> list[str]:
        """The headline, and a line for each group."""
        own = list(self._group_lines())
        if self.spaced:
            which = _count(self.spaced, "cell")
            own.append(f"of {which}, norms at every step, all parameters at some: {ROOM}")
        if self.most_bytes >= MUCH:
            size = f"{self.most_bytes / MUCH:.1f} GB"
            kept = f"all parameters at every step: up to {size} in the journal"
            own.append(f"{kept}, and again as Parquet: {ROOM}")
        told = (f"  {line}" for line in own)
        return [self.headline(), *(part for line in told for part in wrap(line, WIDTH, **LOOK))]

    def _group_lines(self) -> Iterator[str]:
        everyone = Counter(
            (part, str(cell.choices[part])) for cell in self.cells for part in _chosen(cell)
        )
        everything = swept(self.cells) if len(self.groups) > 1 else []
        for group in self.groups:
            cells = [self.cells[number] for number in group.numbers]
            own = swept(cells)
            same = self._parts_of(cells, everyone)
            same += _constant(cells[0], [key for key in everything if key not in own])
            varying = ", ".join(own) or "nothing"
            if group.alone:
                yield f"alone {len(cells):>6}  {same}: {group.alone}"
            else:
                more = f", {len(group.units)} slices" if len(group.units) > 1 else ""
                more += ", verified afterwards" if group.doubt else ""
                yield f"stack {len(cells):>6}  {same}: {group.loop} over {varying}{more}"

    def _parts_of(self, cells: Sequence[Cell], everyone: Mapping[Any, int]) -> str:
        """The options chosen for these cells where others chose differently."""
        told = [
            f"{part}={','.join(dict.fromkeys(str(cell.choices[part]) for cell in cells))}"
            for part in _chosen(cells[0])
            if everyone[part, str(cells[0].choices[part])] < len(self.cells)
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


Stack = bool | str
"""Whether cells are stacked: `auto`; True also where it costs more or is not known to be right."""


def plan(
    cells: Sequence[Cell],
    *,
    stack: Stack,
    done: Mapping[str, Any],
    workers: int,
    prune: bool = False,
) -> Plan:
    """Check every cell, and say how each is to be executed; nothing runs yet.

    `done` has the finished runs by fingerprint. Where the cells of a stack `prune` one another, a
    slice of it is done as a whole or not at all. Raises ConfigError that names every bad cell.
    """
    with np.errstate(all="ignore"):  # data that overflow are refused, not warned of
        prepared, data, kept = _prepared(cells, stack)
    fingerprints = [
        fingerprint(cell.values, own.digest) for cell, own in zip(cells, data, strict=True)
    ]
    finished = [
        result(number, done[found].run, done[found].end, was_done=True)
        for number, found in enumerate(fingerprints)
        if found in done
    ]
    left = set(range(len(cells))) - {one.cell for one in finished}
    by_structure: dict[str, list[int]] = {}
    for number in range(len(cells)) if prune else sorted(left):
        parts = prepared[number]
        structure = parts if isinstance(parts, str) else parts.structure
        by_structure.setdefault(structure, []).append(number)
    groups = [
        _group(numbers, [prepared[number] for number in numbers], stack, workers)
        for numbers in by_structure.values()
    ]
    if prune:
        groups = [own for group in groups if (own := _left(group, left)).units]
        left = {number for group in groups for number in group.numbers}
        finished = [one for one in finished if one.cell not in left]
    few = sum(kept[number] is None for number in left)
    most = sum(kept[number] or 0 for number in left)
    return Plan(cells, data, fingerprints, finished, _merged(groups), few, most)


def _left(group: Group, left: Set[int]) -> Group:
    """The group with those of its units of which a cell is left."""
    units = tuple(unit for unit in group.units if left & {*unit.numbers})
    return group._replace(units=units, numbers=tuple(n for unit in units for n in unit.numbers))


def _prepared(
    cells: Sequence[Cell], stack: Stack
) -> tuple[list[Parts | str], list[Dataset], list[int | None]]:
    """Of each cell its parts or why it has none for a stack, its dataset, and its room.

    That is the bytes of all parameters of all steps, None where not all are recorded.
    """
    prepared: list[Parts | str] = []
    room: list[int | None] = []
    data: list[Dataset] = []
    faults = []
    draws = Draws()
    for cell in cells:
        try:
            check(cell.values, cell.choices, cell.overrides)
            data.append(draws.dataset(cell.values))
            own, kept = _parts(cell, data[-1], stack)
            prepared.append(own)
            room.append(kept)
        except ConfigError as error:
            faults.append((cell.overrides, str(error).replace("\n", "\n  ")))
    refuse(faults)
    return prepared, data, room


def _parts(cell: Cell, data: Dataset, stack: Stack) -> tuple[Parts | str, int | None]:
    """What the cell brings to a stack, or why it runs alone; its room. Raises ConfigError."""
    why = refusal(cell.values)
    if not why:
        parts = prepare(cell.values, data)
        why = None if stack is True else parts.doubt
        if not why:
            steps = parts.setup.most_steps
            return parts, None if parts.is_spaced else steps * parts.start.nbytes
    made = compose(cell.values, data)  # to know that it can run
    steps = most_steps(cell.values["epochs"], len(made.batches.sizes), cell.values["max_steps"])
    return why, None if made.spacing else steps * made.initial.nbytes


def _group(numbers: list[int], parts: list[Any], stack: Stack, workers: int) -> Group:
    """How these cells of one structure are executed."""
    units = tuple(Unit((number,), None) for number in numbers)
    if isinstance(parts[0], str):
        return Group(tuple(numbers), units, parts[0], "")
    loop, doubt = parts[0].setup.loop, parts[0].doubt
    size = min(_slice(parts), -(-len(numbers) // workers))
    if stack is False:
        alone: str | None = "sweep.stack=false"
    elif len(numbers) == 1:
        alone = "no other cell has its structure"
    else:
        alone = (None if stack is True else slower(parts[:size])) or impossible(parts[:size])
    if not alone:
        slices = [slice(at, at + size) for at in range(0, len(numbers), size)]
        units = tuple(Unit(tuple(numbers[some]), parts[some]) for some in slices)
    return Group(tuple(numbers), units, alone, loop, doubt)


def _slice(parts: Sequence[Parts]) -> int:
    """So many cells that their arrays and the predictions stay within SLICE_BYTES."""
    first = parts[0]
    shared = all(one.data is first.data for one in parts)
    of = first.setup
    batch = of.batch_size or len(of.data.y)
    numbers = 12 * first.start.size + 8 * batch * of.data.outputs
    if of.batch_size:  # the batch itself, and the order of the epoch
        numbers += batch * of.data.x.shape[1] + 2 * len(of.data.y)
    if of.data.validation:
        numbers += 4 * len(of.data.validation.y) * of.data.outputs
    numbers += 0 if shared else of.data.x.size
    return max(2, min(SLICE_CELLS, SLICE_BYTES // (numbers * first.start.itemsize)))


def _merged(groups: Iterable[Group]) -> list[Group]:
    """Stacks first; lone cells that run alone for the same reason, in one group."""
    merged: list[Group] = []
    alone: dict[str, list[Group]] = {}
    for group in groups:
        if group.alone:
            alone.setdefault(group.alone, []).append(group)
        else:
            merged.append(group)
    for why, some in alone.items():
        numbers = tuple(sorted(number for group in some for number in group.numbers))
        merged.append(Group(numbers, tuple(Unit((n,), None) for n in numbers), why, ""))
    return merged


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
