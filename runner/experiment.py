"""From a composed config to an experiment that is ready to run: parts built, loop matched."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import device, measure, naming, program, vectors
from runner import loss as losses
from runner import model as models
from runner import optimizer as optimizers
from runner.batches import FullBatch
from runner.build import build, known_as
from runner.config import ConfigError, Values
from runner.data import Draws
from runner.dataset import Dataset
from runner.program.step import Step
from runner.spacing import Spacing

Array = NDArray[np.floating[Any]]


Predict = Callable[[Array, NDArray[np.int64]], Array]
"""From parameters, (some cells, parameters), and these cells' places, (some cells,) predictions"""


class Experiment(NamedTuple):
    """A program before its first step, its batches, and what its driver needs to know.

    Of a run by itself, or of a stack: then arrays have an axis of cells before the others.
    """

    loop: str
    device: str
    tensors: models.Tensors
    initial: Array
    """(parameters,), or (cells, parameters): the values before the first update"""
    program: Any
    """See `runner.program`."""
    batches: FullBatch
    recorded: Sequence[measure.Recorded]
    """What is recorded of each cell."""
    spacing: Spacing | None
    """Of the steps at which all parameters are, where they are not at all."""
    predict: Predict | None
    """At the dataset's probe point, if it has one; a run by itself is one cell"""

    @property
    def steps(self) -> Iterator[Step]:
        """The steps from where the program is, one after another, without end."""
        return (self.program.advance(batch) for batch in self.batches)


def recording(
    values: Values, tensors: models.Tensors
) -> tuple[list[measure.Recorded], Spacing | None]:
    """What a run with these parameters records, and at which steps all of them, if not at all."""
    parameters = sum(map(math.prod, tensors.values()))
    size = values["epochs"], parameters, values["dtype"], values["record"]["most_bytes"]
    whole = vectors.is_whole(*size)
    recorded = measure.declared(tensors, values["dtype"], whole=whole)
    return recorded, None if whole else vectors.spacing(*size)


def compose(values: Values, data: Dataset | None = None) -> Experiment:
    """Build the parts and the loop that matches them; ConfigError for whatever cannot run.

    The plain values have been through `runner.config.check`. `data` is the dataset where it has
    been drawn already.
    """
    matched = loop_for(values)
    data = data or prepared_dataset(values["dataset"], values["dtype"])
    if matched == "numpy":
        return _by_hand(values, data)
    device_name = resolved_device(values)
    if matched == "module":
        return _module(values, data, device_name)
    return _tensor(matched, values, data, device_name)


