"""Whether somebody has changed what PyTorch's own classes do: hooks, wrappers, subclasses.

Where nobody has, there are short cuts. PyTorch has no public way to ask, so its private names stand
in this file alone, and `tests/engine/test_hooked.py` fails first when they change.
"""

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.optim import Optimizer

TORCH = str(Path(torch.__file__).parent)


def is_own_optimizer(optimizer: Any) -> bool:
    """Whether it is one of `torch.optim` as PyTorch has made it."""
    return (
        _is_of_torch(type(optimizer), "torch.optim.")
        and not _hooks(optimizer)
        and not _hooks(sys.modules[Optimizer.__module__])
        and not {"step", "zero_grad"} & vars(optimizer).keys()
        and all(map(_is_torchs_file, _wrapped(type(optimizer).step)))
        and type(optimizer).zero_grad is Optimizer.zero_grad
    )


def is_own_module(module: Module) -> bool:
    """Whether it is one of `torch.nn` as PyTorch has made it; its children are not looked at."""
    return (
        _is_of_torch(type(module), "torch.nn.")
        and not _hooks(module)
        and not _hooks(sys.modules[Module.__module__])
        and "forward" not in vars(module)
        and all(map(_is_torchs_file, _wrapped(type(module).forward)))
    )


def is_own_parameter(parameter: Tensor) -> bool:
    """Whether it is a `torch.nn.Parameter` whose gradient nobody looks at on its way."""
    names = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return type(parameter) is Parameter and not any(getattr(parameter, name) for name in names)


def unwrapped_step(optimizer: Optimizer) -> Any:
    """The class's own step, as a function of the optimizer and a closure."""
    return inspect.unwrap(type(optimizer).step)


def take_as_stepped(optimizer: Optimizer) -> None:
    """Let schedulers believe that it takes steps, of which they only see those that they wrap."""
    optimizer._opt_called = True  # type: ignore[attr-defined]


def version(parameter: Tensor) -> tuple[int, ...]:
    """What changes when somebody changes the parameter's values, or its gradient, in place."""
    gradient = parameter.grad
    return parameter._version, id(gradient), 0 if gradient is None else gradient._version


def without_compiler() -> None:
    """Let optimizers be constructed without the import of the compiler."""
    # The wrapper looks here for the function that the compiler would give it.
    function = inspect.unwrap(Optimizer.add_param_group)
    setattr(function, "__dynamo_disable", function)


def with_compiler() -> None:
    """Take that back."""
    vars(inspect.unwrap(Optimizer.add_param_group)).pop("__dynamo_disable", None)


def _hooks(there: Any) -> bool:
    """Whether a class's object, or a module of Python, has any: both keep them in dictionaries."""
    named = (value for name, value in vars(there).items() if "hooks" in name)
    return any(isinstance(value, Mapping) and len(value) > 0 for value in named)


def _is_of_torch(kind: type, package: str) -> bool:
    return kind.__module__.startswith(package)


def _wrapped(function: Any) -> list[Any]:
    """The function, and each one that it wraps."""
    found = [function]
    while hasattr(found[-1], "__wrapped__"):
        found.append(found[-1].__wrapped__)
    return found


def _is_torchs_file(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(TORCH)
