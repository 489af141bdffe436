"""Verifying a sweep's stacks: what rounding explains, and how loud the rest is."""

from dataclasses import replace

import numpy as np
import pytest

from runner.record.column import declared
from runner.record.journal import Reader
from runner.record.trajectory import assembled
from runner.sweeps import verify
from runner.sweeps.executors.result import Result
from runner.sweeps.plan import Plan, plan
from tests.sweeps.test_sweep import children_of

MODEL = "model._target_=tests.support.parts."
KINKED = ["optimizer=adam", "loss=mae", "epochs=150"]


@pytest.mark.bits
def test_a_kink_ends_cells_where_it_ends_their_lone_runs(runner, tmp_path, store):
    """The cell that converged at epoch 11 alone and was exhausted at 150 beside another one.

    Another processor may round to another side of the kink, but alone and in a stack alike.
    """
    done = runner(tmp_path, "-m", *KINKED, "lr=0.2,0.1", "sweep.verify=2")
    assert "verified    2 cells alone: largest difference 0 (" in done.stdout
    _, _, children = children_of(store, tmp_path)
    [cell] = [child for child in children if child.data.params["lr"] == "0.2"]
    (tmp_path / "alone").mkdir()
    runner(tmp_path / "alone", *KINKED, "lr=0.2")
    _, [lone] = store(tmp_path / "alone")
    for key in ("outcome", "loop"):
        assert cell.data.tags[key] == lone.data.tags[key]
    for key in ("epochs_run", "final_loss"):
        assert cell.data.metrics[key] == lone.data.metrics[key]


@pytest.mark.slow
def test_a_difference_is_loud(runner, tmp_path, store):
    """Named cells, both numbers, exit status 1, a failed parent with a tag."""
    typed = [f"{MODEL}Frozen", "~model.initial", "epochs=20", "lr=range(0.01,0.1,0.01)"]
    done = runner(tmp_path, "-m", *typed, "sweep.verify=2", "sweep.stack=true", status=1)
    _, parent, children = children_of(store, tmp_path)
    assert "DIFFERENT   2 of 2 cells, by more than rounding explains:" in done.stdout
    assert done.stdout.count(" in the stack, ") >= 2
    assert "sweep.stack=false" in done.stdout
    assert parent.info.status == "FAILED"
    assert parent.data.tags["different"].count("lr=") == 2
    assert {child.info.status for child in children} == {"FINISHED"}


@pytest.mark.slow
def test_a_part_that_does_not_repeat_itself_is_loud(runner, tmp_path):
    """Its own noise is not taken for what rounding explains."""
    typed = [f"{MODEL}Unseeded", "~model.initial", "epochs=10", "seed=0,1,2", "sweep.stack=true"]
    done = runner(tmp_path, "-m", *typed, status=1)
    assert "alone, it does not come out the same twice: loss " in done.stdout


def test_where_nothing_was_stacked_verify_says_so(runner, tmp_path):
    typed = [f"{MODEL}Frozen", "~model.initial", "epochs=3", "lr=0.01,0.02"]
    done = runner(tmp_path, "-m", *typed, "sweep.verify=2")
    assert "verified    nothing: no cell ran in a stack" in done.stdout


@pytest.fixture
def sweep(composer):
    """The plan of nine cells in a stack, and results for them."""
    cells = [composer.cell(["gradient=by_hand", f"lr=0.0{n + 1}"]) for n in range(9)]
    planned = plan(cells, stack="auto", done={}, workers=1)
    return planned, [Result(n, "exhausted", f"run {n}", 10 + n) for n in range(9)]


@pytest.mark.parametrize(
    ("count", "cells"),
    [(0, []), (1, [4]), (2, [2, 6]), (3, [1, 4, 7]), (9, [*range(9)]), (99, [*range(9)])],
)
def test_cells_are_chosen_by_spread(count, cells, sweep):
    planned, results = sweep
    assert [r.cell for r in verify.chosen(planned, results[::-1], count)] == cells


def test_failed_and_interrupted_cells_are_not_chosen(sweep):
    planned, results = sweep
    results[4] = results[4]._replace(outcome="failed")
    results[5] = results[5]._replace(outcome="interrupted")
    assert {4, 5}.isdisjoint(r.cell for r in verify.chosen(planned, results, 9))


def test_of_a_doubtful_stack_one_is_chosen_unasked(sweep):
    """The longest but the first, unless one that is chosen already will do."""
    planned, results = sweep
    [group] = planned.groups
    [unit] = group.units
    doubtful = [part._replace(doubt="who knows") for part in unit.parts]
    planned = Plan(*planned[:4], [group._replace(units=(unit._replace(parts=doubtful),))])
    assert [r.cell for r in verify.chosen(planned, results, 0)] == [8]
    assert [r.cell for r in verify.chosen(planned, results, 1)] == [4]
    results[0] = results[0]._replace(epochs=99)
    assert [r.cell for r in verify.chosen(planned, results, 0)] == [8]


@pytest.fixture
def recorded(composer, tmp_path):
    """A cell, its data, its result and its rows as a stack has recorded them."""
    from runner.record.journal import Journal
    from runner.sweeps.executors.work import Work, do

    def made(*words):
        cells = [composer.cell([*words, f"lr={lr}"]) for lr in (0.05, 0.02)]
        planned = plan(cells, stack="auto", done={}, workers=1)
        [unit] = planned.units
        journal, results = Journal(tmp_path / "journal.db"), []
        do(
            Work(unit.numbers, cells, planned.data, ["", ""], unit.parts, "", ""),
            journal,
            [],
            results.append,
        )
        journal.close()
        [result] = [r for r in results if r.cell == 0]
        records = Reader(tmp_path / "journal.db").rest()
        own = [r.content for r in records if r.run == result.run]
        columns = declared(own[0])
        kept = assembled(columns, [part for part in own if isinstance(part, np.ndarray)])
        return cells[0], planned.data[0], result, kept

    return made


PARTS = ["dataset=plane", "model=linear", "epochs=40"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_rounding_explains_is_no_fault(dtype, recorded):
    found = verify.difference(*recorded(*PARTS, f"dtype={dtype}"))
    assert found.fault == ""
    assert found.largest < 100 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("what", ["loss", "parameters"])
def test_what_rounding_does_not_explain_is_a_fault(dtype, what, recorded):
    """A change of a thousandth, and one of some thousand units of rounding."""
    cell, data, result, rows = recorded(*PARTS, f"dtype={dtype}")
    for change in (1e-3, 1e4 * float(np.finfo(dtype).eps)):
        wrong = rows.rows.copy()
        wrong[what][20:] *= 1 + change
        found = verify.difference(cell, data, result, replace(rows, rows=wrong))
        assert " at step 20 is " in found.fault
        assert " alone" in found.fault


def test_another_end_is_a_fault_unless_a_loss_is_at_the_threshold(recorded):
    cell, data, result, rows = recorded(*PARTS)
    short = result._replace(outcome="converged", epochs=20)
    first = replace(rows, rows=rows.rows[:21])
    assert verify.difference(cell, data, short, first).fault == (
        "converged at epoch 20 in the stack, exhausted at epoch 40 alone"
    )
    loss = float(rows.step_losses[20])
    near = replace(cell, values={**cell.values, "tolerance": loss})  # not below it, by a hair
    assert verify.difference(near, data, short, first).fault == ""
