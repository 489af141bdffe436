"""The worked examples of CONTRIBUTING.md do what it says, where it says that they belong."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import runner.dataset.generated
import runner.engine.measure
import runner.loss
import runner.optimizer
from runner.engine.measure import Measure
from runner.sweeps.composing import many_cells

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
CODE = dict(re.findall(r"```python\ndef (\w+)(.*?)```", TEXT, re.S))


def made(name, module):
    """The function of that name, as it would be in that module."""
    there = dict(vars(module))
    exec(f"def {name}{CODE[name]}", there)
    return there[name]


def test_the_dataset():
    x, y = made("sine", runner.dataset.generated)(samples=50, waves=2.0, seed=1)
    np.testing.assert_allclose(y, np.sin(4 * np.pi * x[:, 0]))
    assert x.shape == (50, 1)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_the_loss(beta):
    prediction, y = np.random.default_rng(0).normal(size=(2, 40))
    value, slope = made("smooth_l1", runner.loss)(beta=beta)(prediction, y)
    given = torch.tensor(prediction, requires_grad=True)
    expected = torch.nn.SmoothL1Loss(beta=beta)(given, torch.tensor(y))
    expected.backward()
    np.testing.assert_allclose(value, expected.item())
    np.testing.assert_allclose(slope, given.grad)


def test_the_optimizer():
    w = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    built, by_hand = torch.optim.Adadelta([w]), made("adadelta", runner.optimizer)()
    own, state = w.detach().numpy().copy(), None
    for _ in range(20):
        built.zero_grad()
        (w**4).sum().backward()
        own, state = by_hand(own, w.grad.numpy().copy(), state)
        built.step()
        np.testing.assert_allclose(own, w.detach().numpy())


def test_the_measure(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(
        runner.engine.measure.MEASURES,
        "update_size",
        Measure(made("update_size", runner.engine.measure.table)),
    )
    table = runner.run("tracking=off", gradient="by_hand", epochs=3).trajectory
    np.testing.assert_allclose(table.update_size[1:], table.grad_norm[1:])  # of one parameter


def test_questions_are_answered():
    """With five files at most, all of which are there."""
    section = TEXT.split("## Which files to touch")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 18
    for _, files in rows:
        named = re.findall(r"`([a-z_/]+(?:\.\w+|/))`", files)
        assert 1 <= len(named) <= 5
        for name in named:
            assert (ROOT / name).exists(), name


def test_the_files(tmp_path):
    """The grid composes, from a folder of one's own."""
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "rates.yaml").write_text(blocks[1])
    assert [cell.name for cell in many_cells(["grid=rates"], tmp_path).span] == [
        "lr=0.001",
        "lr=0.01",
        "lr=0.1",
    ]
    assert "_target_: runner.dataset.sine" in blocks[0]


def test_every_file_that_is_named_is_there():
    for page in (ROOT / "CONTRIBUTING.md", ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), (page.name, link)
    for name in re.findall(r"`(test_\w+\.py)`", TEXT):
        assert [*(ROOT / "tests").glob(f"**/{name}")]
