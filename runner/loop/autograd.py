"""PyTorch: gradient by autograd, update by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from runner.loop.step import Step
from runner.optimizer import Update


def steps(
    x: Tensor,
    y: Tensor,
    w: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    update: Update,
) -> Iterator[Step]:
    """Fit y = predict(x, w) for y of shape (samples,), w (parameters,).

    `predict` is x @ w for x of shape (samples, parameters), or x * w for x (samples,) and one
    parameter.
    """
    state = None
    while True:
        w = w.detach().requires_grad_()
        prediction = predict(x, w)
        value = loss(prediction, y)
        value.backward()
        gradient: Any = w.grad
        with torch.no_grad():
            w, state = update(w, gradient, state)
        # Nothing here is changed in place, so the step may share it.
        yield Step(value.item(), w.cpu().numpy(), gradient.cpu().numpy())
