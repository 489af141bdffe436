"""What learns in a run: the parameters of the model, all of them, and nothing else.

What PyTorch would cast, freeze or leave out in silence is refused before a run exists.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.parameter import is_lazy

from runner.errors import ConfigError, NotTrained
from runner.model import network as networks

NOT_TRAINED = (
    "would neither be trained nor recorded, for only the model learns: make it a number, or a "
    "tensor without requires_grad, or a parameter of the model"
)
"""What is wrong with parameters of a loss or an objective."""


def check_parameters(name: str, model: Module, dtype: torch.dtype) -> None:
    """Refuse parameters that a run of that dtype could not train, or record, as they are.

    Raises ConfigError with each of them, and the reason.
    """
    faults = []
    for path, value in (*model.named_parameters(), *model.named_buffers()):
        kind, is_buffer = value.dtype, not isinstance(value, Parameter)
        if value.is_meta:
            faults.append(f"{path} is on the meta device, so it has no values")
        elif kind.is_complex:
            faults.append(f"{path} is of {kind}, and a run of {dtype} would keep its real part")
        elif is_buffer:
            continue
        elif not kind.is_floating_point:
            faults.append(f"{path} is of {kind}, which does not learn: make it a buffer")
        elif value.layout != torch.strided:
            faults.append(f"{path} is sparse ({value.layout}), and steps record dense values")
        elif torch.promote_types(kind, dtype) != dtype:
            faults.append(f"{path} is of {kind}, and would be rounded: dtype=float64")
    if faults:
        raise ConfigError("\n".join(f"model: {name}: {fault}" for fault in faults))


def check_model(name: str, model: Module, x: Tensor) -> None:
    """Refuse a model that learns nothing, or with tensors that learn and are no parameters.

    A copy is asked, as a step does; what raises there is left to the step.
    """
    if lazy := [path for path, value in model.named_parameters() if is_lazy(value)]:
        raise ConfigError("model", f"{name}: {lazy[0]} has no shape, for the model does not use it")
    parameters = list(model.parameters())
    if not parameters:
        return
    if not any(parameter.requires_grad for parameter in parameters):
        raise ConfigError(
            "model", f"of the parameters of {name} none learns: requires_grad is False"
        )
    if (tried := networks.copied(model)) is model:  # it cannot be copied
        return
    registered = {id(parameter) for parameter in tried.parameters()}
    with torch.random.fork_rng([x.device] if x.is_cuda else []):
        try:
            reached = leaves(tried.train()(x))
        except Exception:  # whatever a module of the user's raises
            return
    if others := [tensor for tensor in reached if id(tensor) not in registered]:
        raise ConfigError(
            "model",
            f"{name} uses {_shown(others[0])} that wants a gradient and is not one of its "
            "parameters, so it would neither be trained nor recorded: make it a torch.nn.Parameter "
            "of the module, or a module in a ModuleList, or detach it",
        )
    if not reached:
        raise ConfigError(
            "model", f"what {name} returns has no gradient by its parameters, so nothing learns"
        )


def _shown(tensor: Tensor) -> str:
    return f"a tensor of shape {tuple(tensor.shape)}"


def check_module_of_loss(name: str, loss: Any) -> None:
    """Refuse a loss that is a module with parameters that learn, used or not."""
    for path, parameter in loss.named_parameters() if isinstance(loss, Module) else ():
        if parameter.requires_grad:
            raise NotTrained(f"loss: {name}: its parameter {path} {NOT_TRAINED}")


def check_alone(name: str, value: Tensor, argument: Tensor) -> None:
    """Refuse a value that would be differentiated by something else than that argument."""
    if others := [leaf for leaf in leaves(value) if leaf is not argument]:
        raise NotTrained(f"{name} uses {_shown(others[0])}, which {NOT_TRAINED}")


def check_optimizer(name: str, optimizer: Any, named: Mapping[str, Any]) -> None:
    """Refuse an optimizer that leaves out parameters which learn: nothing would train them."""
    if (param_groups := getattr(optimizer, "param_groups", None)) is None:
        return
    updated = {id(parameter) for group in param_groups for parameter in group["params"]}
    learning = {key: parameter for key, parameter in named.items() if parameter.requires_grad}
    if missing := [key for key, parameter in learning.items() if id(parameter) not in updated]:
        raise ConfigError(
            "optimizer",
            f"{name} leaves out {', '.join(missing)}, so nothing would train them: "
            "+optimizer.groups=[{params: PATTERN, frozen: true}] says that they stay as they are, "
            "and so does requires_grad=False in the model",
        )


def leaves(value: Any) -> list[Tensor]:
    """Return the tensors that the value would be differentiated by: leaves of its graph."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return []
    if value.grad_fn is None:
        return [value]
    waiting, visited, reached = [value.grad_fn], {value.grad_fn}, []
    while waiting:
        node = waiting.pop()
        if (leaf := getattr(node, "variable", None)) is not None:
            reached.append(leaf)
        for after, _ in node.next_functions:
            if after is not None and after not in visited:
                visited.add(after)
                waiting.append(after)
    return reached
