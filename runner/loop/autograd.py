"""PyTorch: gradient by autograd, update by hand."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from runner.loop.step import Step
from runner.optimizer import Update


def steps(
    x: Tensor, y: Tensor, w: Tensor, loss: Callable[[Tensor, Tensor], Tensor], update: Update
) -> Iterator[Step]:
    """Fit y = x @ w for x of shape (samples, parameters), y (samples,), w (parameters,)."""
    state = None
    while True:
        w = w.detach().requires_grad_()
        prediction = x @ w
        value = loss(prediction, y)
        (gradient,) = torch.autograd.grad(value, w)
        with torch.no_grad():
            w, state = update(w, gradient, state)
        yield Step(value.item(), w.cpu().numpy(), gradient.cpu().numpy())
