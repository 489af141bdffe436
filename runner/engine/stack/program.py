"""The cells of one structure, laid one above another, as one program."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runner import device
from runner import loss as losses
from runner import model as models
from runner.base.arrays import Array, Index
from runner.base.rows import dots
from runner.config.build import build
from runner.dataset.samples import Dataset
from runner.engine import measured, parts, scheduled
from runner.engine.batches import Batches, FullBatch, MiniBatches, Order
from runner.engine.contract import Program
from runner.engine.experiment import Experiment, Predict, experiment
from runner.engine.measure.problem import Calculus
from runner.engine.program import SCALAR
from runner.engine.program.stacked import Rule
from runner.engine.reduction import MEAN, Reduction
from runner.engine.stack.hyperparameters import rules
from runner.engine.stack.parts import Parts
from runner.objective.minimised import MODEL


def stack(cells: Sequence[Parts]) -> Experiment:
    """Return the cells, all of one structure, as one program.

    It computes on one thread: PyTorch would split a stack among threads by how many cells it has.
    """
    first = cells[0]
    device.use_threads(1)
    initial = np.stack([cell.start for cell in cells])
    shared = all(cell.data is first.data for cell in cells)
    if first.setup.loop == "numpy":
        return _by_hand(cells, initial, shared)
    return _pytorch(cells, initial, shared)


def is_closed_form(cell: Parts) -> bool:
    """Whether model and loss are of those whose gradient needs no `torch.func`."""
    if cell.setup.model["_target_"] == MODEL:
        return parts.minimised(cell.setup.model["objective"]).takes_cells
    known = cell.setup.model["_target_"] in models.BY_HAND and cell.data.outputs == 1
    return known and _losses_of_samples(cell) is not None


def _by_hand(cells: Sequence[Parts], initial: Array, shared: bool) -> Experiment:
    """The numpy loop."""
    from runner.engine.program.stacked import StackedProgram

    first = cells[0]
    model = parts.model_by_hand(first.setup.model, first.data)
    loss = parts.loss_by_hand(first.setup.loss, model.outputs)
    program = StackedProgram(initial, model, loss, _rules(cells))
    some = _samples(cells, model.design, lambda data: data.y, np.asarray, shared)
    at_probe = _prediction(cells, model)
    return _experiment(
        cells, initial, program, some, at_probe, lambda: measured.by_hand(first.setup, model)
    )


def _pytorch(cells: Sequence[Parts], initial: Array, shared: bool) -> Experiment:
    """The three loops of PyTorch."""
    import torch

    from runner.engine.program import stacked_pytorch
    from runner.model import network as networks

    first, of = cells[0], cells[0].setup
    by_hand = of.model["_target_"] in (MODEL, *models.BY_HAND)
    closed_form = is_closed_form(first)
    is_network = of.loop == "module" and not closed_form
    predict: Any = None
    network: Any = None
    model = parts.model_by_hand(of.model, of.data) if by_hand else None
    if is_network:
        network, _ = parts.network(of.model, of.seed, of.dtype, of.device, of.data)
        predict = networks.functional(network, first.shape)
    elif model is not None:
        predict = model.predict
    design = np.asarray if is_network or model is None else model.design
    shape = first.shape if is_network else _flat(first.shape)

    def tensor(x: Array) -> Any:
        return torch.tensor(design(x), device=of.device)

    def y(data: Dataset) -> Any:
        return parts.torch_y(data, shape, of.device)

    index = parts.torch_index(of.device)
    x_and_y = _samples(cells, tensor, y, index, shared)
    w = torch.tensor(initial, device=of.device)
    forward: stacked_pytorch.Forward
    evaluate: stacked_pytorch.Evaluate
    loss: Any = None
    if not closed_form or of.epoch_steps > 1:
        loss = parts.torch_loss(of.loss, of.device, y(of.data), shape, of.data)
    rule = parts.reduction_of(of, loss, y(of.data), shape)
    if not closed_form:
        whole = stacked_pytorch.Functional(predict, loss)
        forward, evaluate = whole.forward, whole.evaluate
    else:
        if of.model["_target_"] == MODEL:
            forward = stacked_pytorch.objective(predict)
        else:
            kind = "scalar" if of.model["_target_"] == SCALAR else "linear"
            forward = getattr(stacked_pytorch, kind)(_losses_of_samples(first))
        evaluate = stacked_pytorch.differentiated(forward)
    program = stacked_pytorch.StackedPyTorchProgram(w, forward, evaluate, _rules(cells))
    at_probe = _network_prediction(cells, network) if is_network else _prediction(cells, model)

    def calculus() -> Calculus:
        asked = networks.evaluated(network, first.shape) if is_network else predict
        loss = parts.torch_loss(of.loss, of.device, y(of.data), shape, of.data)
        return measured.by_pytorch(of, asked, loss, 2)

    return _experiment(cells, initial, program, x_and_y, at_probe, calculus, rule)


def _flat(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of what a model by hand makes of a sample, where a module makes that."""
    return () if shape == (1,) else shape


