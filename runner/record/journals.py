"""Runs from the journals of this folder: no tracking server is asked, and mlflow not imported."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from sys import intern
from typing import Any

from runner.base import project
from runner.errors import JournalError
from runner.record import journal, plain
from runner.record.column import Column, declared
from runner.record.journal import End, File, Reader, Record, Start
from runner.record.run import RecordedRun, cell_number, cell_rows, never_begun
from runner.record.tally import Tally
from runner.record.trajectory import Trajectory, assembled


@dataclass
class _Head:
    """Where a run is in its journal; its content is read again when it is asked for."""

    reader: Reader
    start: int
    columns: tuple[Column, ...]
    tally: Tally
    name: str
    time: float
    parent: str | None
    end: int | None = None
    rows: list[int] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)


class Journals:
    """See `runner.record.run.RunSource`."""

    def __init__(self, name: str = "", *, trust: bool = False) -> None:
        """Look through every journal whose name begins so.

        `trust` lets a report build whatever a journal names that was copied from elsewhere.
        """
        self._trust = trust
        self._trusted: dict[Path, bool] = {}
        self._heads: dict[str, _Head] = {}
        self._damage: dict[Path, str] = {}
        self._scanned: set[Path] = set()
        self._scan_all(name)

    def found(self, word: str) -> list[RecordedRun]:
        heads = self._heads
        if word == "latest":
            own = sorted(self.parentless(), key=lambda run: heads[run].time)
            return self._runs(own[-1:])
        if word in heads:
            return self._runs([word])
        named = [run for run, head in heads.items() if head.name == word]
        if named:
            return self._runs([max(named, key=lambda run: heads[run].time)])
        return self._runs([run for run in heads if run.startswith(word)])

    def cells(self, sweep: RecordedRun) -> list[RecordedRun]:
        rows = cell_rows(sweep)
        if not rows:  # it was cut off before it wrote its table
            own = [run for run, head in self._heads.items() if head.parent == sweep.id]
            return sorted(self._runs(own), key=cell_number)
        # An earlier sweep may have done some.
        found = {run.id: run for run in self.by_id(row["run"] for row in rows)}
        return [found.get(row["run"]) or never_begun(row, sweep) for row in rows]

    def by_id(self, ids: Iterable[str]) -> list[RecordedRun]:
        """The runs of these ids, in their order; those that are nowhere are left out."""
        wanted = list(ids)
        if not self._heads.keys() >= set(wanted):
            self._scan_all()
        return self._runs(run for run in wanted if run in self._heads)

    def parentless(self) -> list[str]:
        """The ids of the runs that are no cells of a sweep."""
        return [run for run, head in self._heads.items() if head.parent is None]

    def candidates(self) -> list[str]:
        return [*(head.name for head in self._heads.values()), *self._heads]

    def _scan_all(self, name: str = "") -> None:
        for path in journal.paths(name):
            if path not in self._scanned:
                self._scanned.add(path)
                self._scan(path)

    def _scan(self, path: Path) -> None:
        reader = Reader(path)
        try:
            for record in reader.rest():
                self._note(reader, record)
        except JournalError as error:  # what comes after has not been recorded whole
            self._damage[path] = str(error)
        except (KeyError, TypeError, ValueError) as error:  # whole, but it makes no run
            self._damage[path] = f"{project.shown(path)}: {type(error).__name__}: {error}"

    def _note(self, reader: Reader, record: Record) -> None:
        content = record.content
        if isinstance(content, Start):
            columns = declared(content)
            where = (reader, record.number, columns, Tally(columns))
            self._heads[record.run] = _Head(*where, content.name, content.time, content.parent)
            return
        head = self._heads[record.run]
        if isinstance(content, End):
            head.end = record.number
        elif isinstance(content, File):
            head.files[content.name] = record.number
        elif len(content):
            head.rows.append(record.number)
            head.end = None  # it goes on
            head.tally.take(content)

    def _runs(self, ids: Iterable[str]) -> list[RecordedRun]:
        ids = list(ids)
        heads = [self._heads[run] for run in ids]
        starts: dict[str, Start] = {}
        ends: dict[str, End] = {}
        for reader in dict.fromkeys(head.reader for head in heads):  # each is opened once
            own = [(run, self._heads[run]) for run in ids if self._heads[run].reader is reader]
            wanted = [(run, number) for run, head in own for number in (head.start, head.end)]
            there = [(run, number) for run, number in wanted if number]
            contents = reader.contents(number for _, number in there)
            for (run, _), content in zip(there, contents, strict=True):
                if isinstance(content, Start):
                    starts[run] = content
                elif isinstance(content, End):
                    ends[run] = content
        return [self._run(run, starts[run], ends.get(run)) for run in ids]

    def _run(self, run: str, start: Start, end: End | None) -> RecordedRun:
        head = self._heads[run]
        end = end or self._cut_off(head)
        is_trusted = self._is_trusted(head.reader)
        config = partial(json.loads if is_trusted else _foreign, json.dumps(start.config))
        return RecordedRun(
            id=run,
            name=start.name,
            time=start.time,
            parent=start.parent,
            params={intern(key): intern(value) for key, value in start.params.items()},
            tags={intern(k): intern(v) for k, v in {**start.tags, **end.tags}.items()},
            figures=end.metrics,
            outcome=end.outcome,
            reason=end.brief,
            config=config,
            trajectory=partial(_trajectory, head),
            file=partial(_file, head),
            trusted=is_trusted,
            journal=head.reader.place(),
        )

    def _is_trusted(self, reader: Reader) -> bool:
        path = reader.path
        if path not in self._trusted:
            self._trusted[path] = self._trust or journal.is_from_here(reader.place())
        return self._trusted[path]

    def _cut_off(self, head: _Head) -> End:
        """How a run stands that has no end in its journal."""
        path = head.reader.path
        damage = self._damage.get(path)
        if damage is None and journal.is_being_written(path):
            return End("running", head.tally.metrics())
        return head.tally.cut_off(damage, head.time)


def _foreign(text: str) -> dict[str, Any]:
    """Return the config of a journal from elsewhere as plain data. Raises ConfigError."""
    return plain.of_json(json.loads(text))


def _trajectory(head: _Head) -> Trajectory:
    return assembled(head.columns, head.reader.again(head.rows) if head.rows else ())


def _file(head: _Head, name: str) -> bytes | None:
    if name not in head.files:
        return None
    [content] = head.reader.contents([head.files[name]])
    assert isinstance(content, File)
    return content.content
