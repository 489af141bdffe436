"""Settings over their seeds: which is best, by figures that others compute as well."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

import runner
from runner.base import seeds
from runner.config.spec import problem_of
from runner.report.comparison import compare
from runner.report.series import BATCH_LOSS, LOSS, Key, series
from runner.report.verdict import verdict
from runner.sweeps import by_setting
from runner.sweeps.by_setting import EndedCell

WORDS = ("gradient=by_hand", "model=linear", "dataset=noisy_line", "dtype=float64")


@pytest.mark.parametrize("key", ["seed", "dataset.seed", "split_seed", "a.b.split_seed"])
def test_what_is_a_seed(key):
    """By its last word alone."""
    assert seeds.is_seed(key)
    assert not any(seeds.is_seed(other) for other in (f"{key}.lr", f"{key}s", "seeded"))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10, 11])
@pytest.mark.parametrize("diverged", [0, 1, 5])
def test_spread_is_numpys(count, diverged):
    """Median, and quartiles that occurred; what diverged is infinite, what failed is not there."""
    values = np.random.default_rng(count).normal(size=count)
    values[: min(diverged, count)] = math.inf
    found = seeds.spread([math.nan, *values, math.nan])
    assert found.cells == count
    assert found.diverged == min(diverged, count)
    assert found.middle == np.median(values)
    assert found.low == np.quantile(values, 0.25, method="lower")
    assert found.high == np.quantile(values, 0.75, method="higher")


def test_no_value_at_all():
    """Of a setting that failed throughout."""
    found = seeds.spread([math.nan])
    assert found.cells == 0
    assert math.isnan(found.middle)


@pytest.mark.parametrize(("better", "worse", "ties"), [(9, 1, 0), (5, 5, 3), (0, 7, 0), (0, 0, 2)])
def test_pairs_by_the_sign_test(better, worse, ties):
    """As SciPy has its p."""
    one = [0.0] * better + [1.0] * worse + [2.0] * ties
    other = [1.0] * better + [0.0] * worse + [2.0] * ties
    found = seeds.paired(one, other)
    assert found[:3] == (better, worse, ties)
    count = better + worse
    p = scipy.stats.binomtest(better, count).pvalue if count else 1.0
    assert found.p == pytest.approx(p, rel=1e-12)


# --- Settings whose true order is known: a seed draws the data, and a rate too small is worse ---

RATES = (0.4, 0.2, 0.1, 0.05)
NOISY = {"dataset.noise": 0.5}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of rates, the best first, over seeds that draw data of very different noise."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = runner.sweep(*WORDS, "tracking=off", lr=RATES, seed=range(8), epochs=60, **NOISY)
        yield made, compare([one._record for one in made], made._record)


def test_a_seed_that_draws_the_data_does_not_decide(swept):
    """Final losses rank the data with the least noise first, whatever the rate; excess the rate."""
    made, compared = swept
    finals = sorted(made, key=lambda run: run.final_loss)
    assert len({run.params["seed"] for run in finals[:4]}) < 4  # the luck of a seed
    assert compared.draws
    assert [float(one.values["lr"]) for one in compared.settings] == list(RATES)
    best, second = compared.settings[:2]
    assert compared.paired(best, second)[:3] == (8, 0, 0)
    said = " ".join(verdict(compared))
    assert "Best is lr=0.4: median excess loss" in said
    assert "better on 8 of 8 seeds, worse on 0 (sign test: p = 0.0078)" in said
    order = [float(compared.lines[i].swept["lr"]) for i in compared.ranked()]
    assert order == [rate for rate in RATES for _ in range(8)]


def test_excess_loss_is_the_closed_form(swept):
    """(w - w*)' X'X (w - w*) / n, of the parameters before the step, for each run's own data."""
    _, compared = swept
    for line in compared.lines[::5]:
        _, x, y = data_of(line.run)
        design = np.stack([x, np.ones_like(x)], axis=1)
        optimum = np.linalg.solve(design.T @ design, design.T @ y)
        _, parameters = line.run.trajectory().parameters
        off = (parameters[:-1] - optimum) @ design.T
        assert line.least == pytest.approx(np.mean((design @ optimum - y) ** 2), rel=1e-9)
        assert line.excess == pytest.approx(np.mean(off[-1] ** 2), rel=1e-6)
        told = series(compared, [])
        [curve] = [
            c for c in told.curves[Key("excess", "excess loss")] if line is compared.lines[c.line]
        ]
        expected = np.mean(off**2, axis=1)[curve.steps - 1]
        assert curve.values == pytest.approx(expected, rel=1e-6)


