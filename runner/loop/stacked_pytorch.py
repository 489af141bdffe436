"""PyTorch over a stack of cells: gradient by autograd, update by hand, a leading cell axis."""

from collections.abc import Callable

import torch
from torch import Tensor

from runner.loop.stacked import Rule, StackedStep, Steps, cut

Evaluate = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From w (cells, parameters), x and y to the gradient, (cells, parameters), and the loss, (cells,).

x and y are those of one cell that all share, or have an axis of cells before.
"""


def steps(
    x: Tensor, y: Tensor, w: Tensor, evaluate: Evaluate, rule: Rule, *, shared: bool
) -> Steps:
    """Fit y in each cell: w (cells, parameters).

    x and y are those of one cell if they are `shared`, otherwise they have an axis of cells before.
    """
    state, update = None, rule(None)
    places = torch.arange(len(w))
    while True:
        gradient, value = evaluate(w, x, y)
        with torch.no_grad():
            w, state = update(w, gradient, state)
        # Nothing here is changed in place, so the step may share it.
        kept = yield StackedStep(*(part.detach().cpu().numpy() for part in (value, w, gradient)))
        if kept is not None:
            places = places[torch.from_numpy(kept)]
            update = rule(places.numpy())
            on_device = torch.from_numpy(kept).to(w.device)
            w, state = w[on_device], cut(state, on_device)
            if not shared:
                x, y = x[on_device], y[on_device]


def linear(losses: Callable[[Tensor, Tensor], Tensor]) -> Evaluate:
    """For predictions x @ w, x (samples, parameters), and the mean of a loss of each sample."""

    def evaluate(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        w = w.detach().requires_grad_()
        prediction = w @ x.T if x.ndim == 2 else (x @ w[:, :, None])[:, :, 0]
        value = losses(prediction, y.expand_as(prediction)).mean(dim=1)
        [gradient] = torch.autograd.grad(value.sum(), w)  # no cell's loss depends on another's w
        return gradient, value

    return evaluate


def scalar(losses: Callable[[Tensor, Tensor], Tensor]) -> Evaluate:
    """For predictions x * w, x (samples, 1), and the mean of a loss of each sample.

    Products and sums are those of the lone run, number by number: the results are, to the last bit.
    """

    def evaluate(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        w = w.detach().requires_grad_()
        prediction = x[..., 0] * w
        value = losses(prediction, y.expand_as(prediction)).mean(dim=1)
        [gradient] = torch.autograd.grad(value.sum(), w)  # no cell's loss depends on another's w
        return gradient, value

    return evaluate


def functional(
    predict: Callable[[Tensor, Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    shared: bool,
) -> Evaluate:
    """For any model and loss, written for one cell; `torch.func` takes seconds to import."""

    def objective(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return loss(predict(x, w), y)

    data = None if shared else 0
    return torch.func.vmap(torch.func.grad_and_value(objective), in_dims=(0, data, data))
