"""What is tried before a run exists, on copies: whether a model, a loss and an optimizer fit.

A part of somebody's may do anything, so only its own answer tells. No trial leaves a trace in what
the run then uses.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from runner.base.failure import said
from runner.dataset.samples import Dataset
from runner.engine import learning
from runner.engine.program.pytorch import Stepper
from runner.engine.reduction import Reduction, candidates, tried
from runner.errors import ConfigError, NotTrained
from runner.model import network as networks

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
        raise ConfigError("model", expected=f"{name} to return a tensor", got=_kind(made))
    samples, outputs = len(x), data.outputs
    serve = [(samples, outputs)] if outputs > 1 else [(samples,), (samples, 1)]
    if len(data.classes) == 2 and outputs == 2:
        serve += [(samples,), (samples, 1)]
    if tuple(made.shape) not in serve:
        wanted = "one number a sample" if outputs == 1 else f"{outputs} numbers a sample"
        shapes = " or ".join(map(str, serve))
        hint = "" if data.classes or made.ndim != 2 else f"; {OF_CLASSES}"
        raise ConfigError("model", f"expected {wanted}, {shapes}, got {tuple(made.shape)}{hint}")
    if not made.is_floating_point():
        raise ConfigError("model", expected=f"numbers of {x.dtype}", got=made.dtype)
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


def check_objective(name: str, value: Callable[[Any], Any], start: Any, device_name: str) -> None:
    """Ask an objective for its value and its gradient there. Raises ConfigError for none."""
    w = torch.tensor(start, device=device_name, requires_grad=True)
    with torch.random.fork_rng([]):
        with refused(f"objective: {name} has no value at its start: "):
            found = value(w)
        if not isinstance(found, Tensor) or found.numel() != 1:
            got = tuple(found.shape) if isinstance(found, Tensor) else _kind(found)
            raise ConfigError("objective", expected=f"{name} to return one number", got=got)
        if not found.requires_grad:
            raise ConfigError("objective", f"{name} does not depend on its parameters by PyTorch")
        learning.check_alone(f"objective: {name}", found, w)
        with refused(f"objective: {name} has no gradient: "):
            torch.autograd.grad(found, w)


def check_loss(name: str, loss: Any, like: Tensor, y: Tensor) -> None:
    """Try the loss of y on such predictions. Raises ConfigError unless it can be minimised."""
    if not callable(loss):
        raise ConfigError("loss", f"expected {name} to make a function of prediction and y")
    if _is_of_shares(loss) and y.numel() == len(y):
        raise ConfigError(
            "loss",
            f"{name} takes a number for each class, and y is one number a sample: "
            "loss=mse, or another loss of such numbers",
        )
    learning.check_module_of_loss(name, loss)
    with torch.random.fork_rng([]):
        slopes = [_slope(name, loss, like, y), *_slopes_elsewhere(name, loss, like, y)]
    if not any(slopes):
        raise ConfigError(
            f"loss: {name} does not change with the prediction, so there is nothing to minimise"
            + (f"; {OF_CLASSES}" if y.is_floating_point() else "")
        )


def predictions(y: Tensor, shape: tuple[int, ...], dtype: str) -> Tensor:
    """Return predictions of that shape for the samples of y: y itself, or of classes zeros."""
    if y.is_floating_point():
        return y
    return torch.zeros(len(y), *shape, device=y.device, dtype=getattr(torch, dtype))


def reduction(loss: Any, like: Tensor, y: Tensor) -> Reduction | None:
    """Return how the loss puts samples together; None where it is neither a mean nor a sum.

    `like` are predictions for the samples of y, of which some are tried.
    """

    def value(prediction: Tensor, labels: Tensor) -> Tensor:
        batch_loss: Tensor = networks.copied(loss)(prediction, labels)
        return batch_loss.detach()

    with torch.random.fork_rng([]):
        return tried(value, [*candidates(loss, y)], like, y)


def _slopes_elsewhere(name: str, loss: Any, like: Tensor, y: Tensor) -> Iterator[bool]:
    """Whether the loss changes elsewhere; not each is at home everywhere, BCELoss say."""
    half = torch.full_like(like, 0.5)
    for prediction in [half, *(like + far for far in AROUND[1:])]:
        try:
            yield _slope(name, loss, prediction, y)
        except NotTrained:
            raise
        except ConfigError:
            continue


def _slope(name: str, loss: Any, prediction: Tensor, y: Tensor) -> bool:
    """Whether the loss there changes with the prediction. Raises ConfigError where it has none."""
    own = prediction.detach().clone().requires_grad_()
    with refused(f"loss: {name} does not fit the dataset: "):
        value = networks.copied(loss)(own, y)
    if not isinstance(value, Tensor):
        raise ConfigError("loss", expected=f"{name} to return a tensor", got=_kind(value))
    if value.numel() != 1:
        raise ConfigError("loss", f"expected one number, got the shape {tuple(value.shape)}")
    if not value.requires_grad:
        return False
    learning.check_alone(f"loss: {name}", value, own)
    with refused(f"loss: {name} has no gradient: "):
        (gradient,) = torch.autograd.grad(value.sum(), own, allow_unused=True)
    return gradient is not None and bool((gradient != 0).any())


def _is_of_shares(loss: Any) -> bool:
    function = getattr(loss, "func", loss)  # of a partial one
    kinds = type(loss).__mro__ if isinstance(loss, Module) else [function]
    return any(getattr(kind, "__name__", "") in SHARES for kind in kinds)


Make = Callable[[Sequence[Any], Any], Any]
"""Constructs an optimizer for parameters, and the module that they are of, if they are one's."""


