"""Models that are a `torch.nn.Module`: starting values, names, and what comes out of them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module

from runner.model import Tensors, by_name, filled

Array = NDArray[np.floating[Any]]


def tensors(network: Module) -> Tensors:
    """Name and shape of each parameter, as `named_parameters` lists them."""
    return {name: tuple(p.shape) for name, p in network.named_parameters()}


def values(network: Module) -> Array:
    """A copy of all parameters as one vector, (parameters,)."""
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().cpu().numpy().copy()


def load(network: Module, vector: Array) -> None:
    """Set all parameters from one vector, (parameters,)."""
    device = next(network.parameters()).device
    with torch.no_grad():
        torch.nn.utils.vector_to_parameters(
            torch.tensor(vector, device=device), network.parameters()
        )


def start(network: Module, initial: Any) -> None:
    """Set the starting values that a config gives by parameter name; leave the others."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, given in by_name(initial, parameters).items():
            now = parameters[name].cpu().numpy()
            parameters[name].copy_(torch.tensor(filled(now, f"initial.{name}", given)))


def output(network: Module, x: Tensor) -> Tensor:
    """What the model makes of x, without a trace in its gradients, statistics or random state."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            result: Tensor = network(x)
    finally:
        network.train(training)
    return result
