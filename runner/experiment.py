"""From a composed config to an experiment that is ready to run: parts built, loop matched."""

import json
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import device, loop
from runner import loss as losses
from runner import model as models
from runner import optimizer as optimizers
from runner.build import build
from runner.config import ConfigError, Values
from runner.dataset import Dataset, prepare
from runner.loop.step import Step

Array = NDArray[np.floating[Any]]


class Experiment(NamedTuple):
    """A loop before its first step, and what its consumer needs to know."""

    loop: str
    device: str
    tensors: models.Tensors
    initial: Array
    """(parameters,): the values before the first update"""
    steps: Iterator[Step]
    predict: Callable[[Array], float] | None
    """From parameters, (parameters,), the prediction at the dataset's probe point, if it has one"""


def compose(values: Values) -> Experiment:
    """Build the parts and the loop that matches them; ConfigError for whatever cannot run.

    The plain values have been through `runner.config.check`.
    """
    matched = loop_for(values)
    data = prepared_dataset(values["dataset"], values["dtype"])
    if matched == "numpy":
        return _by_hand(values, data)
    place = resolved_device(values)
    if matched == "module":
        return _module(values, data, place)
    return _tensor(matched, values, data, place)


def loop_for(values: Values) -> str:
    """The name of the loop that matches the parts. Raises ConfigError where there is none."""
    with _refused("no loop for this combination: "):
        return loop.match(
            gradient=values["gradient"],
            model=str(values["model"].get("_target_")),
            loss=str(values["loss"].get("_target_")),
            optimizer=str(values["optimizer"].get("_target_")),
            device=values["device"]["name"],
            reduction=values["loss"].get("gradient_reduction", "mean"),
        )


def resolved_device(values: Values) -> str:
    """The device that PyTorch is to compute on. Raises ConfigError for one that is not there."""
    with _refused("device.name: "):
        return device.resolve(values["device"]["name"], values["dtype"])


def _by_hand(values: Values, data: Dataset) -> Experiment:
    """The numpy loop."""
    from runner.loop import numpy

    model = model_by_hand(values["model"], data)
    loss = build("loss", swapped(values["loss"], losses.BY_HAND))
    update = build("optimizer", swapped(values["optimizer"], optimizers.BY_HAND))
    w = start(model, values)
    steps = numpy.steps(model.design(data.x), data.y, w, loss, update)
    return Experiment("numpy", "cpu", model.tensors, w, steps, _prediction(model, data))


def _tensor(matched: str, values: Values, data: Dataset, place: str) -> Experiment:
    """The autograd and the optimizer loop."""
    import torch

    from runner.loop import autograd, optimizer
    from runner.loop.pytorch import build_optimizer

    torch.manual_seed(values["seed"])
    model = model_by_hand(values["model"], data)
    initial = start(model, values)
    device.set_threads(data.x.size)
    x = torch.tensor(model.design(data.x), device=place)
    y = torch.tensor(data.y, device=place)
    w = torch.tensor(initial, device=place)
    predict: Any = operator.matmul
    if isinstance(model, models.Scalar):  # a product of numbers is cheaper than one of matrices
        x, predict = x[:, 0], operator.mul
    loss = torch_loss(values["loss"], place, y)
    if matched == "autograd":
        steps = autograd.steps(x, y, w, predict, loss, build("optimizer", values["optimizer"]))
    else:
        update = build_optimizer(
            lambda: build("optimizer", values["optimizer"], [w.requires_grad_()])
        )
        steps = optimizer.steps(x, y, w, loss, update)
    return Experiment(matched, place, model.tensors, initial, steps, _prediction(model, data))


def _module(values: Values, data: Dataset, place: str) -> Experiment:
    """The module loop."""
    import torch

    from runner import network as networks
    from runner.loop import module
    from runner.loop.pytorch import build_optimizer

    network, made = network_for(values, data, place)
    x = torch.tensor(data.x, device=place)
    y = torch.tensor(data.y, device=place).reshape(made)
    loss = torch_loss(values["loss"], place, y)
    tensors, initial = network_start(values, data, network)
    device.set_threads(len(data.x) * initial.size)
    update = build_optimizer(lambda: build("optimizer", values["optimizer"], network.parameters()))

    def predict(parameters: Array) -> float:
        networks.load(network, parameters)
        return networks.output(network, torch.tensor(data.probe, device=place)).item()

    steps = module.steps(x, y, network, loss, update)
    return Experiment(
        "module", place, tensors, initial, steps, None if data.probe is None else predict
    )


