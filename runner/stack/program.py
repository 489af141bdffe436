"""The cells of one structure, laid one above another, as one program."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import device, parts
from runner import loss as losses
from runner.batches import FullBatch
from runner.build import build
from runner.experiment import Experiment, Predict, experiment
from runner.program import LINEAR, SCALAR
from runner.program.stacked import Index, Rule
from runner.stack.hyperparameters import rules
from runner.stack.parts import Parts

Array = NDArray[np.floating[Any]]


def stack(cells: Sequence[Parts]) -> Experiment:
    """The cells, all of one structure, as one program."""
    first = cells[0]
    initial = np.stack([cell.start for cell in cells])
    shared = all(cell.data is first.data for cell in cells)
    if first.setup.loop == "numpy":
        return _by_hand(cells, initial, shared)
    return _pytorch(cells, initial, shared)


def is_closed_form(cell: Parts) -> bool:
    """Whether model and loss are of those whose gradient needs no `torch.func`."""
    known = cell.setup.model["_target_"] in (SCALAR, LINEAR)
    return known and _losses_of_samples(cell) is not None


def _by_hand(cells: Sequence[Parts], initial: Array, shared: bool) -> Experiment:
    """The numpy loop."""
    from runner.program import stacked

    first = cells[0]
    design = parts.model_by_hand(first.setup.model, first.data).design
    x = design(first.data.x) if shared else np.stack([design(cell.data.x) for cell in cells])
    y = first.data.y if shared else np.stack([cell.data.y for cell in cells])
    loss = build("loss", parts.swapped(first.setup.loss, losses.BY_HAND))
    made = stacked.Program(initial, loss, _rules(cells))
    batches, at_probe = FullBatch(x, y, of_cells=not shared), _prediction(cells, design)
    return experiment(first.setup, first.tensors, initial, made, batches, at_probe)


def _pytorch(cells: Sequence[Parts], initial: Array, shared: bool) -> Experiment:
    """The three loops of PyTorch."""
    import torch

    from runner.program import stacked_pytorch

    first, of = cells[0], cells[0].setup
    closed_form = of.model["_target_"] in (SCALAR, LINEAR)
    losses_of_samples = _losses_of_samples(first) if closed_form else None
    shape: tuple[int, ...] = of.data.y.shape
    predict: Any = torch.matmul
    design: Callable[[Array], Array] = np.asarray
    if of.loop == "module" and losses_of_samples is None:
        network, shape = parts.network(of.model, of.seed, of.dtype, of.device, of.data)
        predict = _functional(network, shape)
    if closed_form:
        design = parts.model_by_hand(first.setup.model, first.data).design
        predict = _product if shape == of.data.y.shape else _column
    x: Any = np.stack([design(cell.data.x) for cell in (cells[:1] if shared else cells)])
    y: Any = np.stack([cell.data.y.reshape(shape) for cell in (cells[:1] if shared else cells)])
    if shared:
        x, y = x[0], y[0]
    device.set_threads(first.data.x.size * initial.size)
    x, y, w = (torch.tensor(array, device=of.device) for array in (x, y, initial))
    if of.model["_target_"] == SCALAR and losses_of_samples is not None:
        evaluate = stacked_pytorch.scalar(losses_of_samples)
    elif losses_of_samples is None:
        loss = parts.torch_loss(of.loss, of.device, y)
        evaluate = stacked_pytorch.functional(predict, loss, shared=shared)
    else:
        evaluate = stacked_pytorch.linear(losses_of_samples)
    made = stacked_pytorch.Program(w, evaluate, _rules(cells))
    batches = FullBatch(x, y, of_cells=not shared)
    at_probe = _prediction(cells, design) if closed_form else _network_prediction(cells, network)
    return experiment(of, first.tensors, initial, made, batches, at_probe)


def _losses_of_samples(cell: Parts) -> Any:
    """The loss before its mean over the samples is taken; None where that is not known."""
    node = {k: v for k, v in cell.setup.loss.items() if k != "gradient_reduction"}
    if node["_target_"] not in losses.BY_HAND or node.get("reduction", "mean") != "mean":
        return None
    return build("loss", {**node, "reduction": "none"})


def _product(x: Any, w: Any) -> Any:
    return x @ w


def _column(x: Any, w: Any) -> Any:
    return (x @ w)[:, None]


def _functional(network: Any, made: tuple[int, ...]) -> Callable[[Any, Any], Any]:
    """The module as a function of its samples and of all its parameters in one vector."""
    import torch

    named = dict(network.named_parameters())
    sizes = [parameter.numel() for parameter in named.values()]

    def predict(x: Any, w: Any) -> Any:
        parts = zip(named.items(), w.split(sizes), strict=True)
        own = {name: part.view(parameter.shape) for (name, parameter), part in parts}
        return torch.func.functional_call(network, own, (x,)).reshape(made)

    return predict


def _prediction(cells: Sequence[Parts], design: Callable[[Array], Array]) -> Predict | None:
    probes = [cell.data.probe for cell in cells if cell.data.probe is not None]
    if not probes:
        return None
    points = np.stack([design(probe)[0] for probe in probes])
    return lambda parameters, indices: np.vecdot(parameters, points[indices])


def _network_prediction(cells: Sequence[Parts], network: Any) -> Predict | None:
    import torch

    probes = [cell.data.probe for cell in cells if cell.data.probe is not None]
    if not probes:
        return None
    points = torch.tensor(np.stack(probes), device=cells[0].setup.device)
    predict = _functional(network, (1,))

    def predictions(parameters: Array, indices: Index) -> Array:
        own = torch.tensor(parameters, device=points.device)
        with torch.no_grad():
            made = [predict(points[index], w)[0] for index, w in zip(indices, own, strict=True)]
        values: Array = torch.stack(made).cpu().numpy()
        return values

    return predictions


def _rules(cells: Sequence[Parts]) -> Rule:
    return rules(cells[0].setup.optimizer, [cell.numbers for cell in cells])
