"""Studies: each holds, and does not where its theory is wrong; those of a user's own."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

import runner
from runner.cli.entry import status_of
from runner.cli.study import main as study_main
from runner.cli.study import told
from runner.errors import ConfigError
from runner.report import study_page
from runner.study import (
    Claim,
    Findings,
    Rival,
    adam_fails,
    early_stopping,
    found,
    noise_floor,
    rates,
)
from runner.study.carry_out import carry_out
from runner.study.claim import AT_LEAST, AT_MOST, CANNOT_TELL, FAILS, HOLDS, NEAR
from tests.conftest import ROOT
from tests.support.browser import visit
from tests.support.waiting import PATIENCE, wait_for

NAMES = found.names()
DOCS = (ROOT / "docs" / "studies.md").read_text()


def main(words):
    """Carry out `python -m runner.study WORDS` here, and return its status."""
    return status_of(partial(study_main, words), failed=2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What each study asks for, run once."""
    place = tmp_path_factory.mktemp("studies")

    @cache
    def of(name, *words):
        study = found.find(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            return study, dict(carry_out(study, runner.sweep, words))

    return of


def other_seeds(study):
    """Words for as many seeds as the study needs, none of them its own; none if it needs none."""
    needed = [count for values in study.experiments.values() for count in _needed(values)]
    return [f"seed=range(101,{101 + max(needed)})"] if needed else []


def _needed(values):
    return values.get("seeds", {}).values()


@pytest.mark.slow
@pytest.mark.parametrize("words", ["own seeds", "other seeds"])
@pytest.mark.parametrize("name", NAMES)
def test_it_holds_and_each_rival_fails_on_the_same_values(name, words, runs):
    """Two disjoint sets of seeds, where seeds matter."""
    study = found.find(name)
    others = other_seeds(study) if words == "other seeds" else []
    if words == "other seeds" and not others:
        assert not any("seed" in key for values in study.experiments.values() for key in values)
        return
    study, of = runs(name, *others)
    findings = found.findings(study, of)
    assert findings.holds, [claim for claim in findings.claims if claim.verdict != HOLDS]
    assert findings.pictures
    for claim in findings.claims:
        assert claim.rival, claim
        assert not in_place_of_the_theory(claim).holds, claim
        for by in (-2, 2):
            if claim.kind == NEAR:
                assert not moved(claim, by * claim.room).holds, claim


def in_place_of_the_theory(claim):
    """The claim with what was measured moved from the rival's prediction to the theory's."""
    apart = np.asarray(claim.measured) - np.asarray(claim.rival.theory)
    measured = (apart + claim.theory).tolist()
    return replace(claim, measured=measured, kind=claim.rival.kind, rival=None)


def moved(claim, by):
    return replace(claim, measured=[value + by for value in claim.measured], rival=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rates", "landscapes"])
def test_its_page_in_a_browser(name, runs, browser, folder):
    """Light and dark, wide and narrow: whole, within the window, and asking nobody."""
    study, of = runs(name)
    findings = study.check(of, study.values)
    rows = told(findings.claims)
    text = study_page.page(study.title, study.text, rows, findings.pictures, holds=True)
    (folder / "page.html").write_text(text)
    address = (folder / "page.html").as_uri()
    for width, scheme in ((1200, "light"), (400, "dark")):
        settings = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
        with visit(browser, address, **settings) as (page, refused):
            said = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.goto(address)
            drawings = page.locator("figure > svg, figure > img").all()
            assert len(drawings) == len(findings.pictures)
            for one in drawings:
                box = one.bounding_box()
                assert 200 < box["width"] <= width
                assert box["height"] > 100
            assert page.locator("tbody tr").count() == len(findings.claims)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert not said
            assert not refused


@pytest.mark.slow
def test_early_stopping_is_of_that_penalty_and_no_other(runs, monkeypatch):
    """As a bound, 0.204 would hold for other penalties; that it is attained does not."""
    study, of = runs("early_stopping")
    for times in (0.5, 0.9, 1.1, 2.0):
        filters = early_stopping.filters

        def shifted(run, times=times, filters=filters):
            steps, factors, h, part, variance = filters(run)
            return (steps * times).astype(int), factors, h, part, variance

        with monkeypatch.context() as patch:
            patch.setattr(early_stopping, "filters", shifted)
            [largest] = study.check(of, study.values).claims[:1]
        assert not largest.holds


def test_each_has_a_theory_a_source_and_the_seeds_that_it_needs():
    for name in NAMES:
        study = found.find(name)
        assert study.title.endswith(".")
        assert "Source" in study.text
        assert study.experiments
        for values in study.experiments.values():
            assert ("seeds" in values) == ("seed" in values), name
            assert all(count <= len(values["seed"]) for count in _needed(values))


def test_the_docs_say_how_many_seeds_each_needs():
    for name in NAMES:
        needed = {
            count for values in found.find(name).experiments.values() for count in _needed(values)
        }
        [row] = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
        told_in_docs = {int(number) for number in re.findall(r"\d+", row.split("|")[3])}
        assert told_in_docs == needed, row


def test_a_claim_holds_for_every_seed_or_not_at_all():
    near = Claim("a", 2.0, [1.9, 2.1], 0.05)
    assert near.holds
    assert not Claim("a", 2.0, [1.9, 2.11], 0.05).holds
    assert not Claim("a", 2.0, [2.0, float("nan")], 0.05).holds
    with pytest.raises(ValueError, match="a: measured: expected one value or more"):
        Claim("a", 2.0, [], 0.05)
    with pytest.raises(ValueError, match="a: kind: expected near, at most, at least, got 'atmost'"):
        Claim("a", 2.0, [2.0], 0.05, "atmost")
    assert not moved(near, 2 * near.room).holds
    assert not moved(near, -2 * near.room).holds
    assert Claim("a", 0.0, [1e-9], 1e-8).holds
    assert not Claim("a", 0.0, [2e-8], 1e-8).holds
    assert Claim("a", 1.0, [0.5, 1.01], 0.02, AT_MOST).holds
    assert not Claim("a", 1.0, [0.5, 1.03], 0.02, AT_MOST).holds
    assert Claim("a", 1.0, [0.99, 7.0], 0.02, AT_LEAST).holds
    assert not Claim("a", 1.0, [0.97, 7.0], 0.02, AT_LEAST).holds
    assert not Findings([]).holds
    assert not Findings([near, moved(near, 1)]).holds


@pytest.mark.parametrize("power", [0, 1])
def test_a_fit_finds_the_rate_of_a_double_root(power):
    steps = np.arange(1001.0)
    errors = 3 * np.where(steps, steps, 1) ** power * 0.9**steps
    assert rates.fit(errors, power) == pytest.approx(0.9, rel=1e-12)
    assert (rates.fit(errors, 1 - power) != pytest.approx(0.9, rel=1e-4)) is True


@pytest.mark.parametrize("power", [0, 1])
def test_a_fit_finds_the_power_beside_the_rate(power):
    steps = np.arange(1001.0)
    errors = 3 * np.where(steps, steps, 1) ** power * 0.9**steps
    assert rates.power_of(errors) == pytest.approx(power, abs=1e-9)


def test_a_mean_is_judged_by_its_standard_error():
    """Values 1, 2, 3: the mean is 2, its standard error 1 / sqrt 3."""
    values, error = [1.0, 2.0, 3.0], 3**-0.5
    assert Claim("a", 2 + 1.99 * error, values, 0.0, errors=2).holds
    assert not Claim("a", 2 + 2.01 * error, values, 0.0, errors=2).holds
    assert Claim("a", 1.9, values, 0.1).holds is False  # each by itself
    assert Claim("a", 2 + 2.1 * error, values, 0.1, errors=2).holds
    # A limit is kept by that many standard errors, not reached within them.
    assert Claim("a", 2 + 2.01 * error, values, 0.0, AT_MOST, errors=2).holds
    assert not Claim("a", 2 + 1.99 * error, values, 0.0, AT_MOST, errors=2).holds
    assert Claim("a", 2 - 2.01 * error, values, 0.0, AT_LEAST, errors=2).holds
    assert not Claim("a", 2 - 1.99 * error, values, 0.0, AT_LEAST, errors=2).holds
    for bad in (float("nan"), float("inf")):
        assert not Claim("a", 2.0, [1.0, bad, 3.0], 0.1, errors=2).holds
    # Of the median, one in five that is far off does not matter.
    straggling, error = [1.0, 2.0, 3.0, 4.0, 90.0], 1.2533 * 1.4826 / 5**0.5
    assert Claim("a", 3 + 1.99 * error, straggling, 0.0, errors=2, robust=True).holds
    assert not Claim("a", 3 + 2.01 * error, straggling, 0.0, errors=2, robust=True).holds
    with pytest.raises(ValueError, match="a: measured: expected two values or more, for their"):
        Claim("a", 2.0, [2.0], 0.0, errors=2)


def test_what_cannot_be_told_from_its_rival_does_not_hold():
    values = [1.0, 2.0, 3.0]
    near = Claim("a", 2.0, values, 0.0, errors=4, rival=Rival("other", 2.5))
    assert near.holds
    assert near.verdict == CANNOT_TELL
    assert not Findings([near]).holds
    assert replace(near, rival=Rival("other", 9.0)).verdict == HOLDS
    assert replace(near, theory=9.0).verdict == FAILS
    # One prediction for each value: their differences are judged, and these have no spread.
    assert replace(near, rival=Rival("other", [1.1, 2.1, 3.1])).verdict == HOLDS
    assert replace(near, rival=Rival("other", [1.0, 2.0, 3.0])).verdict == CANNOT_TELL
    # Without standard errors, a rival that agrees with a single value has not failed.
    each = Claim("a", 2.0, [1.9, 2.1], 0.05, rival=Rival("other", 2.15))
    assert each.verdict == CANNOT_TELL
    assert replace(each, rival=Rival("other", 2.3)).verdict == HOLDS
    assert replace(each, rival=Rival("less", 1.5, AT_MOST)).verdict == HOLDS
    assert replace(each, rival=Rival("less", 1.95, AT_MOST)).verdict == CANNOT_TELL
    with pytest.raises(ValueError, match="a: rival: expected one prediction, or 2, got 3"):
        replace(each, rival=Rival("other", [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("batch", [1, 3])
def test_the_floor_of_the_noise_is_the_fixed_point_of_a_step(batch):
    """By taking the mean over all samples, step by step, until the covariance stays."""
    rng, lr, count = np.random.default_rng(5), 0.1, 40
    x, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    optimum = np.linalg.lstsq(x, y)[0]
    curvatures = 2 * np.einsum("ni,nj->nij", x, x)
    slopes = 2 * x * (x @ optimum - y)[:, None]
    hessian, noise = curvatures.mean(axis=0), slopes.T @ slopes / len(x)
    products = np.mean([np.kron(one, one) for one in curvatures], axis=0)
    problem = noise_floor.Moments(optimum, hessian, noise, products)
    m, s = np.eye(3) - lr * hessian, np.zeros((3, 3))
    for _ in range(2000):
        spread = np.mean([(one - hessian) @ s @ (one - hessian) for one in curvatures], axis=0)
        s = m @ s @ m + lr**2 / batch * (spread + noise)
    floors = noise_floor.predicted(problem, lr, batch, count)
    assert floors.last == pytest.approx(np.trace(hessian @ s) / 2, rel=1e-9)
    covariances = [
        np.linalg.matrix_power(m, abs(i - j)) @ s for i in range(count) for j in range(count)
    ]
    of_mean = np.sum(covariances, axis=0) / count**2
    assert floors.averaged == pytest.approx(np.trace(hessian @ of_mean) / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("edge_of_stability", ["seed=101"], "plain: seed: expected at least 8 different seeds"),
        ("edge_of_stability", ["seed=101"], "got 1: 101; type 'seed=range(101,125)', or no seed"),
        ("noise_floor", ["seed=range(101,110)"], "lr 0.05: seed: expected at least 48 different"),
        ("implicit_bias", ["dataset.seed=3"], "logistic: dataset.seed: expected at least 12"),
        ("stability", ["seed=1,2,3"], "adam 0.9: seed: expected at least 8 different seeds"),
    ],
)
def test_fewer_seeds_than_the_tolerances_are_for_are_refused(name, words, said, folder, capsys):
    assert main([name, *words, "--check"]) == 2
    assert said in capsys.readouterr().err
    assert not list(folder.glob("mlruns/journal/*"))


def test_a_seed_reaches_the_experiments_that_need_seeds(folder, monkeypatch):
    """The others draw nothing: every seed would be the same run again."""
    (folder / "theory_of_seeds.py").write_text("def check(runs, values): ...\n")
    monkeypatch.syspath_prepend(str(folder))
    common = {"objective": "quadratic", "objective.start": "drawn", "epochs": 2, "lr": 0.1}
    experiments = {"drawn": {"seeds": {"seed": 2}, "seed": [0, 1]}, "fixed": {}}
    config = {"theory": "theory_of_seeds", "common": common, "experiments": experiments}
    (folder / "mine.yaml").write_text(json.dumps(config))
    study = found.find("mine", folder)
    swept = dict(carry_out(study, runner.sweep, ["seed=5,6,7"]))
    assert [len(swept[name]) for name in ("drawn", "fixed")] == [3, 1]
    assert {run.params["seed"] for run in swept["drawn"]} == {"5", "6", "7"}


def test_the_drift_of_adam_is_that_of_its_steady_cycle():
    """By running its second moment until it repeats."""
    v, highest, steps = 0.0, 0.0, {"adam": [], "amsgrad": []}
    for number in range(300):
        slope = (adam_fails.C, -1.0, -1.0)[number % 3]
        v = adam_fails.B2 * v + (1 - adam_fails.B2) * slope * slope
        highest = max(highest, v)
        steps["adam"].append(-slope / v**0.5)
        steps["amsgrad"].append(-slope / highest**0.5)
    for name, own in steps.items():
        assert adam_fails.drift(name) == pytest.approx(sum(own[-3:]), rel=1e-12)


def own(folder, monkeypatch):
    """The study of docs/studies.md, as a user has it."""
    yaml, python = (
        next(text for text in DOCS.split(f"```{kind}\n") if mark in text).split("```")[0]
        for kind, mark in (("yaml", "theory: halving"), ("python", '"""At half of 1 / L'))
    )
    (folder / "studies").mkdir()
    (folder / "studies" / "halving.yaml").write_text(yaml)
    (folder / "halving.py").write_text(python)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "halving", raising=False)
    return folder


def test_a_study_of_ones_own(folder, monkeypatch, capsys):
    own(folder, monkeypatch)
    assert main(["halving", "--dir", "studies", "--check", "--html", "out/page.html"]) == 0
    said = capsys.readouterr().out
    assert "holds: halving" in said
    page = (folder / "out" / "page.html").read_text()
    assert "At half of 1 / L each step halves the distance." in page
    assert "Descent multiplies it by 1 - lr L." in page
    assert page.count("<svg") == 1
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://www.w3.org", "")
    # Said to all of its experiments; the theory does not know of it.
    assert main(["halving", "lr=0.4", "--dir", "studies", "--check", "--pictures", "drawn"]) == 1
    said = capsys.readouterr().out
    assert "does not hold: halving" in said
    assert "DOES NOT HOLD" in said
    assert (folder / "drawn" / "halving-1.png").read_bytes().startswith(b"\x89PNG")
    assert main(["halving", "--dir", "studies", "lr=0.4"]) == 0  # without --check


@pytest.mark.slow
def test_the_command_as_a_user_has_it(folder, monkeypatch, environment):
    own(folder, monkeypatch)
    listed = subprocess.run(
        [sys.executable, "-m", "runner.study", "--dir", "studies"],
        env=environment, cwd=folder, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert [line.split()[0] for line in listed.splitlines()] == sorted([*NAMES, "halving"])
    for words, status in (([], 0), (["lr=0.4"], 1)):
        command = [sys.executable, "-m", "runner.study", "halving", *words]
        done = subprocess.run(
            [*command, "--dir", "studies", "--check"], env=environment, cwd=folder, check=False
        )
        assert done.returncode == status
    journals = list((folder / "mlruns" / "journal").glob("*.db"))
    assert len(journals) == 2  # nothing that was recorded is lost


@pytest.mark.parametrize(
    ("words", "config", "said"),
    [
        (["nothing"], {}, "nothing: no such study; there are adam_fails"),
        (["mine"], {"experiments": {}}, "theory: expected the name of a module, got None"),
        (["mine"], {"theory": "no.such"}, "expected theory: MODULE and experiments"),
        (["mine"], {"theory": "no.such", "experiments": {}}, "no.such cannot be loaded"),
        (
            ["mine"],
            {"theory": "runner.study.rates", "experiments": {"a": {"seeds": 8}}},
            "experiments.a.seeds: expected {KEY: HOW MANY}, {seed: 8} say, got 8",
        ),
        (["mine"], {"theory": "math", "experiments": {}}, "math has no function check"),
        (
            ["mine"],
            {"theory": "runner.study.rates", "experiments": {"a": {"optimizer": "sdg"}}},
            "mine, a: In 'config': Could not find 'optimizer/sdg'",
        ),
        (
            ["mine", "lr=x"],
            {"theory": "runner.study.rates", "experiments": {"a": {"lr": 0.1}}},
            "Value 'x' of type 'str' could not be converted to Float",
        ),
    ],
)
def test_what_cannot_be_a_study_is_one_message(words, config, said, folder, capsys):
    (folder / "own").mkdir()
    (folder / "own" / "mine.yaml").write_text(json.dumps(config))
    assert main([*words, "--dir", "own"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "mine: expected check to return Findings, got int"),
        ("runs['two']", "its theory raised KeyError: 'two'; the experiments are one"),
    ],
)
def test_a_theory_that_makes_nothing_is_one_message(body, said, folder, monkeypatch, capsys):
    theory = f"theory_{len(body)}"
    (folder / f"{theory}.py").write_text(f"def check(runs, values):\n    {body}\n")
    monkeypatch.syspath_prepend(str(folder))
    experiments = {"one": {"objective": "saddle", "epochs": 3, "gradient": "by_hand"}}
    config = {"theory": theory, "experiments": experiments}
    (folder / "mine.yaml").write_text(json.dumps(config))
    assert main(["mine", "--dir", "."]) == 2
    assert said in capsys.readouterr().err


def test_where_nothing_can_be_written_is_said_before_anything_runs(folder, capsys):
    (folder / "file").write_text("")
    for words, said in (
        (["--html", "."], "--html: .: expected a file"),
        (["--pictures", "file"], "--pictures: file: expected a folder"),
        (["--dir", "nowhere"], "--dir: nowhere: there is no such folder"),
    ):
        assert main(["rates", *words]) == 2
        told = capsys.readouterr()
        assert said in told.err
        assert "after" not in told.out


def test_a_study_that_cannot_be_read_does_not_hide_the_others(folder, capsys):
    (folder / "bad.yaml").write_text("theory: [")
    assert main(["--dir", "."]) == 0
    said = capsys.readouterr().out
    assert "rates" in said
    assert "cannot be read: " in said


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param([], id="plain"),
        pytest.param(
            ["sh", "-c", 'trap "" INT; exec "$@"', "sh"], id="ignored", marks=pytest.mark.slow
        ),
    ],
)
def test_a_study_is_interrupted_without_a_traceback(begun, folder, environment):
    """Also where a script has begun it in the background: a shell has Ctrl-C ignored there."""
    command = [*begun, sys.executable, "-m", "runner.study", "edge_of_stability"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(lambda: list(folder.glob("mlruns/journal/*.db")))  # its first experiment runs
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode in (130, -signal.SIGINT), said  # which a shell has as 130
    assert b"interrupted" in said
    assert b"Traceback" not in said


def test_a_broken_yaml_is_one_message(folder):
    (folder / "bad.yaml").write_text("theory: [")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        found.find("bad", folder)
