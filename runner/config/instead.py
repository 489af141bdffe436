"""An objective stands in the place of a dataset, a model and a loss: one or the other is given."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from runner.base.overrides import parse
from runner.base.paths import CONF
from runner.config.schema import Values
from runner.errors import ConfigError

USUAL = {"dataset": "line", "model": "scalar", "loss": "mse"}
"""What `conf/config.yaml` has for those that it stands in the place of."""

OF_SAMPLES = ("batch_size", "shuffle", "drop_last", "validation", "validation_data", "split_seed")
"""What says how samples are taken, of which an objective has none."""


def settled(values: Values) -> Values:
    """The values; with an objective, None for each part in whose place it stands.

    Raises ConfigError where such a part is another than the usual one, so somebody has named it.
    """
    if not values["objective"]:
        return values
    for part in USUAL:
        if values[part] is not None and values[part] != _usual(part):
            raise ConfigError(
                part,
                f"an objective stands in its place, and something else in this config "
                f"names or changes it, {values[part].get('_target_', values[part])}: one of both",
            )
    return {**values, **dict.fromkeys(USUAL)}


@cache
def _usual(part: str) -> Any:
    """The node of the usual option, read once: each cell of a sweep asks for it."""
    return OmegaConf.to_container(OmegaConf.load(CONF / part / f"{USUAL[part]}.yaml"))


def without_replaced(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The option chosen for each group that counts."""
    dropped = USUAL if choices.get("objective") else ()
    return {group: option for group, option in choices.items() if group not in dropped}


def faults(values: Values, overrides: Sequence[str]) -> list[str]:
    """What was typed, and has no meaning beside an objective."""
    if not values["objective"]:
        return []
    tops = dict.fromkeys(parse(text).top for text in overrides)
    told = [
        f"{top}: an objective stands in its place: one of both"
        if top in USUAL
        else f"{top}: is said of samples, and an objective has none"
        for top in tops
        if top in (*USUAL, *OF_SAMPLES)
    ]
    if values["tracking"]["log_model"]:
        told.append("tracking.log_model: an objective has no model")
    return told
