"""PyTorch: gradient by autograd, update by `torch.optim`."""

from collections.abc import Callable, Iterator

from torch import Tensor
from torch.optim import Optimizer

from runner.loop.pytorch import clearer, flat, gradients, stepper
from runner.loop.step import Step


def steps(
    x: Tensor,
    y: Tensor,
    w: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
    *,
    closure: bool = False,
) -> Iterator[Step]:
    """Fit y = x * w for x and y of shape (samples,), w (1,).

    w is a leaf that requires its gradient, and the one tensor that `optimizer` updates. It is given
    a `closure` that evaluates the loss again if it wants one.
    """
    clear = clearer(optimizer, [w])

    def evaluate() -> Tensor:
        clear()
        prediction = x * w
        value = loss(prediction, y)
        value.backward()
        return value

    step = stepper(optimizer, evaluate, closure=closure)
    while True:
        value = evaluate()
        gradient = flat(gradients([w]))
        step()
        yield Step(value.item(), flat([w]), gradient)
