"""Asks the journals of this folder, then MLflow, for what a person typed; each knows `latest`."""

import os
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from runner.errors import NotFound
from runner.record.journals import Journals
from runner.record.run import RecordedRun, RunSource
from runner.tracking.bounded import BOUNDED

SHOWN = 5
"""So many candidates are told."""


def take_word(parser: ArgumentParser) -> None:
    """Let a command take one word for a run or a sweep, which need not be typed."""
    parser.add_argument(
        "word",
        nargs="?",
        default="latest",
        metavar="RUN_OR_SWEEP",
        help="an id or its beginning, a name, or `latest`, the default",
    )


def find(
    words: Sequence[str], uri: str | None, *, trust: bool
) -> tuple[RecordedRun | None, list[RecordedRun]]:
    """The sweep, if one word names it and nothing else was asked for, and the runs.

    With a `uri`, only that store is asked. Raises NotFound.
    """
    sources = _Sources(uri, trust=trust)
    chosen: list[RecordedRun] = []
    sweeps: list[RecordedRun] = []
    for word in words:
        run, source = sources.one(word)
        if run.is_sweep:
            sweeps.append(run)
            chosen += source.cells(run)
        else:
            chosen.append(run)
    unique = list({run.id: run for run in chosen}.values())
    return (sweeps[0] if len(words) == 1 and sweeps else None), unique


def find_all(word: str, uri: str | None, *, trust: bool) -> tuple[RecordedRun, list[RecordedRun]]:
    """The run or the sweep that the word names, and the sweep's cells. Raises NotFound."""
    run, source = _Sources(uri, trust=trust).one(word)
    return run, source.cells(run) if run.is_sweep else []


def find_one(word: str, uri: str | None, *, trust: bool) -> RecordedRun:
    """The run or the sweep alone. Raises NotFound."""
    return _Sources(uri, trust=trust).one(word)[0]


class _Sources:
    """The journals, and MLflow once something is not there."""

    def __init__(self, uri: str | None, *, trust: bool) -> None:
        self._uri, self._trust = uri, trust
        self._journals: RunSource | None = None if uri else Journals(trust=trust)
        self._mlflow: RunSource | None = None

    def one(self, word: str) -> tuple[RecordedRun, RunSource]:
        """The one run that the word means."""
        if not word.strip():
            raise NotFound("an empty word names no run")
        known: list[str] = []
        for source in self._all():
            found = source.found(word)
            if len(found) == 1:
                return found[0], source
            if found:
                these = "\n".join(f"  {run.id}  {run.name}" for run in found[:SHOWN])
                more = f"\n  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
                raise NotFound(f"{word}: is the beginning of {len(found)} ids:\n{these}{more}")
            known += source.candidates()
        if not known:
            raise NotFound(f"{word}: no run is recorded here yet")
        near = get_close_matches(word, dict.fromkeys(known), SHOWN, 0.4)
        would = "\n".join(["; the nearest are:", *(f"  {name}" for name in near)]) if near else ""
        raise NotFound(f"{word}: no such run, by id or by name{would}")

    def _all(self) -> Iterator[RunSource]:
        if self._journals is not None:
            yield self._journals
        if self._mlflow is None:
            os.environ.update(BOUNDED)
            from runner.tracking.reading import open_reader  # which imports mlflow

            self._mlflow = open_reader(self._uri, trust=self._trust)
        if self._mlflow is not None:
            yield self._mlflow
