"""A measure that only a test knows: a function and its entry, and it is recorded everywhere."""

import csv
import io
import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

import runner as api
from runner.cli.text import as_csv
from runner.engine import measure, recording
from runner.engine.measure import Measure
from runner.record.column import MEASURE
from runner.record.journals import Journals
from runner.record.naming import key
from runner.report.comparison import compare
from runner.report.page import page
from runner.tracking.reading import MlflowRuns
from tests.report.test_report import data_of

NAMES = {  # and what each is called where another one has the name
    "loss2": "loss2",
    "w": "measure.w",
    "b.0": "b.0",
    "time": "measure.time",
    "final_loss": "measure.final_loss",
    "parameters": "measure.parameters",
    "a?b": "a?b",
    "a!b": "measure.a!b",  # in MLflow, it would be the same
    "\u0394w \u00e9": "\u0394w \u00e9",
}
LOOPS = {
    "numpy": ["gradient=by_hand"],
    "autograd": ["optimizer=by_hand"],
    "optimizer": [],
    "module": ["experiment=module"],
}


def squares(steps):
    """Of the parameters and the gradient, which no step is without."""
    return np.square(steps.parameters).sum(axis=1) + steps.loss + np.abs(steps.gradient).max(axis=1)


pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(autouse=True)
def entries(monkeypatch):
    """One for each name."""
    for name in NAMES:
        monkeypatch.setitem(measure.MEASURES, name, Measure(squares))


def expected(run):
    """By step, from what else is recorded: of one parameter, |gradient| is its norm."""
    table = run.trajectory
    with np.errstate(over="ignore"):  # of a run that diverges
        squared = np.square(run.parameters[:, 0])
    return squared + table.loss.to_numpy() + table.grad_norm.to_numpy()


@pytest.mark.parametrize("loop", LOOPS)
def test_it_is_recorded_in_every_loop(loop):
    run = api.run("tracking=off", *LOOPS[loop], epochs=12)
    assert run.loop == loop
    table = run.trajectory
    parameters = ["w", "b"] if loop == "module" else ["w"]
    assert [*table.columns] == ["time", "loss", "grad_norm", *NAMES.values(), *parameters]
    for name in NAMES.values():
        assert np.isnan(table[name][0])
        assert np.isfinite(table[name][1:]).all()
        if parameters == ["w"]:
            np.testing.assert_allclose(table[name][1:], expected(run)[1:], rtol=1e-6)


@pytest.mark.parametrize("gradient", ["by_hand", "autograd"])
def test_a_stack_records_what_its_lone_runs_do(gradient):
    words = "tracking=off", f"gradient={gradient}"
    lr, stack = [0.01, 0.02, 9.0], "sweep.stack"
    swept = [api.sweep(*words, lr=lr, epochs=30, **{stack: it}) for it in (True, False)]
    for stacked, alone in zip(*swept, strict=True):
        assert (stacked.tags["stacked"], alone.tags["stacked"]) == ("true", "false")
        for name in NAMES.values():
            there, here = stacked.trajectory[name], alone.trajectory[name]
            np.testing.assert_allclose(there, here, rtol=1e-5)  # sums are rounded otherwise
            np.testing.assert_allclose(there[1:], expected(stacked)[1:], rtol=1e-6)


@pytest.mark.slow
def test_it_stands_wherever_a_run_is_told(empty_store, here):
    """In the Parquet file, in MLflow, in the tables and on the page; read back from each place."""
    empty_store(here / "mlruns")
    swept = api.sweep(lr=[0.01, 0.1], epochs=9, dataset="noisy_line")
    api.finish()
    store = f"sqlite:///{here}/mlruns/mlflow.db"
    client, source = MlflowClient(store), MlflowRuns(store, trust=True)
    [sweep] = source.found(swept.id)
    cells = source.cells(sweep)
    compared = compare(cells, sweep)
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(as_csv(compared)))}
    html = page(compared)
    for run, cell in zip(swept, cells, strict=True):
        found = client.get_run(run.id)
        table = pq.read_table(client.download_artifacts(run.id, "trajectory.parquet"))
        assert found.data.metrics["w"] == run.trajectory["w"].iloc[-1]
        for name in NAMES.values():
            told = run.trajectory[name].to_numpy()[1:]
            history = client.get_metric_history(run.id, key(name))
            assert [(point.step, point.value) for point in history] == [*enumerate(told, 1)]
            assert table[name].to_pylist() == [None, *told]
            np.testing.assert_array_equal(_values(cell.trajectory(), name), told)
            np.testing.assert_array_equal(_values(source._history(found), name), told)
            assert float(rows[run.id][name]) == told[-1]
            assert f'"label":{json.dumps(name)}' in html  # of the page's table
            assert repr(float(told[-1])) in html
    shown = [one["name"] for one in data_of(html)["quantities"]]
    assert set(NAMES.values()) < set(shown)
    panels = [shown[panel["quantity"]] for panel in data_of(html)["panels"]]
    assert len(panels) == 6  # beside the loss; the others can be chosen
    assert set(panels) < set(NAMES.values())


