"""Which cells a sweep has: intervals, pairs and samples, against NumPy's and SciPy's own points."""

import numpy as np
import pytest
from scipy.stats import qmc

import runner
from runner.errors import ConfigError

WORDS = ("gradient=by_hand", "model=linear", "dataset=noisy_line", "tracking=off", "epochs=1")
LOG = "lr=tag(log,interval(1e-4,1))"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Be where nothing is."""
    monkeypatch.chdir(tmp_path)


def swept(*words):
    """The params of the cells that these words make, in their order."""
    return [run.params for run in runner.sweep(*WORDS, *words)]


def column(cells, key):
    """What each cell has of a param, as a number."""
    return [float(params[key]) for params in cells]


def rounded(values):
    """To three significant digits."""
    return [float(f"{value:.3g}") for value in values]


def test_an_interval_is_spaced_by_its_logarithm():
    """Both ends among the values; for each of what else is swept."""
    cells = swept(LOG, "optimizer=sgd,adam", "sweep.samples=9")
    assert column(cells, "lr") == [lr for lr in rounded(np.geomspace(1e-4, 1, 9)) for _ in "ab"]
    assert [params["optimizer"] for params in cells] == ["sgd", "adam"] * 9


def test_an_interval_is_spaced_evenly():
    """Without a tag; the ends as they were typed."""
    cells = swept("lr=interval(0.012345,1)", "sweep.samples=4")
    inner = rounded(np.linspace(0.012345, 1, 4)[1:-1])
    assert column(cells, "lr") == [0.012345, *inner, 1.0]


def test_many_values_have_as_many_digits_as_tell_them_apart():
    """No sample is lost to rounding."""
    cells = swept("lr=interval(0.1,0.2)", "sweep.samples=400")
    assert len(set(column(cells, "lr"))) == 400


def test_whole_numbers_stay_whole():
    """In a grid and drawn; of fewer than there are samples, each once."""
    cells = swept("epochs=int(interval(1,6))", "sweep.samples=20")
    assert [params["epochs"] for params in cells] == [str(n) for n in range(1, 7)]
    drawn = swept("epochs=int(interval(1,6))", "sweep.sampler=random", "sweep.samples=20")
    assert {params["epochs"] for params in drawn} <= {str(n) for n in range(1, 7)}
    assert len(drawn) == 20


@pytest.mark.parametrize("seed", [0, 7])
def test_sobol_is_scipys(seed):
    """The same points for the same seed, on the scales of the intervals; categories by shares."""
    momentum = "optimizer.momentum=interval(0,0.99)"
    words = (LOG, momentum, "dtype=float32,float64", "optimizer=momentum", f"sweep.seed={seed}")
    cells = swept(*words, "sweep.sampler=sobol", "sweep.samples=16")
    points = qmc.Sobol(3, rng=np.random.default_rng(seed)).random(16)
    assert column(cells, "lr") == rounded(10 ** (-4 + 4 * points[:, 0]))
    assert column(cells, "optimizer.momentum") == rounded(0.99 * points[:, 1])
    kinds = ["float32", "float64"]
    assert [params["dtype"] for params in cells] == [kinds[int(2 * u)] for u in points[:, 2]]


def test_random_is_numpys():
    """And another seed gives other points; every seed of the experiment has each sample."""
    words = (LOG, "optimizer.momentum=interval(0,0.99)", "optimizer=momentum", "seed=range(3)")
    cells = swept(*words, "sweep.sampler=random", "sweep.samples=10")
    points = np.random.default_rng(0).random((10, 2))
    assert column(cells, "lr") == np.repeat(rounded(10 ** (-4 + 4 * points[:, 0])), 3).tolist()
    assert column(cells, "seed") == [0, 1, 2] * 10
    others = swept(*words, "sweep.sampler=random", "sweep.samples=10", "sweep.seed=1")
    assert not set(column(others, "lr")) & set(column(cells, "lr"))


@pytest.mark.slow
def test_sobol_covers_more_evenly_than_random():
    """By the discrepancy of the points, over some seeds."""
    words = ("lr=interval(0.001,1)", "optimizer.momentum=interval(0.001,0.999)")
    found = {}
    for sampler in ("sobol", "random"):
        found[sampler] = []
        for seed in range(5):
            how = (f"sweep.sampler={sampler}", "sweep.samples=64", f"sweep.seed={seed}")
            cells = swept(*words, "optimizer=momentum", *how)
            points = [column(cells, key) for key in ("lr", "optimizer.momentum")]
            found[sampler].append(qmc.discrepancy(np.transpose(points)))
    assert max(found["sobol"]) < min(found["random"])


def test_values_in_pairs():
    """Three cells, not nine; with all else as usual, and two groups of them beside one another."""
    cells = swept("lr=0.1,0.2,0.3", "epochs=1,2,3", "sweep.zip=[lr,epochs]", "seed=0,1")
    pairs = list(
        zip(column(cells, "lr"), column(cells, "epochs"), column(cells, "seed"), strict=True)
    )
    assert pairs == [(lr, n, seed) for lr, n in ((0.1, 1), (0.2, 2), (0.3, 3)) for seed in (0, 1)]
    zipped = "sweep.zip=[[lr,epochs],[seed,tolerance]]"
    assert (
        len(swept("lr=0.1,0.2", "epochs=1,2", "seed=0,1,2", "tolerance=0,1e-6,1e-3", zipped)) == 6
    )
    spaced = swept(LOG, "epochs=1,2,3", "sweep.zip=[lr,epochs]", "sweep.samples=3")
    assert list(zip(column(spaced, "lr"), column(spaced, "epochs"), strict=True)) == [
        (1e-4, 1),
        (0.01, 2),
        (1, 3),
    ]


def test_what_is_drawn_can_be_resumed():
    """The same cells again: none is left to do."""
    words = (LOG, "sweep.sampler=sobol", "sweep.samples=5", "sweep.resume=true")
    first = runner.sweep(*WORDS, *words)
    again = runner.sweep(*WORDS, *words)
    assert [run.id for run in again] == [run.id for run in first]


REFUSED = {
    "lr=interval(0,1)": "lr: an interval has no end of values: expected sweep.samples",
    "lr=0.1,0.2 sweep.samples=3": "sweep.samples: expected an interval",
    "lr=interval(0,1) sweep.samples=0": "sweep.samples: expected 1 or more",
    "lr=interval(1,0) sweep.samples=3": "lr: expected an interval from less to more",
    "lr=interval(0,inf) sweep.samples=3": "lr: expected finite ends",
    "lr=tag(log,interval(0,1)) sweep.samples=3": "lr: expected ends above 0",
    "lr=tag(exp,interval(0,1)) sweep.samples=3": "lr: expected no tag but log, got exp",
    "lr=0.1,0.2 sweep.sampler=halton": "sweep.sampler: expected one of grid, random, sobol",
    "lr=interval(0,1) sweep.sampler=sobol": "sweep.samples: expected how many",
    "seed=0,1 sweep.sampler=sobol sweep.samples=2": "nothing but seeds is swept",
    "lr=0.1,0.2 epochs=1,2,3 sweep.zip=[lr,epochs]": "lr has 2, epochs has 3",
    "lr=0.1,0.2 sweep.zip=[lr,epochs]": "sweep.zip: epochs is not swept",
    "lr=0.1,0.2 sweep.zip=[lr]": "sweep.zip: expected two keys or more",
    "lr=0.1,0.2 epochs=1,2 sweep.zip=[lr,lr]": "sweep.zip: lr is named twice",
    "lr=0.1,0.2 sweep.seed=-1": "sweep.seed: expected 0 or more",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words):
    """Before anything runs, in one message that says what would do."""
    with pytest.raises(ConfigError) as refused:
        swept(*words.split())
    assert REFUSED[words] in str(refused.value)
    assert "\n" not in str(refused.value).strip()


def test_an_option_may_be_swept_with_a_value_of_its_own():
    """The value is each option's, and not that of the option which the config begins with."""
    found = swept("optimizer=adam,adamw", "optimizer.betas=[0.8,0.99]")
    assert [(run["optimizer"], run["optimizer.betas"]) for run in found] == [
        ("adam", "[0.8, 0.99]"),
        ("adamw", "[0.8, 0.99]"),
    ]


def test_an_option_may_be_swept_with_a_value_of_its_own_in_a_command(runner, tmp_path):
    """And the command is told as it was typed."""
    typed = ["optimizer=adam,adamw", "optimizer.betas=[0.8,0.99]"]
    done = runner(tmp_path, "-m", *WORDS[:4], "epochs=2", *typed)
    assert "2 cells" in done.stdout
    journals = (tmp_path / "mlruns" / "journal").glob("*.db")  # of each process that did a part
    recorded = b"".join(path.read_bytes() for path in journals)
    assert b"'optimizer.betas=[0.8,0.99]'" in recorded
    assert b"choice(" not in recorded


EMPTY = {
    "optimizer=glob(zz*)": "has no value, so that the sweep has no cell: expected some of adadelta",
    "lr=range(1,1)": "lr=range(1,1): has no value, so that the sweep has no cell",
    "lr=range(0)": "lr=range(0): has no value",
    "lr=choice()": "empty choice is not legal",
}


@pytest.mark.parametrize("words", EMPTY)
def test_a_sweep_of_nothing_is_refused(words):
    """In a message that says what would do, where there is something."""
    with pytest.raises(ConfigError) as refused:
        swept(words)
    assert EMPTY[words] in str(refused.value)
