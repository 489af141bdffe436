"""Update rules by hand, with the names, hyperparameters and defaults of `torch.optim`.

Each function takes hyperparameters and returns an update

    w, state = update(w, gradient, state, lr)

that is pure: it changes none of its arguments. w and gradient are arrays of one shape and dtype,
NumPy's or PyTorch's; the state, the rule's own affair, starts as None; `lr`, this step's learning
rate, is the hyperparameter where it is left out. The formulas are those on each class's page of the
PyTorch documentation. A hyperparameter that torch takes and
a rule here does not (`fused`, `foreach`: how torch computes, not what) is refused by its name.

On PyTorch's tensors a rule makes the very operations that `torch.optim` makes on the CPU, in the
same order, so the two are bit-identical. On NumPy's arrays they agree within rounding: PyTorch
fuses a product and a sum into one rounding, and its square root is another library's.

Clipping makes gradients smaller before an update, as `torch.nn.utils` does it. A gradient is
(..., parameters), and each row is clipped by itself, so that a stack's cells are. A limit is a
number, or one for each cell of a stack.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from runner.base.percell import PerCell
from runner.errors import BadValue

Update = Callable[..., tuple[Any, Any]]


def descent(*, lr: float) -> Update:
    """Plain gradient descent: w - lr * gradient."""
    _require_not_negative(lr=lr)

    def update(w: Any, gradient: Any, state: Any, lr: float = lr) -> tuple[Any, Any]:
        return _plus(w, -lr, gradient), state

    return update


def sgd(
    *,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> Update:
    """`torch.optim.SGD`: descent with heavy-ball or Nesterov momentum."""
    _require_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
    if nesterov and (momentum == 0 or dampening != 0):
        raise ValueError("nesterov=true needs a momentum above 0 and dampening=0")

    def update(w: Any, gradient: Any, velocity: Any, lr: float = lr) -> tuple[Any, Any]:
        direction = _direction(w, gradient, weight_decay, maximize)
        if momentum:
            if velocity is None:  # as torch does: the first gradient is not dampened
                velocity = direction
            else:
                velocity = _plus(momentum * velocity, 1 - dampening, direction)
            direction = _plus(direction, momentum, velocity) if nesterov else velocity
        return _plus(w, -lr, direction), velocity

    return update


def adam(
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> Update:
    """`torch.optim.Adam`: steps scaled by running means of the gradient and of its square."""
    _require_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
    beta1, beta2 = betas
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise BadValue("betas", f"expected two numbers from 0 to below 1, got {beta1}, {beta2}")

    def scale(state: Any) -> Any:
        epoch, _, square, highest = state
        return (highest if amsgrad else square) ** 0.5 / (1 - beta2**epoch) ** 0.5 + eps

    def update(w: Any, gradient: Any, state: Any, lr: float = lr) -> tuple[Any, Any]:
        epoch, mean, square, highest = state or (0, w - w, w - w, w - w)
        if decoupled_weight_decay:
            direction = _direction(w, gradient, 0.0, maximize)
            w = w * (1 - lr * weight_decay)
        else:
            direction = _direction(w, gradient, weight_decay, maximize)
        epoch = epoch + 1
        mean = _towards(mean, direction, 1 - beta1)
        square = _plus_product(beta2 * square, 1 - beta2, direction, direction)
        if amsgrad:
            highest = square.clip(min=highest)
        state = epoch, mean, square, highest
        return _plus_quotient(w, -(lr / (1 - beta1**epoch)), mean, scale(state)), state

    return scaling(update, scale)


def adamw(
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    maximize: bool = False,
) -> Update:
    """`torch.optim.AdamW`: Adam whose weight decay does not pass through the running means."""
    return adam(
        lr=lr,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        amsgrad=amsgrad,
        maximize=maximize,
        decoupled_weight_decay=True,
    )


def rmsprop(
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
) -> Update:
    """`torch.optim.RMSprop`: steps scaled by a running mean of the squared gradient."""
    _require_not_negative(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)

    def scale(state: Any) -> Any:
        square, mean, _ = state
        return (_plus_product(square, -1, mean, mean) if centered else square) ** 0.5 + eps

    def update(w: Any, gradient: Any, state: Any, lr: float = lr) -> tuple[Any, Any]:
        square, mean, velocity = state or (w - w, w - w, w - w)
        direction = _direction(w, gradient, weight_decay, maximize)
        square = _plus_product(alpha * square, 1 - alpha, direction, direction)
        if centered:
            mean = _towards(mean, direction, 1 - alpha)
        divisor = scale((square, mean, velocity))
        if momentum:
            velocity = _plus_quotient(momentum * velocity, 1, direction, divisor)
            w = _plus(w, -lr, velocity)
        else:
            w = _plus_quotient(w, -lr, direction, divisor)
        return w, (square, mean, velocity)

    return scaling(update, scale)


def adagrad(
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
) -> Update:
    """`torch.optim.Adagrad`: steps scaled by the sum of all squared gradients."""
    _require_not_negative(
        lr=lr,
        lr_decay=lr_decay,
        weight_decay=weight_decay,
        initial_accumulator_value=initial_accumulator_value,
        eps=eps,
    )

    def scale(state: Any) -> Any:
        return state[1] ** 0.5 + eps

    def update(w: Any, gradient: Any, state: Any, lr: float = lr) -> tuple[Any, Any]:
        epoch, total = state or (0, w - w + initial_accumulator_value)
        direction = _direction(w, gradient, weight_decay, maximize)
        total = _plus_product(total, 1, direction, direction)
        state = epoch + 1, total
        return _plus_quotient(w, -(lr / (1 + epoch * lr_decay)), direction, scale(state)), state

    return scaling(update, scale)


def scale_of(update: Update, state: Any, w: Any) -> Any:
    """What the last step of the rule was divided by, as w, if by anything; 1 before the first."""
    scale = getattr(update, "scale", None)
    if scale is None:
        return None
    return w - w + 1 if state is None else scale(state)


def scaling(update: Update, scale: Callable[[Any], Any] | None) -> Update:
    """The update, which tells what it divides a step by, if by anything."""
    update.scale = scale  # type: ignore[attr-defined]
    return update


def _direction(w: Any, gradient: Any, weight_decay: float, maximize: bool) -> Any:
    """The gradient of what is minimised: sign turned to maximise, L2 penalty added."""
    direction = -gradient if maximize else gradient
    return _plus(direction, weight_decay, w) if weight_decay else direction


# What `torch.optim` is made of. PyTorch's operations take a factor that is one number; one that is
# an array goes in as a factor of its own, which rounds alike.


def _plus(a: Any, factor: Any, b: Any) -> Any:
    """A + factor * b."""
    if not hasattr(a, "addcmul"):  # NumPy
        return a + factor * b
    return a.add(b, alpha=_bounded(factor, a)) if _is_one(factor) else a.addcmul(b, factor)


def _plus_product(a: Any, factor: Any, b: Any, c: Any) -> Any:
    """A + factor * b * c."""
    if not hasattr(a, "addcmul"):
        return a + factor * b * c
    return (
        a.addcmul(b, c, value=_bounded(factor, a)) if _is_one(factor) else a.addcmul(factor * b, c)
    )


def _plus_quotient(a: Any, factor: Any, b: Any, c: Any) -> Any:
    """A + factor * b / c."""
    if not hasattr(a, "addcdiv"):
        return a + factor * b / c
    return (
        a.addcdiv(b, c, value=_bounded(factor, a)) if _is_one(factor) else a.addcdiv(factor * b, c)
    )


def _towards(a: Any, b: Any, weight: Any) -> Any:
    """The running mean a, moved towards b: (1 - weight) * a + weight * b."""
    if not hasattr(a, "lerp"):
        return (1 - weight) * a + weight * b
    return a.lerp(b, weight)


def _is_one(factor: Any) -> bool:
    return isinstance(factor, int | float)


def _bounded(factor: float, a: Any) -> float:
    """Return the factor, infinite where the tensor's type has no such number: PyTorch raises."""
    too_large = LARGEST_FLOAT32 < abs(factor) < math.inf and a.itemsize < 8
    return math.copysign(math.inf, factor) if too_large else factor


