"""What long runs and large models leave: all in the journal's room, a thinned curve in MLflow."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

import runner as api
from runner.engine.vectors import is_whole, spacing
from runner.record.spacing import Spacing
from runner.tracking.reading import MlflowRuns
from runner.tracking.thinning import Thinning

WIDE = ["model=linear", "dataset=diabetes", "lr=0.1"]
LOOPS = {  # the fourth has one parameter, whose norm takes more room than itself
    "numpy": ["gradient=by_hand", "optimizer=momentum", *WIDE],
    "autograd": ["optimizer=by_hand", *WIDE],
    "module": ["optimizer=adam", *WIDE],
}
NONE = {"record.most_bytes": 0}


pytestmark = pytest.mark.usefixtures("here")


def assert_thinned(thin, whole):
    """The same run, with all parameters at some steps alone and norms at every one."""
    table, full = thin.trajectory, whole.trajectory
    for name in ("loss", "grad_norm"):
        np.testing.assert_array_equal(table[name], full[name])
    steps, best = thin.parameter_steps, int(np.nanargmin(full["loss"]))
    assert {0, best, len(full) - 1} <= {*steps} <= {0, 1, best, len(full) - 1}
    assert [*steps] == sorted(steps)
    np.testing.assert_array_equal(thin.parameters, whole.parameters[steps])
    for name, values in (("w", whole.parameters[:, :-1]), ("b", whole.parameters[:, -1:])):
        norms = np.linalg.norm(values.astype(np.float64), axis=1)
        np.testing.assert_allclose(table[f"{name}.norm"], norms, rtol=1e-6)


@pytest.mark.parametrize("loop", LOOPS)
def test_of_a_large_model_all_parameters_are_kept_at_some_steps(loop):
    thin, whole = (api.run("tracking=off", *LOOPS[loop], epochs=40, **how) for how in (NONE, {}))
    assert thin.loop == loop
    assert_thinned(thin, whole)


def test_in_a_stack_as_well():
    """Of cells that converge, are exhausted or diverge."""
    words = "tracking=off", "gradient=by_hand", "epochs=80", "tolerance=6000", *WIDE[:2]
    lr = [0.5, 0.001, 0.01, 9.0]
    thin, whole = (api.sweep(*words, lr=lr, **how) for how in (NONE, {}))
    assert {run.outcome for run in thin} == {"converged", "exhausted", "diverged"}
    assert {run.tags["stacked"] for run in thin} == {"true"}
    for one, other in zip(thin, whole, strict=True):
        assert_thinned(one, other)


@pytest.mark.slow
def test_a_person_is_told(tmp_path, runner):
    """By the plan, and by a run's last lines."""
    typed = "tracking=off", "record.most_bytes=10", "epochs=5", *WIDE[:2]
    told = "norms at every step, all parameters at "
    which = "the start, the best, the last and up to 1 more: record.most_bytes"
    assert f"{told}{which}" in runner(tmp_path, *typed).stdout
    lines = runner(tmp_path, "-m", *typed, "lr=0.1,0.2,0.3", "seed=1").stdout
    assert f"of 3 cells, {told}some: record.most_bytes" in lines
    assert told not in runner(tmp_path, "tracking=off", "epochs=5").stdout
    assert told not in runner(tmp_path, *typed[:3]).stdout  # of one parameter


