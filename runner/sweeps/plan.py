"""The plan of a sweep: which cells are done, which form stacks, which run alone, and why."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from runner.config.cell import Cell
from runner.config.spec import Checked
from runner.dataset.samples import Dataset
from runner.engine.check import checked
from runner.engine.draws import Draws
from runner.engine.experiment import compose
from runner.engine.fingerprint import fingerprint
from runner.engine.stack import Parts, impossible, prepare, refusal, slower
from runner.engine.stop import most_steps
from runner.errors import ConfigError
from runner.sweeps.compose import refuse
from runner.sweeps.executors.result import Result, result

SLICE_BYTES = 128 * 2**20  # of what a slice of a stack holds at once
SLICE_CELLS = 500  # beyond it, a step gains nothing, and the first cells are published later


class WorkUnit(NamedTuple):
    """What one process executes at once: a slice of a stack, or a lone cell."""

    numbers: tuple[int, ...]
    parts: Sequence[Parts] | None
    """What the cells bring to a stack; None for a lone one."""


class CellGroup(NamedTuple):
    """Cells of one structure, and why they run alone if they do."""

    numbers: tuple[int, ...]
    units: tuple[WorkUnit, ...]
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
    groups: Sequence[CellGroup]
    spaced: int = 0
    """Of so many cells not all parameters are recorded at every step."""
    most_bytes: int = 0
    """That the parameters of the others take, if all of their epochs are used."""

    @property
    def units(self) -> list[WorkUnit]:
        return [unit for group in self.groups for unit in group.units]

    def among(self, cells: Sequence[Cell], numbers: Sequence[int], first: int = 0) -> "Plan":
        """The same, as those `numbers` of more cells, that come after `first` others."""

        def moved(own: Sequence[int]) -> tuple[int, ...]:
            return tuple(numbers[number] + first for number in own)

        groups = [
            group._replace(
                numbers=moved(group.numbers),
                units=tuple(WorkUnit(moved(unit.numbers), unit.parts) for unit in group.units),
            )
            for group in self.groups
        ]
        data: list[Any] = [None] * len(cells)
        fingerprints = [""] * len(cells)
        for own, number in enumerate(numbers):
            data[number], fingerprints[number] = self.data[own], self.fingerprints[own]
        done = [one._replace(cell=numbers[one.cell] + first) for one in self.done]
        return self._replace(
            cells=cells, data=data, fingerprints=fingerprints, groups=groups, done=done
        )

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
    for number in range(len(cells)):
        parts = prepared[number]
        structure = parts if isinstance(parts, str) else parts.structure
        by_structure.setdefault(structure, []).append(number)
    groups = []
    for numbers in by_structure.values():
        rest = numbers if prune else [number for number in numbers if number in left]
        group = _group(numbers, rest, prepared, stack, workers)
        groups.append(_left(group, left) if prune else group)
    groups = [group for group in groups if group.units]
    if prune:
        left = {number for group in groups for number in group.numbers}
        finished = [one for one in finished if one.cell not in left]
    few = sum(kept[number] is None for number in left)
    most = sum(kept[number] or 0 for number in left)
    return Plan(cells, data, fingerprints, finished, _merged(groups), few, most)


def _left(group: CellGroup, left: Set[int]) -> CellGroup:
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
            spec = checked(cell)
            data.append(draws.dataset(spec))
            own, kept = _parts(spec, data[-1], stack)
            prepared.append(own)
            room.append(kept)
        except ConfigError as error:
            faults.append((cell.overrides, str(error).replace("\n", "\n  ")))
    refuse(faults)
    return prepared, data, room


def _parts(spec: Checked, data: Dataset, stack: Stack) -> tuple[Parts | str, int | None]:
    """What the cell brings to a stack, or why it runs alone; its room. Raises ConfigError."""
    why = refusal(spec)
    if not why:
        parts = prepare(spec, data)
        why = None if stack is True else parts.doubt
        if not why:
            steps = parts.setup.most_steps
            return parts, None if parts.is_spaced else steps * parts.start.nbytes
    made = compose(spec, data)  # to know that it can run
    steps = most_steps(spec.epochs, len(made.batches.sizes), spec.max_steps)
    return why, None if made.spacing else steps * made.initial.nbytes


def _group(
    numbers: Sequence[int],
    rest: Sequence[int],
    prepared: Sequence[Parts | str],
    stack: Stack,
    workers: int,
) -> CellGroup:
    """Return how the `rest` of these cells, all of one structure, is executed.

    Whether they are stacked is decided for all of them, whatever is done already and however they
    are divided among workers: otherwise a cell's numbers would depend on that.
    """
    first = prepared[numbers[0]]
    units = tuple(WorkUnit((number,), None) for number in rest)
    if isinstance(first, str):
        return CellGroup(tuple(rest), units, first, "")
    parts: list[Any] = [prepared[number] for number in numbers]
    most = _slice(parts)
    if stack is False:
        alone: str | None = "sweep.stack=false"
    elif len(numbers) == 1 and stack is not True:
        alone = "no other cell has its structure"
    else:
        tried = parts[:most]
        alone = (None if stack is True else slower(tried)) or impossible(tried)
    if not alone and rest:
        size = min(most, -(-len(rest) // workers))
        slices = [rest[at : at + size] for at in range(0, len(rest), size)]
        brought = dict(zip(numbers, parts, strict=True))
        units = tuple(WorkUnit(tuple(some), [brought[n] for n in some]) for some in slices)
    return CellGroup(tuple(rest), units, alone, first.setup.loop, first.doubt)


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


def _merged(groups: Iterable[CellGroup]) -> list[CellGroup]:
    """Stacks first; lone cells that run alone for the same reason, in one group."""
    merged: list[CellGroup] = []
    alone: dict[str, list[CellGroup]] = {}
    for group in groups:
        if group.alone:
            alone.setdefault(group.alone, []).append(group)
        else:
            merged.append(group)
    for why, some in alone.items():
        numbers = tuple(sorted(number for group in some for number in group.numbers))
        merged.append(CellGroup(numbers, tuple(WorkUnit((n,), None) for n in numbers), why, ""))
    return merged
