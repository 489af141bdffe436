"""Studies: each holds, and does not where its theory is wrong; those of a user's own."""

import json
import signal
import subprocess
import sys
from functools import cache, partial

import numpy as np
import pytest

from runner.config import ConfigError
from runner.entry import status_of
from runner.objective.minima import Minima
from runner.report import study_page
from runner.study import Claim, Findings, adam_fails, early_stopping, found, landscapes, rates
from runner.study.__main__ import main as study_main
from runner.study.__main__ import told
from runner.study.carry_out import carry_out
from runner.study.claim import AT_LEAST, AT_MOST, NEAR
from tests.browser import visit
from tests.conftest import ROOT
from tests.waiting import PATIENCE, wait_for

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
    def of(name):
        study = found.find(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            return study, dict(carry_out(study))

    return of


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_holds_and_a_wrong_theory_does_not(name, runs, monkeypatch):
    """Wrong by twice what is tolerated; where a theory is a place, off by twice that."""
    study, of = runs(name)
    findings = study.check(of, study.values)
    assert findings.holds, [claim for claim in findings.claims if not claim.holds]
    assert findings.pictures
    near = [claim for claim in findings.claims if claim.kind == NEAR]
    for claim in near:
        for by in (-2, 2):
            assert not claim.mistaken(by).holds, claim
    if not near:
        known = landscapes.minima
        monkeypatch.setattr(landscapes, "minima", lambda name: Minima(known(name).points + 2e-5))
        wrong = study.check(of, study.values)
        assert not any(claim.holds for claim in wrong.claims)


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


def test_each_has_a_theory_a_source_and_several_seeds():
    for name in NAMES:
        study = found.find(name)
        assert study.title.endswith(".")
        assert "Source" in study.text
        assert study.experiments


def test_a_claim_holds_for_every_seed_or_not_at_all():
    near = Claim("a", 2.0, [1.9, 2.1], 0.05)
    assert near.holds
    assert not Claim("a", 2.0, [1.9, 2.11], 0.05).holds
    assert not Claim("a", 2.0, [2.0, float("nan")], 0.05).holds
    with pytest.raises(ValueError, match="a: measured: expected one value or more"):
        Claim("a", 2.0, [], 0.05)
    with pytest.raises(ValueError, match="a: kind: expected near, at most, at least, got 'atmost'"):
        Claim("a", 2.0, [2.0], 0.05, "atmost")
    assert not near.mistaken(2).holds
    assert not near.mistaken(-2).holds
    assert Claim("a", 0.0, [1e-9], 1e-8).holds
    assert not Claim("a", 0.0, [2e-8], 1e-8).holds
    assert Claim("a", 1.0, [0.5, 1.01], 0.02, AT_MOST).holds
    assert not Claim("a", 1.0, [0.5, 1.03], 0.02, AT_MOST).holds
    assert Claim("a", 1.0, [0.99, 7.0], 0.02, AT_LEAST).holds
    assert not Claim("a", 1.0, [0.97, 7.0], 0.02, AT_LEAST).holds
    assert not Findings([]).holds
    assert not Findings([near, near.mistaken(3)]).holds


@pytest.mark.parametrize("power", [0, 1])
def test_a_fit_finds_the_rate_of_a_double_root(power):
    steps = np.arange(1001.0)
    errors = 3 * np.where(steps, steps, 1) ** power * 0.9**steps
    assert rates.fit(errors, power) == pytest.approx(0.9, rel=1e-12)
    assert (rates.fit(errors, 1 - power) != pytest.approx(0.9, rel=1e-4)) is True


def test_spectral_radii_are_those_of_the_companion_matrices():
    for method, lr, b in (("heavy ball", 0.7, 0.3), ("nesterov", 0.4, 0.8)):
        known = 0.0
        for h in np.geomspace(1, 1 / 50, 10):
            if method == "heavy ball":
                step = np.array([[1 + b - lr * h, -b], [1, 0]])
            else:
                step = np.array([[(1 + b) * (1 - lr * h), -b * (1 - lr * h)], [1, 0]])
            known = max(known, np.abs(np.linalg.eigvals(step)).max())
        assert rates.spectral_radius(method, 50, lr, b) == pytest.approx(known, rel=1e-9)


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
    "begun", [[], ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]], ids=["plain", "ignored"]
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