def wants_closure(
    name: str, make: Make, parameters: Sequence[Tensor], network: Module | None, wants: Any
) -> bool:
    """Whether the optimizer's step wants the loss as a closure, found by a step on copies.

    `wants` is what is known of it, see `engine.updates.Takes`. Raises ConfigError where it can take
    no step.
    """
    trial = _Trial(name, make, parameters, network, graph=wants.create_graph)
    with torch.random.fork_rng([]):
        optimizer = trial.optimizer()
        if not callable(getattr(optimizer, "step", None)):
            kind = _kind(optimizer)
            raise ConfigError("optimizer", expected=f"{name} to make one of torch.optim", got=kind)
        taken = inspect.signature(optimizer.step).parameters.get("closure")
        if wants.closure is not None or (taken is not None and taken.default is taken.empty):
            closure = wants.closure is not False
            trial.step(closure=closure)
            return closure
        try:
            trial.step(closure=False)
            return False
        except ConfigError:
            if taken is not None and trial.serves(closure=True):
                return True
            if not wants.create_graph and trial.with_graph().serves(closure=False):
                raise ConfigError(
                    "optimizer",
                    f"{name} differentiates the gradient: +optimizer.takes={{create_graph: true}}",
                ) from None
            raise


class _Trial(NamedTuple):
    """Steps of an optimizer of copies."""

    name: str
    make: Make
    parameters: Sequence[Tensor]
    network: Module | None
    graph: bool

    def with_graph(self) -> "_Trial":
        return self._replace(graph=True)

    def optimizer(self) -> Any:
        return self._copied()[0]

    def serves(self, *, closure: bool) -> bool:
        """Whether it takes such a step."""
        try:
            self.step(closure=closure)
        except ConfigError:
            return False
        return True

    def step(self, *, closure: bool) -> None:
        """Take one. Raises ConfigError where it cannot."""
        optimizer, copies = self._copied()
        learn = [copy for copy in copies if copy.requires_grad]

        def evaluate() -> Tensor:
            """A loss whose gradient is all ones, or with a graph about that."""
            for one in copies:
                one.grad = None
            if self.graph:
                value = torch.stack([(one + one * one / 4).sum() for one in learn]).sum()
                found = torch.autograd.grad(value, learn, create_graph=True)
                for one, gradient in zip(learn, found, strict=True):
                    one.grad = gradient
                return value
            for one in learn:
                one.grad = torch.ones_like(one)
            return torch.ones((), dtype=copies[0].dtype, device=copies[0].device)

        with refused(f"optimizer: {self.name} cannot take a step: "):
            stepper = Stepper(optimizer, [], closure=closure, graph=self.graph)
            stepper.step(evaluate(), evaluate)

    def _copied(self) -> tuple[Any, list[Any]]:
        """An optimizer of copies of the parameters, and these."""
        network = self.network
        if network is not None and (copy := networks.copied(network)) is not network:
            copies = list(copy.parameters())
            return self.make(copies, copy), copies
        copies = [Parameter(p.detach().clone(), p.requires_grad) for p in self.parameters]
        return self.make(copies, network), copies


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
