"""PyTorch: model by `torch.nn`, gradient by autograd, update by `torch.optim`."""

from collections.abc import Callable, Iterator

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from runner.loop.pytorch import clearer, flat, gradients, stepper
from runner.loop.step import Step


def steps(
    x: Tensor,
    y: Tensor,
    model: Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
    *,
    closure: bool = False,
) -> Iterator[Step]:
    """Fit y = model(x) for x of shape (samples, features) and y of the shape that comes out.

    `optimizer` updates the model's parameters; a step lays them one after another. It is given a
    `closure` that evaluates the loss again if it wants one.
    """
    parameters = list(model.parameters())
    clear = clearer(optimizer, parameters)

    def evaluate() -> Tensor:
        clear()
        prediction = model(x)
        value = loss(prediction, y)
        value.backward()
        return value

    step = stepper(optimizer, evaluate, closure=closure)
    while True:
        value = evaluate()
        gradient = flat(gradients(parameters))
        step()
        yield Step(value.item(), flat(parameters), gradient)
