"""PyTorch: model by `torch.nn`, gradient by autograd, update by `torch.optim`."""

from collections.abc import Callable, Iterator

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from runner.loop.pytorch import flat, gradients, stepper
from runner.loop.step import Step


def steps(
    x: Tensor,
    y: Tensor,
    model: Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
) -> Iterator[Step]:
    """Fit y = model(x) for x of shape (samples, features) and y of the shape that comes out.

    `optimizer` updates the model's parameters; a step lays them one after another.
    """
    parameters = list(model.parameters())

    def evaluate() -> Tensor:
        for parameter in parameters:
            parameter.grad = None  # what zero_grad does, without the tenth of a step that it takes
        prediction = model(x)
        value = loss(prediction, y)
        value.backward()
        return value

    step = stepper(optimizer, evaluate)
    while True:
        value = evaluate()
        gradient = flat(gradients(parameters))
        step()
        yield Step(value.item(), flat(parameters), gradient)
