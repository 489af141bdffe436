"""Tables that must agree: what is added to one is in the others, or a test names the file."""

import inspect
import re

import pytest

from runner import loss
from runner.base.paths import CONF
from runner.config import short_list
from runner.engine.stack import stackable
from runner.report import problem

READ_FILES = {f"runner.dataset.{name}" for name in ("csv", "npz", "parquet")}
"""Datasets that a foreign config may not name."""


@pytest.mark.parametrize("name", sorted(loss.BY_HAND))
def test_a_loss_by_hand_is_everywhere(name):
    """In measures, in stacks, and in reports, with every value that it takes."""
    assert name in loss.CURVATURES, "runner/loss.py: CURVATURES"
    assert name.rpartition(".")[2] in stackable.LOSSES, "runner/engine/stack/stackable.py: LOSSES"
    takes = {*inspect.signature(loss.BY_HAND[name]).parameters}
    assert takes <= {*problem.LOSS_KEYS}, "runner/report/problem.py: LOSS_KEYS"


@pytest.mark.parametrize("group", sorted(short_list.PARTS.keys() - {"validation_data"}))
def test_what_is_shipped_is_on_the_short_list(group):
    """So that a report of somebody else's store can build it."""
    for path in sorted((CONF / group).glob("*.yaml")):
        for name in {*re.findall(r"_target_: ([\w.]+)", path.read_text())} - READ_FILES:
            assert name in short_list.NAMES, f"runner/config/short_list.py: {name} of {path.name}"
