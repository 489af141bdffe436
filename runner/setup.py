"""A config on its way to an experiment: typed, its loop matched, its device and its data there.

What comes after this asks no config any more: parts are built from their nodes, which name a class
and its arguments, and all else is a value with a type.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from runner import device, program
from runner.config import ConfigError, Values
from runner.data import Draws
from runner.dataset import Dataset


class Setup(NamedTuple):
    """What an experiment is made of."""

    loop: str
    device: str
    dtype: str
    seed: int
    epochs: int
    most_bytes: int
    """That all parameters of all steps may take, if they are to be recorded."""
    model: Values
    """This and the next are nodes: see `runner.build.build`."""
    loss: Values
    optimizer: Values
    data: Dataset


def setup(values: Values, data: Dataset | None = None) -> Setup:
    """From the values of a config, which have been through `runner.config.check`.

    `data` is the dataset where it has been drawn already. Raises ConfigError for a combination
    that has no loop, and for a device or a dataset that is not there.
    """
    matched = loop_for(values)
    if data is None:
        data = Draws().dataset(values["dataset"], values["dtype"])
    return Setup(
        loop=matched,
        device="cpu" if matched == "numpy" else _resolved_device(values),
        dtype=values["dtype"],
        seed=values["seed"],
        epochs=values["epochs"],
        most_bytes=values["record"]["most_bytes"],
        model=values["model"],
        loss=values["loss"],
        optimizer=values["optimizer"],
        data=data,
    )


def loop_for(values: Values) -> str:
    """The name of the loop that matches the parts. Raises ConfigError where there is none."""
    with refused("no loop for this combination: "):
        return program.match(
            gradient=values["gradient"],
            model=str(values["model"].get("_target_")),
            loss=str(values["loss"].get("_target_")),
            optimizer=str(values["optimizer"].get("_target_")),
            device=values["device"]["name"],
            reduction=values["loss"].get("gradient_reduction", "mean"),
        )


def _resolved_device(values: Values) -> str:
    """The device that PyTorch is to compute on. Raises ConfigError for one that is not there."""
    with refused("device.name: "):
        return device.resolve(values["device"]["name"], values["dtype"])


@contextmanager
def refused(where: str) -> Iterator[None]:
    """Turn what a part of ours refuses, a ValueError, into a ConfigError that begins with where."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{where}{error}") from error
