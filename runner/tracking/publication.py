"""One journal on its way into a store: its records, as batches to write."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from runner.errors import JournalError, JournalUnavailable
from runner.record.column import Column
from runner.record.journal import End, File, Reader, Record, Rows, Start
from runner.tracking.batch import JOURNAL_TAG, Artifact, Batch, Points, Write
from runner.tracking.open_run import OpenRun
from runner.tracking.parquet import write_trajectory

# What becomes of a batch in a SQL store, roughly, indexes included. It stays in memory until the
# transaction ends; but each transaction writes much of the indexes anew, so few are better.
BATCH_BYTES = 128 * 2**20
POINT_BYTES = 300
PAIRS_BYTES = 6_000  # of what a run begins or ends with: params, tags, last metrics

MOST_RECORDS = 20_000  # in a batch, however small they are

DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # several times as fast

PLAINLY: dict[str, Any] = {"sort_keys": False, "allow_unicode": True}

log = logging.getLogger("runner.publish")


class Publication:
    """Reads a journal from its beginning to where it is now, and knows which runs are still open.

    Artifacts may be built in a temporary folder below `folder`, which `close` removes.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.damage: str | None = None
        """Where the journal is damaged, if it is."""
        self.runs: set[str] = set()
        """Every run in it so far."""
        self._reader = Reader(path)
        self._open: dict[str, OpenRun] = {}
        self._folder = folder / f".{path.stem}"
        self._latest: OpenRun | None = None
        self._recent: dict[str, list[Rows]] = {}  # those of the latest batch, by run
        self._again: list[Record] = []
        self.close()  # a publisher that was killed has left it

    def next_batch(self) -> Batch:
        """What has come since the last call, up to a bounded size; empty if nothing has.

        Raises JournalUnavailable, with nothing lost.
        """
        batch, size = Batch(), 0
        self._recent = {}
        if self.damage:
            return batch
        try:
            for record in chain(self._again, self._reader.read(MOST_RECORDS)):
                self._again = [record]  # if the journal cannot be read now
                size += self._add(record, batch)
                self._again = []
                if size > BATCH_BYTES:
                    break
        except JournalUnavailable:
            if not batch.runs():  # otherwise the next call will meet it again
                raise
        except JournalError as error:
            self.damage = str(error)
        except (IndexError, KeyError, TypeError, ValueError) as error:  # whole, but it makes no run
            log.exception("%s", self.path)
            self.damage = f"{self.path.name}: {type(error).__name__}: {error}"
        return batch

    @property
    def has_open(self) -> bool:
        """Whether there are runs without an end."""
        return bool(self._open)

    def cut_off(self) -> Batch:
        """Ends for runs that have none, once no more records will come; call until none is open.

        Raises JournalUnavailable, with nothing lost.
        """
        batch = Batch()
        for run, state in list(self._open.items()):
            end = state.tally.cut_off(self.damage, state.last_time)
            try:
                self._add(Record(run, end, 0), batch)
            except JournalUnavailable:
                if not batch.runs():
                    raise
                break
        return batch

    def is_gone(self) -> bool:
        """Return whether the journal was deleted, or its folder; one that is put away is there."""
        return self._reader.is_gone() and self._reader.is_gone()  # not while it moves

    def close(self) -> None:
        """Remove what was built."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _add(self, record: Record, batch: Batch) -> int:
        """Turn the record into parts of the batch; its size in bytes, roughly."""
        run, content = record.run, record.content
        if isinstance(content, Start):
            self._latest = self._open[run] = OpenRun(content, self._latest)
            self.runs.add(run)
            batch.starts[run] = replace(content, tags={**content.tags, JOURNAL_TAG: run})
            if content.config:
                self._attach(batch, run, "config.yaml", partial(_write_config, content.config))
            return PAIRS_BYTES
        if isinstance(content, End):
            state = self._state(record, batch)
            if state.thinning.is_needed:
                batch.points += self._rest(run, state)
                if said := state.thinning.told(state.tally.steps):
                    content = replace(content, tags={**content.tags, "thinned": said})
            if content.time < state.start_time:  # somebody has set the clock back
                content = replace(content, time=state.start_time)
            if content.metrics:
                now = np.array([int(content.time * 1000)])
                keys, values = list(content.metrics), np.array([list(content.metrics.values())])
                batch.points.append(Points(run, keys, np.zeros(1, np.int64), now, values))
            if reason := content.reason:
                content = replace(content, tags={**content.tags, "reason": content.brief})
                if content.brief != reason.strip():  # a traceback
                    text = reason.encode("utf-8", "backslashreplace")
                    self._attach(batch, run, "traceback.txt", partial(Path.write_bytes, data=text))
            if state.rows:
                write = self._trajectory(state, self._recent.get(run, []))
                self._attach(batch, run, "trajectory.parquet", write)
            batch.ends[run] = content
            del self._open[run]
            return PAIRS_BYTES
        if isinstance(content, File):
            name = "/".join(part for part in Path(content.name).parts if part not in ("/", ".."))
            self._attach(batch, run, name, partial(Path.write_bytes, data=content.content))
            return len(content.content)
        if not len(content):
            return 0
        points = self._state(record, batch).take(run, content)
        batch.points += points
        self._open[run].rows.append(record.number)
        self._recent.setdefault(run, []).append(content)
        return content.nbytes + POINT_BYTES * sum(some.values.size for some in points)

    def _state(self, record: Record, batch: Batch) -> OpenRun:
        """The record's run; read anew if it has ended before, and goes on."""
        run, opened = record.run, self._open
        if run not in opened:
            batch.ends.pop(run, None)
            batch.again.add(run)
            all_before = takewhile(lambda it: it.number < record.number, Reader(self.path).rest())
            for earlier in all_before:
                if earlier.run == run and isinstance(earlier.content, Start):
                    opened[run] = OpenRun(earlier.content)
                elif earlier.run == run and isinstance(earlier.content, np.ndarray):
                    opened[run].take(run, earlier.content)
                    opened[run].rows.append(earlier.number)
        return opened[run]

    def _rest(self, run: str, state: OpenRun) -> list[Points]:
        """The points of a long run that are known to belong into MLflow now that it has ended."""
        chunks = Reader(self.path).again(state.rows)
        return [some for rows in chunks for some in state.added(run, rows)]

    def _attach(self, batch: Batch, run: str, name: str, write: Write) -> None:
        batch.artifacts.append(Artifact(run, name, write, self._folder))

    def _trajectory(self, run: OpenRun, recent: list[Rows]) -> Write:
        """What writes the run's whole trajectory: no file is kept open for it until its end."""
        if len(recent) == len(run.rows):
            return partial(_write_rows, recent, run.columns)
        return partial(_write_again, self.path, run.rows, run.columns)


def _write_config(config: Mapping[str, Any], path: Path) -> None:
    parts = (_as_yaml(name, json.dumps(value)) for name, value in config.items())
    path.write_text("".join(parts), encoding="utf-8")


@lru_cache(maxsize=1000)
def _as_yaml(name: str, value: str) -> str:
    """One entry of a config, its value given as JSON: a sweep's cells have most in common."""
    text: str = yaml.dump({name: json.loads(value)}, Dumper=DUMPER, **PLAINLY)
    return text


def _write_rows(chunks: Sequence[Rows], columns: Sequence[Column], path: Path) -> None:
    if len(chunks) > 1 and len({chunk.dtype for chunk in chunks}) == 1:  # each takes a while
        chunks = [np.concatenate(chunks)]
    write_trajectory(path, columns, lambda: chunks)


def _write_again(
    journal: Path, numbers: Sequence[int], columns: Sequence[Column], path: Path
) -> None:
    write_trajectory(path, columns, lambda: Reader(journal).again(numbers))