def _samples(
    cells: Sequence[Parts], as_x: Any, as_y: Any, as_index: Any, shared: bool
) -> tuple[Batches, FullBatch | None]:
    """The streams of the cells' samples, and their validation data if there are any."""

    def together(some: Sequence[Dataset]) -> tuple[Any, Any]:
        pairs = [(as_x(data.x), as_y(data)) for data in some]
        return pairs[0] if shared else tuple(map(_stacked, zip(*pairs, strict=True)))

    of = cells[0].setup
    data = [cell.data for cell in cells[: 1 if shared else None]]
    x, y = together(data)
    unseen = None
    if of.data.validation is not None:
        own = [one.unseen for one in data if one.unseen]
        unseen = FullBatch(*together(own), of_cells=not shared)
    if of.batch_size is None:
        return FullBatch(x, y, of_cells=not shared), unseen
    seeds = [cell.setup.seed for cell in cells]
    order = Order(len(of.data.x), of.batch_size, seeds, of.shuffle, of.drop_last)
    own_order = of.shuffle is not False and len({*seeds}) > 1
    stream = MiniBatches(x, y, order, as_index, own_data=not shared, own_order=own_order)
    return stream, unseen


def _stacked(arrays: Sequence[Any]) -> Any:
    if isinstance(arrays[0], np.ndarray):
        return np.stack(arrays)
    import torch

    return torch.stack(list(arrays))


def _experiment(
    cells: Sequence[Parts],
    initial: Array,
    program: Program,
    samples: tuple[Batches, FullBatch | None],
    predict: Predict | None,
    calculus: Callable[[], Calculus],
    rule: Reduction = MEAN,
) -> Experiment:
    first = cells[0]
    return experiment(
        [cell.setup for cell in cells],
        tensors=first.tensors,
        calculus=calculus,
        shared=all(cell.data is first.data for cell in cells),
        initial=initial,
        program=program,
        rates=scheduled.stacked([cell.setup for cell in cells], [cell.rates for cell in cells]),
        batches=samples[0],
        validation=samples[1],
        right=parts.right(first.setup.loss, first.data, first.shape, of_cells=True),
        reduction=rule,
        predict=predict,
    )


def _losses_of_samples(cell: Parts) -> Any:
    """The loss before its mean over the samples is taken; None where that is not known."""
    node = parts.loss_node(cell.setup.loss, cell.data)
    if node["_target_"] not in losses.BY_HAND or node.get("reduction", "mean") != "mean":
        return None
    return build("loss", {**node, "reduction": "none"})


def _prediction(cells: Sequence[Parts], model: Any) -> Predict | None:
    probes = [cell.data.probe for cell in cells if cell.data.probe is not None]
    if not probes or model.outputs > 1:
        return None
    points = np.stack([model.design(probe)[0] for probe in probes])
    return lambda parameters, indices: dots(parameters, points[indices])


def _network_prediction(cells: Sequence[Parts], network: Any) -> Predict | None:
    import torch

    from runner.model import network as networks

    probes = [cell.data.probe for cell in cells if cell.data.probe is not None]
    if not probes:
        return None
    points = torch.tensor(np.stack(probes), device=cells[0].setup.device)
    predict = networks.functional(network, ())

    def predictions(parameters: Array, indices: Index) -> Array:
        own = torch.tensor(parameters, device=points.device)
        with torch.no_grad():
            made = [predict(points[index], w)[0] for index, w in zip(indices, own, strict=True)]
        values: Array = torch.stack(made).cpu().numpy()
        return values

    return predictions


def _rules(cells: Sequence[Parts]) -> Rule:
    first = cells[0].setup
    limits = zip(*((cell.setup.clip, cell.setup.clip_value) for cell in cells), strict=True)
    clips = [None if own[0] is None else np.array(own, np.float64) for own in limits]
    return rules(first.optimizer, [cell.numbers for cell in cells], clips)
