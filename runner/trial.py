"""What is tried before a run exists, on copies: whether a model, a loss and an optimizer fit.

A part of somebody's may do anything, so only its own answer tells. No trial leaves a trace in what
the run then uses.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from runner import network as networks
from runner.config import ConfigError
from runner.dataset.samples import Dataset
from runner.failure import said
from runner.program.pytorch import Stepper

SHARES = ("KLDivLoss", "MultiLabelMarginLoss", "kl_div", "multilabel_margin_loss")
"""Losses of `torch.nn` and its `functional` for which y has a number for each class as well."""

OF_CLASSES = "where y is classes, and the loss one of your own: dataset.classes=true"

AROUND = (0.0, 1.0, -1.0, 1e3, -1e3)
"""So far from y are the predictions at which a loss is tried, beside one half everywhere."""


def output_shape(name: str, model: Module, x: Tensor, data: Dataset) -> tuple[int, ...]:
    """The shape of what the model makes of each sample of x, the first of the data.

    Raises ConfigError unless it makes as many numbers as the data want.
    """
    with refused(f"model: {name} does not fit the dataset: "):
        made = networks.output(model, x)
    if not isinstance(made, Tensor):
        raise ConfigError(f"model: expected {name} to return a tensor, got {_kind(made)}")
    samples, outputs = len(x), data.outputs
    serve = [(samples, outputs)] if outputs > 1 else [(samples,), (samples, 1)]
    if len(data.classes) == 2 and outputs == 2:
        serve += [(samples,), (samples, 1)]
    if tuple(made.shape) not in serve:
        wanted = "one number a sample" if outputs == 1 else f"{outputs} numbers a sample"
        shapes = " or ".join(map(str, serve))
        hint = "" if data.classes or made.ndim != 2 else f"; {OF_CLASSES}"
        raise ConfigError(f"model: expected {wanted}, {shapes}, got {tuple(made.shape)}{hint}")
    if not made.is_floating_point():
        raise ConfigError(f"model: expected numbers of {x.dtype}, got {made.dtype}")
    return tuple(made.shape[1:])


def check_training(name: str, model: Module, x: Tensor) -> None:
    """Call a copy as a step does, on these samples. Raises ConfigError where that raises."""
    if (tried := networks.copied(model)) is model:  # it cannot be copied
        return
    samples = "sample" if len(x) == 1 else "samples"
    what = f"model: {name} does not train on a batch of {len(x)} {samples}"
    where = f"{what}, the smallest of an epoch (drop_last=true leaves it out): "
    with refused(where), torch.random.fork_rng([x.device] if x.is_cuda else []):
        tried.train()(x)


def check_loss(name: str, loss: Any, like: Tensor, y: Tensor) -> None:
    """Try the loss of y on such predictions. Raises ConfigError unless it can be minimised."""
    if not callable(loss):
        raise ConfigError(f"loss: expected {name} to make a function of prediction and y")
    if _is_of_shares(loss) and y.numel() == len(y):
        raise ConfigError(
            f"loss: {name} takes a number for each class, and y is one number a sample: "
            "loss=mse, or another loss of such numbers"
        )
    with torch.random.fork_rng([]):
        tried = [_slope(name, loss, like, y), *_slopes_elsewhere(name, loss, like, y)]
    if not any(tried):
        raise ConfigError(
            f"loss: {name} does not change with the prediction, so there is nothing to minimise"
            + (f"; {OF_CLASSES}" if y.is_floating_point() else "")
        )


def _slopes_elsewhere(name: str, loss: Any, like: Tensor, y: Tensor) -> Iterator[bool]:
    """Whether the loss changes elsewhere; not each is at home everywhere, BCELoss say."""
    half = torch.full_like(like, 0.5)
    for prediction in [half, *(like + far for far in AROUND[1:])]:
        try:
            yield _slope(name, loss, prediction, y)
        except ConfigError:
            continue


def _slope(name: str, loss: Any, prediction: Tensor, y: Tensor) -> bool:
    """Whether the loss there changes with the prediction. Raises ConfigError where it has none."""
    own = prediction.detach().clone().requires_grad_()
    with refused(f"loss: {name} does not fit the dataset: "):
        value = networks.copied(loss)(own, y)
    if not isinstance(value, Tensor):
        raise ConfigError(f"loss: expected {name} to return a tensor, got {_kind(value)}")
    if value.numel() != 1:
        raise ConfigError(f"loss: expected one number, got the shape {tuple(value.shape)}")
    if not value.requires_grad:
        return False
    with refused(f"loss: {name} has no gradient: "):
        (gradient,) = torch.autograd.grad(value.sum(), own, allow_unused=True)
    return gradient is not None and bool((gradient != 0).any())


def _is_of_shares(loss: Any) -> bool:
    function = getattr(loss, "func", loss)  # of a partial one
    own = type(loss).__name__ if isinstance(loss, Module) else getattr(function, "__name__", "")
    return own in SHARES


def wants_closure(
    name: str, make: Callable[[list[Parameter]], Any], parameters: Sequence[Tensor]
) -> bool:
    """Whether the optimizer's step wants the loss as a closure, found by a step on copies.

    `make` constructs it for some parameters. Raises ConfigError where it can take no step.
    """
    with torch.random.fork_rng([]):
        optimizer, evaluate = _tried(make, parameters)
        if not callable(getattr(optimizer, "step", None)):
            kind = _kind(optimizer)
            raise ConfigError(f"optimizer: expected {name} to make one of torch.optim, got {kind}")
        taken = inspect.signature(optimizer.step).parameters.get("closure")
        if taken is not None and taken.default is taken.empty:
            _step(name, optimizer, evaluate, closure=True)
            return True
        try:
            _step(name, optimizer, evaluate, closure=False)
            return False
        except ConfigError:
            if taken is None:
                raise
            try:
                _step(name, *_tried(make, parameters), closure=True)
                return True
            except ConfigError:
                pass  # it was not the closure that it lacked
            raise


def _tried(make: Callable[[list[Parameter]], Any], parameters: Sequence[Tensor]) -> tuple[Any, Any]:
    """An optimizer of copies whose gradients are all ones, and a closure that makes these."""
    copies = [Parameter(p.detach().clone(), requires_grad=p.requires_grad) for p in parameters]

    def evaluate() -> Tensor:
        for one in copies:
            one.grad = torch.ones_like(one) if one.requires_grad else None
        return torch.ones((), dtype=copies[0].dtype, device=copies[0].device)

    return make(copies), evaluate


def _step(name: str, optimizer: Any, evaluate: Callable[[], Tensor], *, closure: bool) -> None:
    evaluate()
    with refused(f"optimizer: {name} cannot take a step: "):
        Stepper(optimizer, [], closure=closure).step(evaluate, 1.0)


@contextmanager
def refused(where: str) -> Iterator[None]:
    """Turn whatever a part of somebody's raises into a ConfigError that begins with `where`."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ConfigError(f"{where}{said(error)}") from error


def _kind(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__}"
