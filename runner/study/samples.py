"""The data that a run was on, for what a theory says of them."""

from typing import Any

from runner.config.spec import problem_of
from runner.dataset.samples import Dataset
from runner.engine.draws import Draws


def samples(run: Any) -> Dataset:
    """Return the samples of a `runner.Run`, drawn anew from its config."""
    return Draws().dataset(problem_of(run.config))
