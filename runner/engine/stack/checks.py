"""What a cell's lone run would refuse, looked for once for all cells that say the same."""

import json
from functools import lru_cache
from typing import NamedTuple

from runner import loss as losses
from runner import model as models
from runner import objective
from runner.base.arrays import Array
from runner.config.build import build, known_as, swapped
from runner.config.schema import Values
from runner.dataset.samples import Dataset
from runner.engine import parts, scheduled, updates
from runner.engine.setup import Setup
from runner.engine.stack.hyperparameters import largest

NEAR_OVERFLOW = 1e30
"""From here on a first step is tried: PyTorch refuses a factor that is too large for float32."""


class Known:
    """A dataset that is told from others by its samples, for what is built once for several."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __hash__(self) -> int:
        return hash(self.data.digest)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Known) or other.data.digest != self.data.digest:
            return False
        return other.data.classes == self.data.classes


class Network(NamedTuple):
    """What a stack needs to know of a cell's module."""

    shape: tuple[int, ...]
    """Of what it makes of a sample"""
    tensors: models.Tensors
    start: Array
    """(parameters,)"""
    form: str
    """What tells its layers from another one's"""
    doubt: str | None


@lru_cache(maxsize=10_000)
def network_of(
    model: str, initial: str, seed: int, dtype: str, device_name: str, known: Known
) -> Network:
    """A module at the start; the same for every cell that says the same."""
    from runner.engine.stack import stackable

    node = {**json.loads(model), "initial": json.loads(initial)}
    network, shape = parts.network(node, seed, dtype, device_name, known.data)
    tensors, start = parts.network_start(node, seed, dtype, known.data, network)
    doubt = stackable.doubt_of_model(node["_target_"], network)
    return Network(shape, tensors, start, repr(network), doubt)


@lru_cache(maxsize=1024)
def check_loss(
    text: str, loop: str, device_name: str, dtype: str, shape: tuple[int, ...], known: Known
) -> str | None:
    """Refuse a loss that the lone run would refuse; why it may be none for a stack."""
    node: Values = json.loads(text)
    if loop == "numpy":
        build("loss", swapped(node, losses.BY_HAND))
        return None
    from runner.engine.stack import stackable

    y = parts.torch_y(known.data, shape, device_name)
    loss = parts.torch_loss(node, device_name, y, shape, known.data)
    return stackable.doubt_of_loss(node["_target_"], loss)


def doubt_of_objective(node: Values) -> str | None:
    """Why the objective may be more than a function of its parameters, if it may."""
    from runner.engine.stack import stackable

    if str(node["_target_"]).startswith(objective.__name__ + "."):
        return None
    return f"the objective {known_as(node)} may keep more than it is told; {stackable.ASK}"


def check_optimizer(of: Setup) -> None:
    """Refuse hyperparameters, and values of the schedule, that the lone run would refuse."""
    if of.loop in ("numpy", "autograd"):
        updates.by_hand(of)
        scheduled.by_hand(of)
        return
    import torch

    from runner.engine import hooked

    parameters = [torch.zeros(1, requires_grad=True)]
    if largest(of.optimizer) > NEAR_OVERFLOW:
        made, _ = updates.by_pytorch(of, ["w"], parameters)
    else:
        hooked.without_compiler()
        made = build("optimizer", of.optimizer, parameters)
    scheduled.by_pytorch(of, made)
