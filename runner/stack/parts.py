"""What a cell brings to a stack, prepared as its lone run would be, with the same checks."""

import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import experiment
from runner import model as models
from runner import optimizer as optimizers
from runner.build import declared
from runner.config import Values
from runner.dataset import Dataset
from runner.program import LINEAR, SCALAR
from runner.stack.checks import Known, check_loss, check_optimizer, network_of
from runner.stack.hyperparameters import hyperparameters, rule_of

Array = NDArray[np.floating[Any]]


class Parts(NamedTuple):
    """What a cell brings to a stack."""

    values: Values
    loop: str
    device: str
    data: Dataset
    tensors: models.Tensors
    start: Array
    """(parameters,)"""
    is_spaced: bool
    """Whether not all parameters are recorded at every step."""
    numbers: dict[str, list[float]]
    """The optimizer's numeric hyperparameters, each as the list of its numbers."""
    structure: str
    """Cells with the same can be in one stack."""
    doubt: str | None
    """Why the cell may come out otherwise in a stack, if it is not known to come out the same."""


def refusal(values: Values) -> str | None:
    """Why a cell can be in no stack; None if its optimizer has a rule by hand that serves."""
    node = values["optimizer"]
    target = str(node.get("_target_"))
    if rule_of(target) is None:
        return f"{target} has no update rule by hand"
    by_hand = experiment.swapped(node, optimizers.BY_HAND)["_target_"]
    takes = {parameter.name for parameter in declared(by_hand) or ()}
    if strange := [key for key in node if key != "_target_" and key not in takes]:
        return f"the update rule by hand takes no {', '.join(strange)}"
    return None


def prepare(values: Values, data: Dataset | None = None) -> Parts:
    """A cell's part of a stack. Raises the ConfigError that its lone run would.

    `data` is its dataset where that has been drawn already.
    """
    matched = experiment.loop_for(values)
    data = data or experiment.prepared_dataset(values["dataset"], values["dtype"])
    by_hand = matched == "numpy"
    device_name = "cpu" if by_hand else experiment.resolved_device(values)
    dtype, known = values["dtype"], Known(data)
    made: tuple[int, ...] = data.y.shape
    form, doubt = "", None
    if values["model"]["_target_"] in (SCALAR, LINEAR):
        model = experiment.model_by_hand(values["model"], data)
        tensors, start = model.tensors, experiment.start(model, values)
        if matched == "module":  # for what nn.Linear itself refuses
            made = network_of(_shared_model(values), "null", 0, dtype, device_name, known).made
    else:
        initial = json.dumps(values["model"].get("initial"))
        network = network_of(
            _shared_model(values), initial, values["seed"], dtype, device_name, known
        )
        made, tensors, start, form, doubt = network
    doubt = doubt or check_loss(json.dumps(values["loss"]), matched, device_name, made, known)
    check_optimizer(values, matched)
    numbers, options = hyperparameters(values["optimizer"])
    is_spaced = experiment.recording(values, tensors)[1] is not None
    shape = {
        "loop": matched,
        "device": device_name,
        "dtype": dtype,
        "data": [data.x.shape, data.y.shape, data.probe is None],
        "model": {k: v for k, v in values["model"].items() if k != "initial"},
        "form": form,
        "tensors": tensors,
        "loss": values["loss"],
        "optimizer": options,
        "epochs": values["epochs"] if is_spaced else None,  # the spacing depends on it
        # The rules ask whether a hyperparameter is 0.
        "zeros": {key: [value == 0 for value in some] for key, some in numbers.items()},
    }
    structure = json.dumps(shape, sort_keys=True)
    own = values, matched, device_name, data, tensors, start, is_spaced
    return Parts(*own, numbers, structure, doubt)


def _shared_model(values: Values) -> str:
    """The model's node without starting values: what makes one module of many cells."""
    return json.dumps({key: value for key, value in values["model"].items() if key != "initial"})