def data_of(run):
    """The run's data as its config draws them."""
    from runner.engine.draws import Draws

    data = Draws().dataset(problem_of(run.config()))
    return data, data.x[:, 0], data.y


def test_bands_are_numpys(swept):
    """Of every quantity: the median and the quartiles over the seeds at the steps."""
    _, compared = swept
    told = series(compared, range(len(compared.settings)))
    assert {key.role for key in told.curves} >= {LOSS, "excess", "distance", "gradient norm"}
    assert not any(key.role == BATCH_LOSS for key in told.curves)  # a full batch has one loss
    for band in told.bands[Key(LOSS, "loss")]:
        cells = compared.settings[band.setting].lines
        losses = np.array([compared.lines[i].run.trajectory().losses[1] for i in cells])
        there = band.steps > 0
        at = losses[:, band.steps[there] - 1]
        assert band.middle[there] == pytest.approx(np.median(at, axis=0), rel=1e-12)
        assert band.low[there] == pytest.approx(np.quantile(at, 0.25, axis=0, method="lower"))
        assert band.high[there] == pytest.approx(np.quantile(at, 0.75, axis=0, method="higher"))
        assert np.isnan(band.middle[~there]).all()


def test_one_setting_over_seeds_has_no_rival():
    """In a terminal: its final loss, for there is nothing to be over."""
    ended = [
        EndedCell("", "lr=0.1", str(seed), "exhausted", 1.0 + seed, 1.0 + seed) for seed in range(3)
    ]
    head, line = by_setting.lines(ended)
    assert "final loss" in head
    assert line.split() == ["lr=0.1", "2", "1", "3", "0", "of", "3"]


def test_the_terminals_order_is_the_reports():
    """Less the best seen on the same data, which is the same for all settings."""
    ended = [
        EndedCell(
            "", name, str(seed), "diverged" if name == "c" and seed else "exhausted", loss, loss
        )
        for seed, noise in enumerate((5.0, 1.0, 3.0))
        for name, loss in (("b", noise + 0.2), ("a", noise + 0.1), ("c", noise))
    ]
    head, *lines, said, _ = by_setting.lines(ended)
    assert "above best" in head
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    assert lines[2].split()[-3:] == ["2", "of", "3"]
    assert "The seeds draw the data" in said


def test_problems_stand_apart():
    """In a terminal as on the page."""
    ended = [
        EndedCell(f"dataset={data}", name, f"{data} {seed}", "exhausted", loss, loss)
        for data, scale in (("b", 100.0), ("a", 1.0))
        for seed in range(2)
        for name, loss in (("sgd", 2 * scale + seed), ("adam", scale + seed))
    ]
    told = [line.split()[:2] for line in by_setting.lines(ended)][1:7]
    assert [one[0] for one in told] == ["of", "adam", "sgd", "of", "adam", "sgd"]
    assert [one[1] for one in told if one[0] == "of"] == ["dataset=b", "dataset=a"]


def test_the_same_data_for_all_seeds(tmp_path, monkeypatch):
    """The seed that draws where a network starts alone: final losses are compared as they are."""
    monkeypatch.chdir(tmp_path)
    made = runner.sweep(*WORDS, "dataset.seed=1", "tracking=off", lr=(0.1, 0.3), seed=range(3))
    compared = compare([one._record for one in made], made._record)
    assert not compared.draws
    assert compared.by == "final loss"
    assert [one.values["lr"] for one in compared.settings] == ["0.3", "0.1"]


