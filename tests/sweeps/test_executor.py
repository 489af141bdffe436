"""Executors differ in nothing but where they compute."""

import signal
import sys
from dataclasses import replace

import numpy as np
import pytest

from runner.config.run_name import within_sweep
from runner.record.journal import End, Reader, Start, paths
from runner.record.journals import Journals
from runner.sweeps.carry_out import carry_out
from runner.sweeps.executors import Here, Pool
from runner.sweeps.launch import settings
from runner.sweeps.source import all_at_once
from runner.tracking.session import Session, Settings, new_name
from tests.support.pipes import Pipes

SWEEPS = {
    "stacks": [["gradient=by_hand", f"lr={lr}"] for lr in (0.01, 0.1, 9.0, 0.02)],
    "lone cells": [["gradient=by_hand", "sweep.stack=false", f"lr={lr}"] for lr in (0.01, 9.0)],
    "both": [
        ["optimizer=adam", f"lr={lr}", f"model={m}"]
        for lr in (0.1, 0.2)
        for m in ("scalar", "linear")
    ],
}


@pytest.fixture
def carried_out(composer, tmp_path, monkeypatch):
    """Carry out a sweep with that executor: its results, and the runs as the journals have them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["runner", "-m"])

    def made(sweep, executor):
        cells = [composer.cell([*typed, "tracking=off", "epochs=40"]) for typed in SWEEPS[sweep]]
        named = zip(cells, within_sweep(cells), strict=True)
        cells = [replace(cell, name=name) for cell, name in named]
        tracking = Settings.of(cells[0].spec)
        session = Session(tracking, new_name())
        ended = carry_out(
            all_at_once(cells), settings(cells), session, lambda *how: executor(session, *how)
        )
        session.close()
        journals = Journals(session.name)
        return ended, journals.by_id(result.run for result in ended.results)

    return made


def here(session, received, progress):
    return Here(lambda: session.journal, received)


class _Pool:
    """Two local processes."""

    def __init__(self, session, received, progress):
        self._pool = Pool(session.path, torch=True)

    def run(self, *arguments):
        self._pool.run(*arguments, lambda: 2)


def pipes(session, received, progress):
    return Pipes(session.journal)


@pytest.mark.one_in(5)
@pytest.mark.bits
@pytest.mark.parametrize("other", [_Pool, pipes], ids=["pool", "pipes"])
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_executor_does_the_same(sweep, other, carried_out):
    """Outcomes, rows to the last bit, tags and figures; each cell once."""
    (one, runs), (two, others) = (carried_out(sweep, made) for made in (here, other))
    assert len(runs) == len(others) == len(SWEEPS[sweep])
    for result, its in zip(one.results, two.results, strict=True):
        same = {"run": "", "seconds": 0.0, "metrics": {}}
        assert repr(result._replace(**same)) == repr(its._replace(**same))
    for run, its in zip(runs, others, strict=True):
        assert (run.name, run.tags, run.params) == (its.name, its.tags, its.params)
        assert {**run.figures, "seconds": 0} == {**its.figures, "seconds": 0}
        for name in run.trajectory().rows.dtype.names:
            if name != "time":
                here_rows, there_rows = (r.trajectory().rows[name] for r in (run, its))
                np.testing.assert_array_equal(here_rows, there_rows)


@pytest.mark.slow
def test_no_folder_is_shared(carried_out, tmp_path):
    """Nothing is left where the units were computed; all records are where the sweep is led."""
    made = []

    def kept(session, *how):
        made.append(Pipes(session.journal))
        return made[0]

    carried_out("both", kept)
    assert len(made[0].folders) > 1
    assert not [path for folder in made[0].folders for path in folder.iterdir()]
    [path] = paths()
    kinds = [type(record.content) for record in Reader(path).rest()]
    assert kinds.count(Start) == kinds.count(End) == 1 + len(SWEEPS["both"])


@pytest.mark.parametrize("at", ["begin", "record", "end"])
def test_what_came_before_a_process_was_lost_is_kept(at, carried_out, tmp_path, monkeypatch):
    """Its unit is carried out once more; the lost attempt is a run that was cut off."""
    monkeypatch.setenv("DIES_AT", at)
    monkeypatch.setenv("DIED", str(tmp_path / "died"))
    ended, runs = carried_out("stacks", pipes)
    assert [run.outcome for run in runs] == ["exhausted", "converged", "diverged", "converged"]
    assert (tmp_path / "died").exists()
    journals = Journals()
    [sweep] = journals.found(ended.run)
    lost = {run for run, head in journals._heads.items() if head.parent == sweep.id}
    lost -= {run.id for run in runs}
    assert len(lost) == {"begin": 0, "record": 4, "end": 4}[at]
    assert {run.outcome for run in journals.by_id(lost)} <= {"interrupted"}


def test_a_signal_ends_units_here_and_starts_no_more(carried_out):
    """As it does in every executor: what has come by then is looked at between units and steps."""

    def stopped(session, received, progress):
        received.append(signal.Signals.SIGTERM.name)
        return Here(lambda: session.journal, received)

    ended, _ = carried_out("lone cells", stopped)
    assert ended.results == []
    assert ended.received == ["SIGTERM"]
