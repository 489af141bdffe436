"""The parts of an experiment, built from their nodes, and tried where they are somebody's own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import model as models
from runner import naming, program
from runner.build import build, known_as
from runner.config import ConfigError, Values
from runner.dataset import Dataset
from runner.setup import refused

Array = NDArray[np.floating[Any]]


def swapped(node: Values, by_hand: dict[str, Any]) -> Values:
    """The node with the class that it names replaced by the one that does the same by hand."""
    hand = by_hand.get(node["_target_"])
    return {**node, "_target_": f"{hand.__module__}.{hand.__qualname__}"} if hand else node


def model_by_hand(node: Values, data: Dataset) -> Any:
    """The model by hand of the class that the node names."""
    return build("model", swapped(node, models.BY_HAND), data.x.shape[1])


def start(model: Any, seed: int, dtype: str) -> Array:
    """The starting values of a model by hand, (parameters,)."""
    with refused("model."):
        values: Array = model.start(seed, dtype)
    return values


def network(
    node: Values, seed: int, dtype: str, device_name: str, data: Dataset
) -> tuple[Any, tuple[int, ...]]:
    """The model as a module, drawn from the seed, and the shape of what it makes of the data."""
    import torch

    from runner import trial

    torch.manual_seed(seed)
    node = {key: value for key, value in node.items() if key != "initial"}
    if "in_features" in node and node["in_features"] is None:
        node["in_features"] = data.x.shape[1]
    made = build("model", node)
    if not isinstance(made, torch.nn.Module):
        raise ConfigError(f"model._target_: expected a torch.nn.Module, got {made!r}")
    made.to(device=device_name, dtype=getattr(torch, dtype))
    x = torch.tensor(data.x, device=device_name)
    return made, trial.output_shape(known_as(node), made, x, len(data.y))


def network_start(
    node: Values, seed: int, dtype: str, data: Dataset, made: Any
) -> tuple[models.Tensors, Array]:
    """Names and shapes of the module's parameters, and their values, (parameters,), once set."""
    from runner import network as networks

    if node["_target_"] == program.LINEAR:
        model = model_by_hand(node, data)
        tensors = model.tensors
        networks.load(made, start(model, seed, dtype))
    else:
        tensors = networks.tensors(made)
        with refused("model."):
            networks.start(made, node.get("initial"))
    if not tensors:
        raise ConfigError(f"model: {known_as(node)} has no parameters to learn")
    if faults := naming.meeting(tensors):
        raise ConfigError("\n".join(f"model: {fault}: rename it" for fault in faults))
    return tensors, networks.values(made)


def torch_loss(node: Values, device_name: str, y: Any) -> Any:
    """The loss on its device, tried on predictions of the shape of y."""
    import torch

    from runner import trial

    loss = build("loss", {k: v for k, v in node.items() if k != "gradient_reduction"})
    if isinstance(loss, torch.nn.Module):
        loss.to(device_name)
    trial.check_loss(known_as(node), loss, y)
    return loss


def torch_optimizer(node: Values, parameters: list[Any]) -> tuple[Any, bool]:
    """The optimizer of these parameters, and whether its step wants a closure."""
    from runner import hooked, trial

    hooked.without_compiler()
    closure = trial.wants_closure(
        known_as(node), lambda copies: build("optimizer", node, copies), parameters
    )
    return build("optimizer", node, parameters), closure
