"""One set of rules stops a lone run and the cells of a stack."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engine import stop
from runner.record.journal import Journal
from runner.sweeps.carry_out import work
from runner.sweeps.executors.work import do
from runner.sweeps.plan import plan

NUMBERS = st.one_of(st.floats(allow_nan=True), st.sampled_from([0.0, -1.0, 1e-9, 1.0, math.inf]))
CELLS = st.lists(
    st.tuples(st.booleans(), NUMBERS, st.integers(1, 5), st.sampled_from([0, 1e-9, 1.0])),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300)
@given(cells=CELLS, epoch=st.integers(1, 6))
def test_cells_stop_as_lone_runs_do(cells, epoch):
    """Over any loss, not finite ones too, and any limits."""
    lost, loss, epochs, tolerance = zip(*cells, strict=True)
    own = [stop.limits(*both) for both in zip(epochs, tolerance, strict=True)]
    alone = [
        stop.stopped(stop.Now(*one, epoch, epoch), limit)
        for *one, limit in zip(lost, loss, own, strict=True)
    ]
    found = [None] * len(cells)
    together = stop.together(own)
    now = stop.Now(np.array(lost), np.array(loss), epoch, epoch)
    for outcome, where in stop.stopped_cells(now, together):
        for cell in np.flatnonzero(where):
            assert found[cell] is None
            found[cell] = outcome
    assert found == alone


@pytest.mark.parametrize(
    ("lost", "loss", "epoch", "outcome"),
    [
        (True, 0.0, 9, "diverged"),
        (False, 0.4, 1, "converged"),
        (False, 0.4, 9, "converged"),
        (False, 0.5, 1, None),
        (False, 0.5, 8, None),
        (False, 0.5, 9, "exhausted"),
    ],
)
def test_the_order_of_the_rules(lost, loss, epoch, outcome):
    assert stop.stopped(stop.Now(lost, loss, epoch, epoch), stop.limits(9, 0.5)) == outcome


def test_a_tolerance_of_zero_is_never():
    assert stop.stopped(stop.Now(False, -5.0, 1, 1), stop.limits(9, 0)) is None
    assert stop.stopped(stop.Now(False, -5.0, 1, 1), stop.limits(9, 1e-9)) == "converged"


@pytest.mark.parametrize(("epochs", "outcome"), [(1, "exhausted"), (2, "interrupted")])
@pytest.mark.parametrize("stacked", [False, True])
def test_who_is_stopped_in_the_last_epoch_has_used_them_all(
    stacked, epochs, outcome, composer, tmp_path
):
    """Alone and in a stack, with a signal that has come before the first step."""
    cells = [composer.cell([f"epochs={epochs}", f"lr={lr}", "tolerance=0"]) for lr in (0.01, 0.02)]
    planned = plan(cells, stack=stacked, done={}, workers=1)
    journal, results = Journal(tmp_path / "journal.db"), []
    for unit in planned.units:
        do(work(planned, unit, "parent", ""), journal, ["SIGTERM"], results.append)
    journal.close()
    assert [(r.outcome, r.epochs) for r in results] == [(outcome, 1)] * 2
    assert {r.reason for r in results} == {"stopped by SIGTERM" if epochs > 1 else ""}
