"""What the programs with `torch.optim` share: a step by the optimizer, and copying values out."""

import copy
import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from runner import optimizer as rules
from runner.base.arrays import Array, Scalars, State
from runner.engine import hooked

Clip = Callable[[Sequence[Tensor]], object]
"""Makes the gradients of these parameters smaller, in place."""


class Stepper:
    """An optimizer as a program uses it.

    PyTorch wraps what its own optimizers do, for its compiler and its profiler. The compiler's
    wrappers import `torch._dynamo`, which takes as long as importing torch; the profiler's costs a
    tenth of a small step. Nothing is compiled or profiled here, so both are bypassed, unless
    somebody has hooked in there.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Sequence[Tensor],
        *,
        closure: bool = False,
        graph: bool = False,
        clip: Clip | None = None,
    ) -> None:
        """`closure`: whether its step wants to evaluate the loss by itself; `graph`: whether it
        wants gradients that can be differentiated; `clip` is what gradients go through before it.
        """
        self.own, self._parameters, self._closure = optimizer, parameters, closure
        self._graph, self._clip = graph, clip
        self._is_own = hooked.is_own_optimizer(optimizer)
        self._step: Callable[..., object] = optimizer.step
        if self._is_own and not optimizer.defaults.get("differentiable"):
            self._step = torch.no_grad()(partial(hooked.unwrapped_step(optimizer), optimizer))
        modes: Any = [getattr(optimizer, name, None) for name in ("train", "eval")]
        self._modes = modes if not self._is_own and all(map(callable, modes)) else []
        if self._modes:
            self._modes[0]()
        self.evaluations = 0
        """How often the gradient has been evaluated, where it wants a closure."""

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for parameter in self._parameters:
            parameter.grad = None  # what zero_grad does, without the tenth of a step that it takes
        if not self._is_own:
            self.own.zero_grad()

    def backward(self, value: Tensor) -> None:
        """Give each parameter the gradient of the value."""
        if not self._graph:
            value.backward()
            return
        learn = [parameter for parameter in self._parameters if parameter.requires_grad]
        found = torch.autograd.grad(value, learn, create_graph=True, allow_unused=True)
        for parameter, gradient in zip(learn, found, strict=True):
            parameter.grad = gradient

    def step(self, value: Tensor, evaluate: Callable[[], Tensor], *lr: Scalars) -> None:
        """Update the parameters, whose gradients are those of the value.

        `evaluate` computes it anew for where they are by then, and its gradients.
        """
        for group in self.own.param_groups if lr else ():
            group["lr"] = lr[0]
        if self._clip:
            self._clip(self._parameters)
        if self._closure:
            self._step(self._closure_of(value, evaluate))
        else:
            self._step()

    def _closure_of(self, value: Tensor, evaluate: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """What the optimizer may call as often as it likes; the first time, nothing has changed."""
        there = [hooked.version(parameter) for parameter in self._parameters]
        known = [value]
        self.evaluations += 1

        def closure() -> Tensor:
            now = [hooked.version(parameter) for parameter in self._parameters]
            if known and now == there:
                return known.pop()
            known.clear()
            self.evaluations += 1
            with torch.enable_grad():
                found = evaluate()
            if self._clip:
                self._clip(self._parameters)
            return found

        return closure

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The parameters as they are to be used, for an optimizer that trains others."""
        if not self._modes:
            yield
            return
        self._modes[1]()
        try:
            yield
        finally:
            self._modes[0]()

    def scale(self) -> Array | None:
        """(parameters,): what the last step was divided by, where the rule by hand tells that."""
        name = f"torch.optim.{type(self.own).__name__}"
        if not self._is_own or name not in KEPT:
            return None
        made = {}
        for group in self.own.param_groups:
            takes = inspect.signature(rules.BY_HAND[name]).parameters
            update = rules.BY_HAND[name](**{k: v for k, v in group.items() if k in takes})
            for parameter in group["params"]:
                own = self.own.state.get(parameter)
                memory = tuple(_plain(own.get(key)) for key in KEPT[name]) if own else None
                made[parameter] = rules.scale_of(update, memory, parameter)
        return flat(made[parameter] for parameter in self._parameters)

    def state(self) -> State:
        own = cloned(self.own.state_dict())
        return {"own": own, "evaluations": self.evaluations}

    def restore(self, state: State) -> None:
        self.own.load_state_dict(cloned(state["own"]))
        self.evaluations = state["evaluations"]


