"""The data that a run was on, for what a theory says of them."""

from typing import Any

from runner.dataset.samples import Dataset
from runner.engine.draws import Draws


def samples(run: Any) -> Dataset:
    """Drawn anew from the run's config, as the run had them."""
    return Draws().dataset(run.config)
