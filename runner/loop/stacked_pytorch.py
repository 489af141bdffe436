"""PyTorch over a stack of cells: gradient by `torch.func`, update by hand, a leading cell axis."""

from collections.abc import Callable

import torch
from torch import Tensor

from runner.loop.stacked import Rule, StackedStep, Steps, cut


def steps(
    x: Tensor,
    y: Tensor,
    w: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    rule: Rule,
    *,
    shared: bool,
) -> Steps:
    """Fit y = predict(x, w) in each cell: w (cells, parameters).

    x and y are those of one cell if they are `shared`, otherwise they have an axis of cells before.
    """

    def objective(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return loss(predict(x, w), y)

    data = None if shared else 0
    evaluate = torch.func.vmap(torch.func.grad_and_value(objective), in_dims=(0, data, data))
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
