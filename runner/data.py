"""The dataset that a config names, as a run takes it: drawn once for a whole command."""

import json
from typing import Any

from runner.build import build, known_as
from runner.config import ConfigError, Values
from runner.dataset import Dataset, prepare

OURS = {"standardize", "probe"}
"""Keys of every dataset; the rest is its function's own."""


class Draws:
    """Datasets by their nodes of the config, each drawn once.

    A function of somebody's may draw anew at each call. Whoever composes several cells asks the
    same one of these, so that cells whose configs say the same have the same data.
    """

    def __init__(self) -> None:
        self._drawn: dict[str, tuple[Any, Any]] = {}
        self._prepared: dict[tuple[str, str], Dataset] = {}

    def dataset(self, node: Values, dtype: str) -> Dataset:
        """The samples as a loop takes them; the same object for the same node, never changed.

        Raises ConfigError.
        """
        key = json.dumps(node), dtype
        if key not in self._prepared:
            x, y = self._samples(node)
            standardize, probe = node.get("standardize", False), node.get("probe")
            try:
                made = prepare(x, y, dtype=dtype, standardize=standardize, probe=probe)
            except ValueError as error:
                raise ConfigError(f"dataset.{error}") from error
            self._prepared[key] = made
        return self._prepared[key]

    def _samples(self, node: Values) -> tuple[Any, Any]:
        """What the dataset's function returns."""
        own = {key: value for key, value in node.items() if key not in OURS}
        key = json.dumps(own)
        if key not in self._drawn:
            made = build("dataset", own)
            if not isinstance(made, tuple | list) or len(made) != 2:
                target, kind = known_as(node), type(made).__name__
                raise ConfigError(f"dataset: expected {target} to return (x, y), got {kind}")
            self._drawn[key] = (made[0], made[1])
        return self._drawn[key]
