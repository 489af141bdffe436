"""What a cell brings to a stack, prepared as its lone run would be, with the same checks."""

import json
from typing import NamedTuple

from runner import model as models
from runner.base.arrays import Array
from runner.config.schema import Values
from runner.config.spec import Checked
from runner.dataset.samples import Dataset
from runner.engine import parts, scheduled
from runner.engine.experiment import recording
from runner.engine.setup import Setup, setup
from runner.engine.stack.checks import (
    Known,
    check_loss,
    check_optimizer,
    doubt_of_objective,
    network_of,
)
from runner.engine.stack.hyperparameters import hyperparameters
from runner.objective.minimised import MODEL


class Parts(NamedTuple):
    """What a cell brings to a stack."""

    setup: Setup
    tensors: models.Tensors
    start: Array
    """(parameters,)"""
    shape: tuple[int, ...]
    """Of what its model makes of a sample"""
    is_spaced: bool
    """Whether not all parameters are recorded at every step."""
    numbers: dict[str, list[float]]
    """The optimizer's numeric hyperparameters, each as the list of its numbers."""
    rates: dict[str, float]
    """Those of its schedule"""
    structure: str
    """Cells with the same can be in one stack."""
    doubt: str | None
    """Why the cell may come out otherwise in a stack, if it is not known to come out the same."""

    @property
    def data(self) -> Dataset:
        return self.setup.data


def prepare(spec: Checked, data: Dataset | None = None) -> Parts:
    """A cell's part of a stack. Raises the ConfigError that its lone run would.

    `data` is its dataset where that has been drawn already.
    """
    of = setup(spec, data)
    form, doubt, known = "", None, Known(of.data)
    if of.model["_target_"] in (MODEL, *models.BY_HAND):
        model = parts.model_by_hand(of.model, of.data)
        tensors, start = model.tensors, parts.start(model, of.seed, of.dtype)
        parts.check_objective(of, model, start)
        shape: tuple[int, ...] = (model.outputs,) if model.outputs > 1 else ()
        if of.loop == "module":  # for what nn.Linear itself refuses
            shape = network_of(_shared(of.model), "null", 0, of.dtype, of.device, known).shape
    else:
        initial = json.dumps(of.model.get("initial"))
        network = network_of(_shared(of.model), initial, of.seed, of.dtype, of.device, known)
        shape, tensors, start, form, doubt = network
    if of.model["_target_"] == MODEL:
        doubt = doubt_of_objective(of.model["objective"])
    else:
        doubt = doubt or check_loss(json.dumps(of.loss), of.loop, of.device, of.dtype, shape, known)
    check_optimizer(of)
    numbers, options = hyperparameters(of.optimizer)
    schedule, every = scheduled.node_of(of)
    own, options_of_schedule = scheduled.of_cells(schedule)
    is_spaced = recording(of, tensors)[1] is not None
    alike = {
        "loop": of.loop,
        "device": of.device,
        "dtype": of.dtype,
        "data": [of.data.x.shape, of.data.y.shape, of.data.probe is None, len(of.data.classes)],
        "validation": None if of.data.validation is None else of.data.validation.x.shape,
        "batches": [of.batch_size, of.shuffle, of.drop_last],
        "model": _without_start(of.model),
        "form": form,
        "tensors": tensors,
        "loss": [of.loss, parts.loss_node(of.loss, of.data)],
        "optimizer": options,
        "schedule": [options_of_schedule, every],
        "clips": [of.clip is None, of.clip_value is None],
        "patience": of.patience is None,
        "measure": of.measure,
        "steps": of.most_steps if is_spaced else None,  # the spacing depends on it
        # The rules ask whether a hyperparameter is 0.
        "zeros": {key: [value == 0 for value in some] for key, some in numbers.items()},
    }
    structure = json.dumps(alike, sort_keys=True)
    return Parts(of, tensors, start, shape, is_spaced, numbers, own, structure, doubt)


def _without_start(node: Values) -> Values:
    """The model's node, or the objective's, as it is for cells that begin elsewhere."""
    if node["_target_"] == MODEL:
        return {**node, "objective": {k: v for k, v in node["objective"].items() if k != "start"}}
    return {k: v for k, v in node.items() if k != "initial"}


def _shared(node: Values) -> str:
    """The model's node without starting values: what makes one module of many cells."""
    return json.dumps(_without_start(node))
