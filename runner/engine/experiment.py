"""An experiment that is ready to run: a program before its first step, built from a setup."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runner import device
from runner import model as models
from runner.base.arrays import Array, Index
from runner.config.build import known_as
from runner.config.spec import Checked
from runner.dataset.samples import Dataset
from runner.engine import measure, measured, parts, scheduled, updates, vectors
from runner.engine.batches import Batches, FullBatch, MiniBatches
from runner.engine.contract import Program
from runner.engine.epoch import Epochs, Right, columns
from runner.engine.measure.measuring import Measuring
from runner.engine.measure.problem import Calculus
from runner.engine.program import CONSTANT
from runner.engine.program.step import Step
from runner.engine.rates import EVALUATIONS, LR, Rates
from runner.engine.reduction import MEAN, Reduction
from runner.engine.setup import Setup, refused, setup
from runner.record.column import EVALUATIONS as EVALUATED
from runner.record.column import SCHEDULE, SOME, START, Column, number
from runner.record.spacing import Spacing

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

Predict = Callable[[Array, Index], Array]
"""From parameters, (some cells, parameters), and these cells' indices, (some cells,) predictions"""


class Experiment(NamedTuple):
    """A program before its first step, its batches, and what its driver needs to know.

    Of a run by itself, or of a stack: then arrays have an axis of cells before the others.
    """

    loop: str
    device: str
    tensors: models.Tensors
    initial: Array
    """(parameters,), or (cells, parameters): the values before the first update"""
    program: Program
    batches: Batches
    validation: FullBatch | None
    right: Right | None
    """Where the task is classification"""
    rates: Rates
    """The learning rate of each step"""
    recorded: Sequence[measure.RecordedColumn]
    """What is recorded of each cell."""
    spacing: Spacing | None
    """Of the steps at which all parameters are, where they are not at all."""
    least: float
    """What the loss is at least: 0, but for an objective that goes lower; NaN where none knows"""
    measuring: Measuring | None
    """Where measures are taken"""
    predict: Predict | None
    """At the dataset's probe point, if it has one; a run by itself is one cell"""
    reduction: Reduction = MEAN
    """How the losses of an epoch's batches become its loss"""
    ignores: bool = False
    """Whether samples may have no class that counts"""
    optimizer: "Optimizer | None" = None
    """PyTorch's, where the loop has one"""
    network: "Module | None" = None
    """What learns, in the module loop"""

    @property
    def steps(self) -> Iterator[Step]:
        """The steps from where the program is, one after another, without end."""
        return (self.program.advance(batch, *self.rates.given) for batch in self.batches)

    def epochs(self) -> Epochs:
        """What puts its steps together to epochs."""
        return Epochs(
            self.batches,
            self.program.evaluate,
            right=self.right,
            validation=self.validation,
            reduction=self.reduction,
            ignores=self.ignores,
        )


def compose(spec: Checked, data: Dataset | None = None) -> Experiment:
    """Build the parts and the loop that matches them; ConfigError for whatever cannot run.

    See `runner.engine.setup.setup` for `data`.
    """
    return alone(setup(spec, data))


def alone(of: Setup) -> Experiment:
    """The run by itself that the setup describes. Raises ConfigError."""
    device.use_threads(of.threads)
    if of.loop == "numpy":
        return _by_hand(of)
    return _module(of) if of.loop == "module" else _tensor(of)


def experiment(
    cells: Sequence[Setup],
    *,
    tensors: models.Tensors,
    calculus: Callable[[], Calculus],
    initial: Array,
    program: Program,
    rates: Rates,
    batches: Batches,
    predict: Predict | None,
    validation: FullBatch | None = None,
    right: Right | None = None,
    reduction: Reduction = MEAN,
    optimizer: "Optimizer | None" = None,
    network: "Module | None" = None,
    closure: bool = False,
    shared: bool = True,
) -> Experiment:
    """Return the experiment of one run, or of the cells of a stack, from what it is made of.

    `closure`: whether its optimizer evaluates the gradient by itself; `shared`: whether all have
    the same data. `calculus` is made where measures are taken.
    """
    of = cells[0]
    recorded, spacing = recording(of, tensors, closure=closure)
    names = [one.column.name for one in recorded if one.column.every == SOME]
    data = [cell.data for cell in cells[: 1 if shared else None]]
    taken = measured.measuring(cells, names, calculus, program, batches, initial, data)
    return Experiment(
        loop=of.loop,
        device=of.device,
        tensors=tensors,
        initial=initial,
        program=program,
        batches=batches,
        validation=validation,
        right=right,
        rates=rates,
        recorded=recorded,
        spacing=spacing,
        least=parts.least(of.model),
        measuring=taken,
        predict=predict,
        reduction=reduction,
        ignores=any(cell.data.ignores for cell in cells),
        optimizer=optimizer,
        network=network,
    )


def recording(
    of: Setup, tensors: models.Tensors, *, closure: bool = False
) -> tuple[list[measure.RecordedColumn], Spacing | None]:
    """What a run with these parameters records, and at which steps all of them, if not at all."""
    parameters = sum(map(math.prod, tensors.values()))
    size = of.most_steps, parameters, of.dtype, of.most_bytes
    whole = vectors.is_whole(*size) or vectors.is_small(parameters, of.dtype, len(tensors))
    told = columns(
        of.epoch_steps,
        parts=of.batch_size is not None,
        classes=bool(of.data.classes),
        validation=of.data.validation is not None,
    )
    if of.schedule["_target_"] != CONSTANT:
        told.append(number(LR, SCHEDULE))
    if closure:
        told.append(Column(EVALUATIONS, EVALUATED, (), "int64", START))
    with refused(""):
        chosen = measured.columns(measured.chosen(of.measure))
        recorded = measure.declared(tensors, of.dtype, whole=whole, told=told, chosen=chosen)
    return recorded, None if whole else vectors.spacing(*size)