KEPT = {
    **dict.fromkeys(
        ("torch.optim.Adam", "torch.optim.AdamW"),
        ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    ),
    "torch.optim.RMSprop": ("square_avg", "grad_avg", "momentum_buffer"),
    "torch.optim.Adagrad": ("step", "sum"),
}
"""By what names an optimizer keeps what the rule by hand does, in its order."""


def _plain(kept: Any) -> Any:
    """A count of steps as a number: PyTorch keeps a tensor."""
    return kept.item() if isinstance(kept, Tensor) and kept.ndim == 0 and kept.numel() else kept


def cloned(state: Any) -> Any:
    """A state whose tensors are its own; what is neither a collection nor a tensor is copied."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if type(state) in (dict, OrderedDict):
        return {key: cloned(value) for key, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)([cloned(value) for value in state])
    return state if type(state) in PLAIN else copy.deepcopy(state)


PLAIN = (bool, int, float, str, type(None))


def flat(tensors: Iterable[Tensor]) -> Array:
    """A copy of the tensors' values, one after another, as one NumPy vector."""
    return np.concatenate([tensor.numpy(force=True) for tensor in tensors], axis=None)


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradient of each parameter, 0 for one that the loss does not reach."""
    return [_dense(p) for p in parameters]


def _dense(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter)
    return gradient.to_dense() if gradient.layout != torch.strided else gradient


def takes_loss(scheduler: Any) -> bool:
    """Return whether the scheduler's step wants a loss; ValueError for one that wants more.

    Its class tells, or what its step cannot be called without.
    """
    if isinstance(scheduler, ReduceLROnPlateau):
        return True
    try:
        signature = inspect.signature(scheduler.step)
    except (TypeError, ValueError):  # a compiled function shows none
        return False
    if _binds(signature):
        return False
    if _binds(signature, 0.0) and "epoch" not in signature.parameters:
        return True
    kind = type(scheduler).__name__
    raise ValueError(f"expected {kind} to have step(), or step(loss), got step{signature}")


def check_cycle(scheduler: Any, reach: int) -> None:
    """Raise ValueError for a cycle that is over before the run may be, whatever has made it."""
    if isinstance(scheduler, OneCycleLR) and scheduler.total_steps < reach:
        raise ValueError(
            f"{type(scheduler).__name__} is over after {scheduler.total_steps} steps: "
            f"expected total_steps={reach} or more, all that the run may take"
        )


def bound_rates(optimizer: Optimizer) -> None:
    """Let rates be infinite that are too large for the parameters: PyTorch raises where it divides
    or multiplies those, and with infinite ones a run diverges, as it does by hand.
    """
    for group in optimizer.param_groups:
        largest = min((torch.finfo(p.dtype).max for p in group["params"]), default=math.inf)
        if group["lr"] > largest * NEAR_LARGEST:
            group["lr"] = math.inf


NEAR_LARGEST = 1e-6
"""Of a dtype's largest number: optimizers divide a rate by what is left of 1, 1 - 0.999**2 say."""


def first_rates(schedule: Callable[[Optimizer], object]) -> list[float]:
    """Return the rates with which optimizers of 1 and 2 begin once such a schedule is theirs."""
    rates = []
    for lr in (1.0, 2.0):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
        schedule(optimizer)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates


def _binds(signature: inspect.Signature, *arguments: float) -> bool:
    """Return whether what has that signature can be called with these arguments."""
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