def loop_for(values: Values) -> str:
    """The name of the loop that matches the parts. Raises ConfigError where there is none."""
    with _refused("no loop for this combination: "):
        return program.match(
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
    from runner.program import numpy

    model = model_by_hand(values["model"], data)
    loss = build("loss", swapped(values["loss"], losses.BY_HAND))
    update = build("optimizer", swapped(values["optimizer"], optimizers.BY_HAND))
    w = start(model, values)
    batches = FullBatch(model.design(data.x), data.y)
    made = numpy.Program(w, loss, update)
    kept = recording(values, model.tensors)
    return Experiment(
        "numpy", "cpu", model.tensors, w, made, batches, *kept, _prediction(model, data)
    )


def _tensor(matched: str, values: Values, data: Dataset, device_name: str) -> Experiment:
    """The autograd and the optimizer loop."""
    import torch

    from runner.program import autograd, optimizer

    torch.manual_seed(values["seed"])
    model = model_by_hand(values["model"], data)
    initial = start(model, values)
    device.set_threads(data.x.size)
    x = torch.tensor(model.design(data.x), device=device_name)
    y = torch.tensor(data.y, device=device_name)
    w = torch.tensor(initial, device=device_name)
    predict: Any = operator.matmul
    if isinstance(model, models.Scalar):  # a product of numbers is cheaper than one of matrices
        x, predict = x[:, 0], operator.mul
    loss = torch_loss(values["loss"], device_name, y)
    made: Any
    if matched == "autograd":
        made = autograd.Program(w, predict, loss, build("optimizer", values["optimizer"]))
    else:
        built, closure = torch_optimizer(values["optimizer"], [w.requires_grad_()])
        made = optimizer.Program(w, loss, built, closure=closure)
    kept, at_probe = recording(values, model.tensors), _prediction(model, data)
    return Experiment(
        matched, device_name, model.tensors, initial, made, FullBatch(x, y), *kept, at_probe
    )


def _module(values: Values, data: Dataset, device_name: str) -> Experiment:
    """The module loop."""
    import torch

    from runner import network as networks
    from runner.program import module

    network, made = network_for(values, data, device_name)
    x = torch.tensor(data.x, device=device_name)
    y = torch.tensor(data.y, device=device_name).reshape(made)
    loss = torch_loss(values["loss"], device_name, y)
    tensors, initial = network_start(values, data, network)
    device.set_threads(len(data.x) * initial.size)
    built, closure = torch_optimizer(values["optimizer"], list(network.parameters()))

    def predict(parameters: Array, _: Any) -> Array:
        networks.load(network, parameters[0])
        made = networks.output(network, torch.tensor(data.probe, device=device_name))
        values: Array = made.cpu().numpy().reshape(1)
        return values

    return Experiment(
        "module",
        device_name,
        tensors,
        initial,
        module.Program(network, loss, built, closure=closure),
        FullBatch(x, y),
        *recording(values, tensors),
        None if data.probe is None else predict,
    )


def network_for(values: Values, data: Dataset, device_name: str) -> tuple[Any, tuple[int, ...]]:
    """The model as a module, drawn from the seed, and the shape of what it makes of the data."""
    import torch

    from runner import trial

    torch.manual_seed(values["seed"])
    node = {key: value for key, value in values["model"].items() if key != "initial"}
    if "in_features" in node and node["in_features"] is None:
        node["in_features"] = data.x.shape[1]
    network = build("model", node)
    if not isinstance(network, torch.nn.Module):
        raise ConfigError(f"model._target_: expected a torch.nn.Module, got {network!r}")
    network.to(device=device_name, dtype=getattr(torch, values["dtype"]))
    x = torch.tensor(data.x, device=device_name)
    return network, trial.output_shape(known_as(node), network, x, len(data.y))


def network_start(values: Values, data: Dataset, network: Any) -> tuple[models.Tensors, Array]:
    """Names and shapes of the module's parameters, and their values, (parameters,), once set."""
    from runner import network as networks

    if values["model"]["_target_"] == program.LINEAR:
        model = model_by_hand(values["model"], data)
        tensors = model.tensors
        networks.load(network, start(model, values))
    else:
        tensors = networks.tensors(network)
        with _refused("model."):
            networks.start(network, values["model"].get("initial"))
    if not tensors:
        raise ConfigError(f"model: {known_as(values['model'])} has no parameters to learn")
    if faults := naming.meeting(tensors):
        raise ConfigError("\n".join(f"model: {fault}: rename it" for fault in faults))
    return tensors, networks.values(network)


def prepared_dataset(node: Values, dtype: str) -> Dataset:
    """The samples as a loop takes them, drawn anew. Raises ConfigError."""
    return Draws().dataset(node, dtype)


def model_by_hand(node: Values, data: Dataset) -> Any:
    """The model by hand of the class that the node names."""
    return build("model", swapped(node, models.BY_HAND), data.x.shape[1])


def start(model: Any, values: Values) -> Array:
    """The starting values of a model by hand, (parameters,)."""
    with _refused("model."):
        values_there: Array = model.start(values["seed"], values["dtype"])
    return values_there


def _prediction(model: Any, data: Dataset) -> Predict | None:
    if data.probe is None:
        return None
    point = model.design(data.probe)
    return lambda parameters, _: point @ parameters[0]


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


def swapped(node: Values, by_hand: dict[str, Any]) -> Values:
    """The node with the class that it names replaced by the one that does the same by hand."""
    hand = by_hand.get(node["_target_"])
    return {**node, "_target_": f"{hand.__module__}.{hand.__qualname__}"} if hand else node


@contextmanager
def _refused(where: str) -> Iterator[None]:
    """Turn what a part of ours refuses, a ValueError, into a ConfigError that begins with where."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{where}{error}") from error
