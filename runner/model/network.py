"""Models that are a `torch.nn.Module`: starting values, names, and what comes out of them."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy

from runner.base.arrays import Array
from runner.model import Tensors, by_name, filled

Part = TypeVar("Part")


def tensors(network: Module) -> Tensors:
    """Name and shape of each parameter, as `named_parameters` lists them."""
    return {name: tuple(p.shape) for name, p in network.named_parameters()}


def values(network: Module) -> Array:
    """A copy of all parameters as one vector, (parameters,)."""
    flat = [p.detach().reshape(-1) for p in network.parameters()]
    return torch.cat(flat).cpu().numpy().copy()


def load(network: Module, vector: Array) -> None:
    """Set all parameters from one vector, (parameters,)."""
    given, at = torch.tensor(vector), 0
    with torch.no_grad():
        for parameter in network.parameters():
            own = given[at : at + parameter.numel()]
            parameter.copy_(own.reshape(parameter.shape))
            at += parameter.numel()


def start(network: Module, initial: Any) -> None:
    """Set the starting values that a config gives by parameter name; leave the others."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, given in by_name(initial, parameters).items():
            now = parameters[name].cpu().numpy()
            parameters[name].copy_(torch.tensor(filled(now, f"initial.{name}", given)))


def output(network: Module, x: Tensor) -> Any:
    """What the model makes of x, in evaluation mode, without a trace in the model.

    A copy is asked, for a module may keep more than PyTorch knows of: a count of its calls, say.
    """
    asked = network if any(map(is_lazy, network.parameters())) else copied(network)
    training = asked.training
    asked.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []):
            return asked(x)
    finally:
        asked.train(training)


def functional(
    network: Module, made: tuple[int, ...], kept: Callable[[], Mapping[str, Tensor]] = dict
) -> Callable[[Any, Any], Any]:
    """The module as a function of its samples and of all its parameters in one vector.

    `made` is the shape of what it makes of a sample; `kept` gives buffers in the place of its own.
    """
    named = dict(network.named_parameters())
    sizes = [parameter.numel() for parameter in named.values()]

    def predict(x: Any, w: Any) -> Any:
        parts = zip(named.items(), w.split(sizes), strict=True)
        own = {name: part.view(parameter.shape) for (name, parameter), part in parts}
        found = torch.func.functional_call(network, {**own, **kept()}, (x,))
        return found.reshape(len(x), *made)

    return predict


def evaluated(network: Module, made: tuple[int, ...]) -> Callable[[Any, Any], Any]:
    """A copy in evaluation mode as such a function, with the buffers that the module has by then.

    So what is asked of it leaves no trace in the module.
    """
    own = copied(network).eval()
    if own is network:
        raise ValueError("the model cannot be copied")
    return functional(own, made, lambda: dict(network.named_buffers()))


def copied(part: Part) -> Part:
    """A copy, or the part itself where it cannot be copied."""
    try:
        return copy.deepcopy(part)
    except Exception:  # one that keeps a tensor with a history, say
        return part