@given(
    steps=st.integers(1, 10**6),
    parameters=st.integers(1, 10**7),
    room=st.integers(0, 2**30),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_the_room_is_kept(steps, parameters, room, dtype):
    """No trajectory of less room is thinned, and whole vectors take a small share of it."""
    size = np.dtype(dtype).itemsize * parameters
    assert is_whole(steps, parameters, dtype, room) == ((steps + 1) * size <= room)
    some = spacing(steps, parameters, dtype, room)
    assert some.holds(0)
    assert some.holds(1)
    assert some.count == 1 or some.count * size <= room / 32


@settings(deadline=None)
@given(steps=st.integers(1, 3000), count=st.integers(0, 4000))
def test_steps_are_spaced_by_their_logarithm(steps, count):
    """As many as there may be, or nearly half of that; by one step as by many."""
    own, all_steps = Spacing(steps, count), np.arange(1, steps + 1)
    chosen = [step for step in range(1, steps + 1) if own.holds(step)]
    assert chosen == [*all_steps[own.hold(all_steps)]]
    assert len(chosen) <= own.count
    assert len(chosen) == 1 or len(chosen) <= count
    assert len(chosen) > min(steps, count) / 4
    gaps = [*np.diff(chosen)]
    assert gaps == sorted(gaps)


def test_it_is_read_back_from_mlflow(here, empty_store):
    """The norms are metrics; the Parquet file has all parameters where there are any."""
    empty_store(here / "mlruns")
    many = {"model": "linear", "dataset": "diabetes", "epochs": 30, "lr": 0.1}
    thin, whole = api.run(**many, **NONE), api.run(**many)
    api.finish()
    store = f"sqlite:///{here}/mlruns/mlflow.db"
    client, source = MlflowClient(store), MlflowRuns(store, trust=True)
    [found] = source.found(thin.id)
    steps, values = found.trajectory().parameters
    np.testing.assert_array_equal(values, whole.parameters[steps])
    assert {0, 1, 30} <= {*steps}
    metrics = client.get_run(thin.id).data.metrics
    assert {"w.norm", "b.norm", "w.0", "w.9", "b"} <= metrics.keys()
    norms = [point.value for point in client.get_metric_history(thin.id, "w.norm")]
    np.testing.assert_allclose(norms, np.linalg.norm(whole.parameters[:, :-1], axis=1), rtol=1e-6)
    table = pq.read_table(client.download_artifacts(thin.id, "trajectory.parquet"))
    assert table["b"].to_pylist() == [
        float(whole.parameters[step, -1]) if step in steps else None for step in range(31)
    ]


def test_a_long_run_has_a_thinned_curve(here, empty_store):
    """In MLflow; its file has all, and the report reads that."""
    empty_store(here / "mlruns")
    long = {"gradient": "by_hand", "optimizer": "adam", "tolerance": 0, "tracking.points": 200}
    run, short = api.run(**long, epochs=1000), api.run(**{**long, "tolerance": 10}, epochs=1000)
    api.finish()
    store = f"sqlite:///{here}/mlruns/mlflow.db"
    client, source = MlflowClient(store), MlflowRuns(store, trust=True)
    for metric, start in (("loss", 0), ("w", 1)):
        points = client.get_metric_history(run.id, metric)
        steps = [point.step for point in points]
        assert len(steps) == len(set(steps)) <= 200 + start
        assert {*steps} >= expected(200, 1000, int(np.nanargmin(run.trajectory["loss"])))
        assert [point.value for point in points] == [*run.trajectory[metric][steps]]
    tags = client.get_run(run.id).data.tags
    assert tags["thinned"] == (
        "MLflow has one in 16 of 1000 steps, more of the first, the best and the last; "
        "trajectory.parquet has all"
    )
    [back] = source.found(run.id)
    np.testing.assert_array_equal(back.trajectory().step_losses, run.trajectory["loss"])
    assert 50 < short.epochs <= 200
    points = client.get_metric_history(short.id, "loss")
    assert {point.step for point in points} == {*range(1, short.epochs + 1)}
    assert "thinned" not in client.get_run(short.id).data.tags


def test_spaced_parameters_keep_to_the_points_as_well(here, empty_store):
    """However many steps there are at which all parameters are recorded."""
    empty_store(here / "mlruns")
    long = {"gradient": "by_hand", "tolerance": 0, "tracking.points": 200, "epochs": 20_000}
    room = {"record.most_bytes": 20_000 * 11 * 4}  # a little less than all
    run = api.run(*WIDE, **long, **room)
    assert 200 < len(run.parameter_steps) < 20_000
    api.finish()
    client = MlflowClient(f"sqlite:///{here}/mlruns/mlflow.db")
    for metric in ("w.0", "w.norm", "loss"):
        points = client.get_metric_history(run.id, metric)
        assert 50 < len(points) <= 201


def expected(points, last, best):
    """Which of the steps of such a run are points, from 1 on."""
    every = 1
    while last > points and last // every > points // 2 - 2:
        every *= 2
    return {1, best, last, *range(every, last + 1, every)} & {*range(1, last + 1)}


@given(data=st.data(), points=st.integers(200, 300), most=st.integers(1, 5000))
def test_a_long_run_is_thinned_by_its_steps_alone(data, points, most):
    """Whatever it may take and wherever it stops, however its rows come."""
    last = data.draw(st.integers(1, most))
    best = data.draw(st.integers(1, last))
    thinning, steps = Thinning(points, most), np.arange(last + 1)
    kept, added = thinning.kept(steps), thinning.added(steps, last, best)
    assert not (kept & added).any()
    assert {*np.flatnonzero(kept | added)} >= {0, *expected(points, last, best)}
    assert (kept | added).sum() <= points + 1
    assert (kept | added).all() == (last <= points)
    assert (thinning.told(last) == "") == (last <= points)
    assert Thinning(None, most).kept(steps).all()


@pytest.mark.parametrize("most", [10**4 + 1, 10**9, 2**63 - 1])
@pytest.mark.parametrize("points", [200, 10_000])
def test_a_long_run_is_seen_while_it_goes_on(points, most):
    """At each moment some of its last steps; never more than half of the points."""
    thinning, steps = Thinning(points, most), np.arange(min(2**20, most + 1))
    there = np.flatnonzero(thinning.kept(steps))
    assert len(there) - 1 <= points // 2
    near = 100 if points == 10_000 else 1.99
    for now in (10, 100, 1000, 10_000, 100_000, 2**20 - 1):
        now = min(now, most)
        assert there[there <= now].max() >= min(now, now * (1 - 1 / near) - 1)
    last = np.array([most - 1, most])
    assert thinning.kept(last).sum() <= 2
