"""An experiment that is ready to run: a program before its first step, built from a setup."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import device, measure, parts, vectors
from runner import loss as losses
from runner import model as models
from runner import optimizer as optimizers
from runner.batches import FullBatch
from runner.build import build
from runner.config import Values
from runner.dataset import Dataset
from runner.program.step import Step
from runner.setup import Setup, refused, setup
from runner.spacing import Spacing

Array = NDArray[np.floating[Any]]

Predict = Callable[[Array, NDArray[np.int64]], Array]
"""From parameters, (some cells, parameters), and these cells' indices, (some cells,) predictions"""


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


def compose(values: Values, data: Dataset | None = None) -> Experiment:
    """Build the parts and the loop that matches them; ConfigError for whatever cannot run.

    See `runner.setup.setup` for `values` and `data`.
    """
    return alone(setup(values, data))


def alone(of: Setup) -> Experiment:
    """The run by itself that the setup describes. Raises ConfigError."""
    if of.loop == "numpy":
        return _by_hand(of)
    return _module(of) if of.loop == "module" else _tensor(of)


def experiment(
    of: Setup, tensors: models.Tensors, initial: Array, program: Any, batches: FullBatch, at: Any
) -> Experiment:
    """The experiment with that program, `at` its prediction at the probe point."""
    whole = recording(of, tensors)
    return Experiment(of.loop, of.device, tensors, initial, program, batches, *whole, at)


def recording(of: Setup, tensors: models.Tensors) -> tuple[list[measure.Recorded], Spacing | None]:
    """What a run with these parameters records, and at which steps all of them, if not at all."""
    parameters = sum(map(math.prod, tensors.values()))
    size = of.epochs, parameters, of.dtype, of.most_bytes
    whole = vectors.is_whole(*size) or vectors.is_small(parameters, of.dtype, len(tensors))
    with refused(""):
        recorded = measure.declared(tensors, of.dtype, whole=whole)
    return recorded, None if whole else vectors.spacing(*size)


def _by_hand(of: Setup) -> Experiment:
    """The numpy loop."""
    from runner.program import numpy

    model = parts.model_by_hand(of.model, of.data)
    loss = build("loss", parts.swapped(of.loss, losses.BY_HAND))
    update = build("optimizer", parts.swapped(of.optimizer, optimizers.BY_HAND))
    w = parts.start(model, of.seed, of.dtype)
    batches, at_probe = FullBatch(model.design(of.data.x), of.data.y), _prediction(model, of.data)
    return experiment(of, model.tensors, w, numpy.Program(w, loss, update), batches, at_probe)


def _tensor(of: Setup) -> Experiment:
    """The autograd and the optimizer loop."""
    import torch

    from runner.program import autograd, optimizer

    torch.manual_seed(of.seed)
    model = parts.model_by_hand(of.model, of.data)
    initial = parts.start(model, of.seed, of.dtype)
    device.set_threads(of.data.x.size)
    x = torch.tensor(model.design(of.data.x), device=of.device)
    y = torch.tensor(of.data.y, device=of.device)
    w = torch.tensor(initial, device=of.device)
    predict: Any = operator.matmul
    if isinstance(model, models.Scalar):  # a product of numbers is cheaper than one of matrices
        x, predict = x[:, 0], operator.mul
    loss = parts.torch_loss(of.loss, of.device, y)
    made: Any
    if of.loop == "autograd":
        made = autograd.Program(w, predict, loss, build("optimizer", of.optimizer))
    else:
        built, closure = parts.torch_optimizer(of.optimizer, [w.requires_grad_()])
        made = optimizer.Program(w, loss, built, closure=closure)
    batches, at_probe = FullBatch(x, y), _prediction(model, of.data)
    return experiment(of, model.tensors, initial, made, batches, at_probe)


def _module(of: Setup) -> Experiment:
    """The module loop."""
    import torch

    from runner import network as networks
    from runner.program import module

    network, shape = parts.network(of.model, of.seed, of.dtype, of.device, of.data)
    x = torch.tensor(of.data.x, device=of.device)
    y = torch.tensor(of.data.y, device=of.device).reshape(shape)
    loss = parts.torch_loss(of.loss, of.device, y)
    tensors, initial = parts.network_start(of.model, of.seed, of.dtype, of.data, network)
    device.set_threads(len(of.data.x) * initial.size)
    built, closure = parts.torch_optimizer(of.optimizer, list(network.parameters()))

    def predict(parameters: Array, _: Any) -> Array:
        networks.load(network, parameters[0])
        made = networks.output(network, torch.tensor(of.data.probe, device=of.device))
        values: Array = made.cpu().numpy().reshape(1)
        return values

    made = module.Program(network, loss, built, closure=closure)
    at_probe = None if of.data.probe is None else predict
    return experiment(of, tensors, initial, made, FullBatch(x, y), at_probe)


def _prediction(model: Any, data: Dataset) -> Predict | None:
    if data.probe is None:
        return None
    point = model.design(data.probe)
    return lambda parameters, _: point @ parameters[0]