LARGEST_FLOAT32 = (2 - 2**-23) * 2.0**127


def _require_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:  # NaN too
            raise BadValue(name, expected="0 or a number above it", got=value)


BY_HAND: dict[str, Callable[..., Update]] = {
    "torch.optim.SGD": sgd,
    "torch.optim.Adam": adam,
    "torch.optim.AdamW": adamw,
    "torch.optim.RMSprop": rmsprop,
    "torch.optim.Adagrad": adagrad,
}
"""The rule by hand for each class of `torch.optim` that has one."""


Clip = Callable[[Any], Any]

CLIP_EPS = 1e-6
"""As PyTorch has it, so that a norm of 0 does not divide."""


def clip_by_norm(most: Any) -> Clip:
    """Shortened to a Euclidean norm of at most that: `torch.nn.utils.clip_grad_norm_`."""

    def clip(gradient: Any) -> Any:
        if isinstance(gradient, np.ndarray):
            norm = np.sqrt((gradient * gradient).sum(-1, keepdims=True))
        else:
            norm = gradient.norm(dim=-1, keepdim=True)
        return gradient * (most / (norm + CLIP_EPS)).clip(max=1.0)

    return clip


def clip_by_value(most: Any) -> Clip:
    """Each number to between minus that and that: `torch.nn.utils.clip_grad_value_`."""

    def clip(gradient: Any) -> Any:
        own = most.like(gradient) if isinstance(most, PerCell) else most
        return gradient.clip(-own, own)

    return clip


def clipped(update: Update, clip: Clip | None) -> Update:
    """The update rule, given clipped gradients."""
    if clip is None:
        return update

    def after(w: Any, gradient: Any, state: Any, *lr: Any) -> tuple[Any, Any]:
        return update(w, clip(gradient), state, *lr)

    return scaling(after, getattr(update, "scale", None))