def batches(of: Setup, x: Any, y: Any, as_index: Callable[[Any], Any] = np.asarray) -> Batches:
    """The stream of a run by itself; `as_index` makes an index for x and y of NumPy's."""
    order = of.order()
    return FullBatch(x, y) if order is None else MiniBatches(x, y, order, as_index)


def _by_hand(of: Setup) -> Experiment:
    """The numpy loop."""
    from runner.engine.program.numpy import NumPyProgram

    model = parts.model_by_hand(of.model, of.data)
    loss = parts.loss_by_hand(of.loss, model.outputs)
    update = updates.by_hand(of)
    w = parts.start(model, of.seed, of.dtype)
    parts.check_objective(of, model, w)
    unseen = of.data.validation
    return experiment(
        [of],
        tensors=model.tensors,
        calculus=lambda: measured.by_hand(of, model),
        initial=w,
        program=NumPyProgram(w, model, loss, update),
        rates=scheduled.by_hand(of),
        batches=batches(of, model.design(of.data.x), of.data.y),
        validation=unseen and FullBatch(model.design(unseen.x), unseen.y),
        right=parts.right(of.loss, of.data, (model.outputs,)),
        predict=_prediction(model, of.data),
    )


def _tensor(of: Setup) -> Experiment:
    """The autograd and the optimizer loop."""
    import torch

    from runner.engine.program.autograd import AutogradProgram
    from runner.engine.program.optimizer import OptimizerProgram

    torch.manual_seed(of.seed)
    model = parts.model_by_hand(of.model, of.data)
    initial = parts.start(model, of.seed, of.dtype)
    parts.check_objective(of, model, initial)
    is_scalar = isinstance(model, models.Scalar)  # a product of numbers is cheaper than of matrices
    shape = (model.outputs,) if model.outputs > 1 else ()
    y = parts.torch_y(of.data, shape, of.device)
    w = torch.tensor(initial, device=of.device)
    loss = parts.torch_loss(of.loss, of.device, y, shape, of.data)

    def designed(x: Array) -> Any:
        made = torch.tensor(model.design(x), device=of.device)
        return made[:, 0] if is_scalar else made

    program: Program
    optimizer: Optimizer | None = None
    closure = False
    predict: Any = operator.mul if is_scalar else model.predict
    if of.loop == "autograd":
        program = AutogradProgram(w, predict, loss, updates.by_hand(of))
        lr = scheduled.by_hand(of)
    else:
        optimizer, how = updates.by_pytorch(of, list(model.tensors), [w.requires_grad_()])
        program, closure = OptimizerProgram(w, predict, loss, optimizer, **how), how["closure"]
        lr = scheduled.by_pytorch(of, optimizer)
    return experiment(
        [of],
        tensors=model.tensors,
        calculus=lambda: measured.by_pytorch(of, predict, loss, 1 if is_scalar else 2),
        closure=closure,
        initial=initial,
        program=program,
        rates=lr,
        batches=batches(of, designed(of.data.x), y, parts.torch_index(of.device)),
        validation=parts.validation(of.data, designed, shape, of.device),
        right=parts.right(of.loss, of.data, shape),
        reduction=parts.reduction_of(of, loss, y, shape),
        predict=_prediction(model, of.data),
        optimizer=optimizer,
    )


def _module(of: Setup) -> Experiment:
    """The module loop."""
    import torch

    from runner.engine import trial
    from runner.engine.program.module import ModuleProgram
    from runner.model import network as networks

    network, shape = parts.network(of.model, of.seed, of.dtype, of.device, of.data)
    y = parts.torch_y(of.data, shape, of.device)
    loss = parts.torch_loss(of.loss, of.device, y, shape, of.data)
    x = torch.tensor(of.data.x, device=of.device)
    stream = batches(of, x, y, parts.torch_index(of.device))
    if of.batch_size is not None:
        trial.check_training(known_as(of.model), network, x[: min(stream.sizes)])
    tensors, initial = parts.network_start(of.model, of.seed, of.dtype, of.data, network)
    optimizer, how = updates.by_pytorch(of, list(tensors), list(network.parameters()), network)

    def tensor(x: Array) -> Any:
        return torch.tensor(x, device=of.device)

    def predict(parameters: Array, _: Any) -> Array:
        networks.load(network, parameters[0])
        made = networks.output(network, torch.tensor(of.data.probe, device=of.device))
        values: Array = made.cpu().numpy().reshape(1)
        return values

    def calculus() -> Calculus:
        asked = networks.evaluated(network, shape)
        learns = [np.full(p.numel(), p.requires_grad) for p in network.parameters()]
        own = networks.copied(loss)
        return measured.by_pytorch(of, asked, own, x.ndim, np.concatenate(learns))

    return experiment(
        [of],
        tensors=tensors,
        calculus=calculus,
        closure=how["closure"],
        initial=initial,
        program=ModuleProgram(network, loss, optimizer, **how),
        rates=scheduled.by_pytorch(of, optimizer),
        batches=stream,
        validation=parts.validation(of.data, tensor, shape, of.device),
        right=parts.right(of.loss, of.data, shape),
        reduction=parts.reduction_of(of, loss, y, shape),
        predict=None if of.data.probe is None or math.prod(shape) > 1 else predict,
        optimizer=optimizer,
        network=network,
    )


def _prediction(model: Any, data: Dataset) -> Predict | None:
    if data.probe is None or model.outputs > 1:
        return None
    point = model.design(data.probe)
    return lambda parameters, _: point @ parameters[0]