def network_for(values: Values, data: Dataset, place: str) -> tuple[Any, tuple[int, ...]]:
    """The model as a module, drawn from the seed, and the shape of what it makes of the data."""
    import torch

    from runner import network as networks

    torch.manual_seed(values["seed"])
    node = {key: value for key, value in values["model"].items() if key != "initial"}
    if "in_features" in node and node["in_features"] is None:
        node["in_features"] = data.x.shape[1]
    network = build("model", node)
    if not isinstance(network, torch.nn.Module):
        raise ConfigError(f"model._target_: expected a torch.nn.Module, got {network!r}")
    network.to(device=place, dtype=getattr(torch, values["dtype"]))
    x, samples = torch.tensor(data.x, device=place), len(data.y)
    with _refused(f"model: {node['_target_']} does not fit the dataset: ", Exception):
        made = networks.output(network, x)  # a lazy module has its parameters only from here on
    if made.shape not in ((samples,), (samples, 1)):
        raise ConfigError(
            f"model: expected one number a sample, {(samples,)} or {(samples, 1)}, "
            f"got {tuple(made.shape)}"
        )
    return network, tuple(made.shape)


def network_start(values: Values, data: Dataset, network: Any) -> tuple[models.Tensors, Array]:
    """Names and shapes of the module's parameters, and their values, (parameters,), once set."""
    from runner import network as networks

    if values["model"]["_target_"] == loop.LINEAR:
        model = model_by_hand(values["model"], data)
        tensors = model.tensors
        networks.load(network, start(model, values))
    else:
        tensors = networks.tensors(network)
        with _refused("model."):
            networks.start(network, values["model"].get("initial"))
    if not tensors:
        raise ConfigError(f"model: {values['model']['_target_']} has no parameters to learn")
    return tensors, networks.values(network)


def prepared_dataset(node: Values, dtype: str) -> Dataset:
    """The samples as a loop takes them; the same object for the same node, which nobody changes."""
    return _dataset(json.dumps(node), dtype)


@lru_cache(maxsize=64)
def _dataset(text: str, dtype: str) -> Dataset:
    node: Values = json.loads(text)
    ours = {"standardize", "probe"}  # of every dataset; the rest is its function's own
    made = build("dataset", {key: value for key, value in node.items() if key not in ours})
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise ConfigError(
            f"dataset: expected {node['_target_']} to return (x, y), got {type(made).__name__}"
        )
    with _refused("dataset."):
        return prepare(
            *made, dtype=dtype, standardize=node.get("standardize", False), probe=node.get("probe")
        )


def model_by_hand(node: Values, data: Dataset) -> Any:
    """The model by hand of the class that the node names."""
    return build("model", swapped(node, models.BY_HAND), data.x.shape[1])


def start(model: Any, values: Values) -> Array:
    """The starting values of a model by hand, (parameters,)."""
    with _refused("model."):
        values_there: Array = model.start(values["seed"], values["dtype"])
    return values_there


def _prediction(model: Any, data: Dataset) -> Callable[[Array], float] | None:
    if data.probe is None:
        return None
    point = model.design(data.probe)
    return lambda parameters: (point @ parameters).item()


def torch_loss(node: Values, place: str, y: Any) -> Any:
    """The loss on its device, tried on predictions of the shape of y."""
    import torch

    loss = build("loss", {k: v for k, v in node.items() if k != "gradient_reduction"})
    if isinstance(loss, torch.nn.Module):
        loss.to(place)
    with _refused(f"loss: {node['_target_']} does not fit the dataset: ", Exception):
        value = loss(y, y)
    if value.numel() != 1:
        raise ConfigError(f"loss: expected one number, got the shape {tuple(value.shape)}")
    return loss


def swapped(node: Values, by_hand: dict[str, Any]) -> Values:
    """The node with the class that it names replaced by the one that does the same by hand."""
    hand = by_hand.get(node["_target_"])
    return {**node, "_target_": f"{hand.__module__}.{hand.__qualname__}"} if hand else node


@contextmanager
def _refused(where: str, kind: type[Exception] = ValueError) -> Iterator[None]:
    """Turn what a part refuses into a ConfigError that begins with where."""
    try:
        yield
    except kind as error:
        raise ConfigError(f"{where}{error}") from error