def _values(trajectory, name):
    [own] = [values for found, _, values in trajectory.told(MEASURE) if found == name]
    return own


def test_a_measure_of_several_numbers(monkeypatch):
    """Each has a column, and by its name a metric."""
    both = Measure(lambda s: np.stack([s.loss, -s.loss], axis=1), shape=(2,))
    monkeypatch.setitem(measure.MEASURES, "both", both)
    for run in (
        api.run("tracking=off", epochs=5),
        *api.sweep("tracking=off", epochs=5, lr=[0.1, 0.2]),
    ):
        table = run.trajectory
        np.testing.assert_array_equal(table["both.0"], table["loss"])
        np.testing.assert_array_equal(table["both.1"], -table["loss"])


def test_a_number_of_a_vector_and_a_measure_are_told_apart(monkeypatch):
    monkeypatch.setitem(
        measure.MEASURES, "v", Measure(lambda s: np.stack([s.loss, -s.loss], axis=1), shape=(2,))
    )
    monkeypatch.setitem(measure.MEASURES, "v.0", Measure(lambda s: 7 * s.loss))
    table = api.run("tracking=off", epochs=3).trajectory
    for name, times in (("v.0", 1), ("v.1", -1), ("measure.v.0", 7)):
        np.testing.assert_array_equal(table[name], times * table["loss"])


@pytest.mark.parametrize(
    ("name", "of", "said"),
    [
        ("m", lambda s: s.no, "measure m: raised AttributeError: 'Steps' object has no"),
        ("m", lambda s: s.loss[:, None], "measure m: expected real numbers of shape (2,) for 2 st"),
        ("m", lambda s: "text", "measure m: expected real numbers"),
        ("m", lambda s: s.loss * 1j, "measure m: expected real numbers"),
        ("m", lambda s: s.loss.__imul__(0), "measure m: raised ValueError: output array is read-o"),
        ("", lambda s: s.loss, "measure '': expected a name, a text that is not empty"),
        (3, lambda s: s.loss, "measure 3: expected a name, a text that is not empty"),
    ],
)
def test_what_is_no_measure_is_refused_before_anything_runs(name, of, said, monkeypatch):
    monkeypatch.setitem(measure.MEASURES, name, Measure(of))
    for call in (lambda: api.run("tracking=off"), lambda: api.sweep("tracking=off", lr=[0.1, 0.2])):
        with pytest.raises(api.ConfigError) as refused:
            call()
        assert said in str(refused.value)
    assert not Journals().candidates()


@pytest.mark.parametrize("stack", [True, False])
def test_one_that_raises_later_fails_its_runs_and_loses_nothing_else(stack, monkeypatch):
    """In the middle of a run or at its end: what was computed is there, and why it failed."""

    def raising(steps):
        if len(steps.loss) > 2:
            raise ValueError("too many")
        return steps.loss

    monkeypatch.setitem(measure.MEASURES, "raising", Measure(raising))
    monkeypatch.setattr(recording, "CHUNK_SECONDS", math.inf)  # all steps together
    with pytest.raises(ValueError, match="too many"):
        api.run("tracking=off", epochs=9)
    with pytest.warns(UserWarning, match="2 of 2 cells failed"):
        swept = api.sweep("tracking=off", epochs=9, lr=[0.01, 0.1], **{"sweep.stack": stack})
    for run in (api.load("epochs=9"), *swept):
        assert (run.outcome, run.reason) == ("failed", "ValueError: too many")
        assert len(run.trajectory) == 10
        assert np.isfinite(run.trajectory["loss"][1:]).all()
        assert np.isnan(run.trajectory["raising"]).all()


@pytest.mark.slow
def test_processes_of_a_pool_know_it(here):
    """Wherever its function was defined."""
    run = api.sweep("tracking=off", "sweep.workers=2", "sweep.stack=false", lr=[0.1, 0.2])[0]
    np.testing.assert_allclose(run.trajectory["loss2"][1:], expected(run)[1:], rtol=1e-6)