# --- What cannot be ranked, and what is no difference ---


def verdict_of(*words, **swept):
    """The settings and the sentences of a sweep."""
    made = runner.sweep("gradient=by_hand", "tracking=off", "epochs=20", *words, **swept)
    compared = compare([one._record for one in made], made._record)
    return compared, " ".join(verdict(compared))


@pytest.mark.parametrize(
    ("key", "values"),
    [("dataset", ("noisy_line", "plane")), ("loss", ("mse", "mae")), ("validation", (0.2, 0.5))],
)
def test_other_data_and_other_losses_are_not_ranked_together(key, values, tmp_path, monkeypatch):
    """A best of each, by excess where seeds draw the data; no test across them."""
    monkeypatch.chdir(tmp_path)
    words = ["model=linear", f"{key}={','.join(map(str, values))}"]
    words += [] if key == "dataset" else ["dataset=noisy_line"]
    compared, said = verdict_of(*words, lr=(0.05, 0.2), seed=range(3))
    problems = compared.problems()
    assert len(problems) == 2
    for problem, settings in problems.items():
        assert [setting.rank for setting in settings] == [1, 2]
        assert len({setting.values[key] for setting in settings}) == 1
        assert f"Of {problem}: Best is " in said
    assert "settings are ranked within each of 2 problems" in said


def test_what_seeds_draw_is_one_problem(swept):
    """Of the same dataset, whatever its seed."""
    assert list(swept[1].problems()) == [""]


def test_a_seed_that_changes_nothing_proves_nothing(tmp_path, monkeypatch):
    """Eight times the same run is one observation."""
    monkeypatch.chdir(tmp_path)
    _, said = verdict_of(lr=(0.01, 0.05), seed=range(8))
    assert "The seed makes no difference here" in said
    assert "sign test" not in said


def test_what_ends_alike_is_not_the_best(tmp_path, monkeypatch):
    """Whichever was typed first."""
    monkeypatch.chdir(tmp_path)
    _, said = verdict_of("model.initial.w=2", lr=(0.01, 0.05, 0.1))
    assert "lr=0.01, lr=0.05, lr=0.1 are equally good: final loss 0 after 1 epoch" in said
    assert "Best" not in said


def test_seeds_alone_have_a_name(tmp_path, monkeypatch):
    """Which is that of no seed."""
    monkeypatch.chdir(tmp_path)
    _, said = verdict_of("dataset=noisy_line", "model=linear", seed=range(4))
    assert said.startswith("all seeds: median excess loss ")


def test_what_failed_is_not_passed_over(tmp_path, monkeypatch):
    """In the first sentence, and without a rank."""
    monkeypatch.chdir(tmp_path)
    words = ("gradient=autograd", "dataset=noisy_line", "tracking=off", "epochs=9")
    with pytest.warns(UserWarning, match="2 of 2 cells failed"):
        made = runner.sweep(*words, model=Breaks(), lr=(0.1, 0.2))
    compared = compare([one._record for one in made], made._record)
    assert [one.rank for one in compared.settings] == [None, None]
    assert " ".join(verdict(compared)).startswith("2 settings ended in no number: see what failed.")


class Breaks(torch.nn.Linear):
    """Raises once it is trained."""

    def __init__(self):
        super().__init__(1, 1)
        self.steps = 0

    def forward(self, x):
        self.steps += torch.is_grad_enabled() and self.training
        if self.steps > 3:
            raise RuntimeError("it broke on purpose")
        return super().forward(x)


def test_values_are_sorted_with_none_last():
    """A number before what diverged, and that before what ended in no number."""
    values = [math.nan, math.inf, 2.0, -1.0]
    assert sorted(values, key=seeds.order_of)[:3] == [-1.0, 2.0, math.inf]


def test_the_least_of_each_passes_over_what_is_none():
    pairs = [("a", 2.0), ("b", math.nan), ("a", 1.0), ("a", math.nan), ("c", math.inf)]
    assert seeds.least_of_each(pairs) == {"a": 1.0}
