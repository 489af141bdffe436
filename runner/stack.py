"""Stacks: many cells that differ only in numbers, as one array program with a leading cell axis.

A cell is prepared as its lone run would be, with the same checks; then what the cells bring is laid
one above another. Updates are by hand, which agree with `torch.optim` to rounding.
"""

import json
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import device, experiment
from runner import loss as losses
from runner import model as models
from runner import optimizer as optimizers
from runner.build import build, declared
from runner.config import Values, is_number
from runner.dataset import Dataset
from runner.loop import LINEAR, SCALAR
from runner.loop.percell import PerCell
from runner.loop.stacked import Index, Rule, Steps

Array = NDArray[np.floating[Any]]

Predict = Callable[[Array, Index], Array]
"""From parameters, (some cells, parameters), and these cells' places, (some cells,) predictions"""

TRIED_STEPS = 4  # of which the fastest counts
SAME = {"float32": 1e-3, "float64": 1e-9}  # relative; one step differs by rounding only


class Parts(NamedTuple):
    """What a cell brings to a stack."""

    values: Values
    loop: str
    device: str
    data: Dataset
    tensors: models.Tensors
    start: Array
    """(parameters,)"""
    numbers: dict[str, list[float]]
    """The optimizer's numeric hyperparameters, each as the list of its numbers."""
    structure: str
    """Cells with the same can be in one stack."""


class Stacked(NamedTuple):
    """A stack before its first step; compare `runner.experiment.Experiment`."""

    loop: str
    device: str
    tensors: models.Tensors
    initial: Array
    """(cells, parameters)"""
    steps: Steps
    predict: Predict | None
    """At the dataset's probe point, if it has one"""


def refusal(values: Values) -> str | None:
    """Why a cell has to run alone; None if it can be in a stack. Raises ConfigError."""
    matched = experiment.loop_for(values)
    node = values["optimizer"]
    target = str(node.get("_target_"))
    rule = _rule(target)
    if rule is None:
        return f"{target} has no update rule by hand"
    by_hand = experiment.swapped(node, optimizers.BY_HAND)["_target_"]
    takes = {parameter.name for parameter in declared(by_hand) or ()}
    if strange := [key for key in node if key != "_target_" and key not in takes]:
        return f"the update rule by hand takes no {', '.join(strange)}"
    if matched == "module" and values["model"]["_target_"] != LINEAR:
        model, place = _shared_model(values), experiment.resolved_device(values)
        return _network_refusal(model, place, values["dtype"], json.dumps(values["dataset"]))
    return None


@lru_cache(maxsize=1024)
def _network_refusal(model: str, place: str, dtype: str, dataset: str) -> str | None:
    values = {"model": json.loads(model), "seed": 0, "dtype": dtype}
    data = experiment.prepared_dataset(json.loads(dataset), dtype)
    network, _ = experiment.network_for(values, data, place)
    if names := [name for name, _ in network.named_buffers()]:
        return f"the model keeps what is not a parameter: {names[0]}"
    return None


def prepare(values: Values) -> Parts:
    """A cell's part of a stack. Raises the ConfigError that its lone run would."""
    matched = experiment.loop_for(values)
    data = experiment.prepared_dataset(values["dataset"], values["dtype"])
    by_hand = matched == "numpy"
    place = "cpu" if by_hand else experiment.resolved_device(values)
    if values["model"]["_target_"] in (SCALAR, LINEAR):
        model = experiment.model_by_hand(values["model"], data)
        tensors, start = model.tensors, experiment.start(model, values)
        if matched == "module":  # for what nn.Linear itself refuses
            _network_start(_shared_model(values), "null", 0, values["dtype"], place, _text(values))
    else:
        initial = json.dumps(values["model"].get("initial"))
        model_text, seed = _shared_model(values), values["seed"]
        tensors, start = _network_start(
            model_text, initial, seed, values["dtype"], place, _text(values)
        )
    _check_loss(json.dumps(values["loss"]), matched, place, values["dtype"], len(data.y))
    _check_optimizer(values, matched)
    numbers, options = _hyperparameters(values["optimizer"])
    shape = {
        "loop": matched,
        "device": place,
        "dtype": values["dtype"],
        "data": [data.x.shape, data.y.shape, data.probe is None],
        "model": {k: v for k, v in values["model"].items() if k != "initial"},
        "tensors": tensors,
        "loss": values["loss"],
        "optimizer": options,
        # The rules ask whether a hyperparameter is 0.
        "zeros": {key: [value == 0 for value in some] for key, some in numbers.items()},
    }
    structure = json.dumps(shape, sort_keys=True)
    return Parts(values, matched, place, data, tensors, start, numbers, structure)


def stack(cells: Sequence[Parts]) -> Stacked:
    """The cells, all of one structure, as one program."""
    first = cells[0]
    initial = np.stack([cell.start for cell in cells])
    shared = all(cell.data is first.data for cell in cells)
    if first.loop == "numpy":
        return _by_hand(cells, initial, shared)
    return _pytorch(cells, initial, shared)


def slower(cells: Sequence[Parts]) -> str | None:
    """Why the cells, all of one structure, had better run alone: measured. None if a stack pays.

    NumPy's steps take the same time for one cell as for a hundred, so those are not measured.
    """
    if cells[0].loop == "numpy":
        return None
    lone = experiment.compose(cells[0].values)
    try:
        together = stack(cells)
        first, here = next(together.steps), next(lone.steps)
    except Exception as error:  # whatever torch.func says of a model of somebody's
        return f"PyTorch cannot stack it: {str(error).strip().splitlines()[0]}"
    near = SAME[cells[0].values["dtype"]]
    if not np.allclose(first.loss[0], here.loss, near, near) or not np.allclose(
        first.gradient[0], here.gradient, near, near * (1 + np.abs(here.gradient).max())
    ):
        return "a step of the stack is not that of the lone run"
    stacked = _fastest(lambda: next(together.steps))
    alone = _fastest(lambda: next(lone.steps)) * len(cells)
    if stacked < alone:
        return None
    both = f"{stacked * 1e3:.2g} ms in a stack, {alone * 1e3:.2g} ms alone"
    return f"a step of {len(cells)} takes {both}"


def _fastest(step: Callable[[], Any]) -> float:
    times = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(TRIED_STEPS):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
    return min(times)


def _by_hand(cells: Sequence[Parts], initial: Array, shared: bool) -> Stacked:
    """The numpy loop."""
    from runner.loop import stacked

    first = cells[0]
    design = experiment.model_by_hand(first.values["model"], first.data).design
    x = design(first.data.x) if shared else np.stack([design(cell.data.x) for cell in cells])
    y = first.data.y if shared else np.stack([cell.data.y for cell in cells])
    loss = build("loss", experiment.swapped(first.values["loss"], losses.BY_HAND))
    steps = stacked.steps(x, y, initial, loss, _rules(cells))
    return Stacked("numpy", "cpu", first.tensors, initial, steps, _prediction(cells, design))


def _pytorch(cells: Sequence[Parts], initial: Array, shared: bool) -> Stacked:
    """The three loops of PyTorch."""
    import torch

    from runner.loop import stacked_pytorch

    first = cells[0]
    closed_form = first.values["model"]["_target_"] in (SCALAR, LINEAR)
    losses_of_samples = _losses_of_samples(first) if closed_form else None
    made: tuple[int, ...] = first.data.y.shape
    predict: Any = torch.matmul
    design: Callable[[Array], Array] = np.asarray
    if first.loop == "module" and losses_of_samples is None:
        network, made = experiment.network_for(first.values, first.data, first.device)
        predict = _functional(network, made)
    if closed_form:
        design = experiment.model_by_hand(first.values["model"], first.data).design
        predict = _product if made == first.data.y.shape else _column
    x: Any = np.stack([design(cell.data.x) for cell in (cells[:1] if shared else cells)])
    y: Any = np.stack([cell.data.y.reshape(made) for cell in (cells[:1] if shared else cells)])
    if shared:
        x, y = x[0], y[0]
    device.set_threads(first.data.x.size * initial.size)
    x, y, w = (torch.tensor(array, device=first.device) for array in (x, y, initial))
    if losses_of_samples is None:
        loss = experiment.torch_loss(first.values["loss"], first.device, y)
        evaluate = stacked_pytorch.functional(predict, loss, shared=shared)
    else:
        evaluate = stacked_pytorch.linear(losses_of_samples)
    steps = stacked_pytorch.steps(x, y, w, evaluate, _rules(cells), shared=shared)
    at_probe = _prediction(cells, design) if closed_form else _network_prediction(cells, network)
    return Stacked(first.loop, first.device, first.tensors, initial, steps, at_probe)


def _losses_of_samples(cell: Parts) -> Any:
    """The loss before its mean over the samples is taken; None where that is not known."""
    node = {k: v for k, v in cell.values["loss"].items() if k != "gradient_reduction"}
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
    return lambda parameters, places: np.vecdot(parameters, points[places])


def _network_prediction(cells: Sequence[Parts], network: Any) -> Predict | None:
    import torch

    probes = [cell.data.probe for cell in cells if cell.data.probe is not None]
    if not probes:
        return None
    points = torch.tensor(np.stack(probes), device=cells[0].device)
    predict = _functional(network, (1,))

    def predictions(parameters: Array, places: Index) -> Array:
        own = torch.tensor(parameters, device=points.device)
        with torch.no_grad():
            made = [predict(points[place], w)[0] for place, w in zip(places, own, strict=True)]
        values: Array = torch.stack(made).cpu().numpy()
        return values

    return predictions


def _rules(cells: Sequence[Parts]) -> Rule:
    """The update rule whose hyperparameters are each cell's own."""
    target = cells[0].values["optimizer"]["_target_"]
    function, options = _rule(target), _hyperparameters(cells[0].values["optimizer"])[1]
    assert function is not None
    rule: Callable[..., optimizers.Update] = function
    columns = {
        key: np.array([cell.numbers[key] for cell in cells], np.float64) for key in cells[0].numbers
    }
    single = {key for key, value in cells[0].values["optimizer"].items() if is_number(value)}

    def make(index: Index | None) -> optimizers.Update:
        given: dict[str, Any] = {key: value for key, value in options.items() if key != "_target_"}
        for key, column in columns.items():
            own = column if index is None else column[index]
            parts = [_hyperparameter(part) for part in own.T]
            given[key] = parts[0] if key in single else tuple(parts)
        return rule(**given)

    return make


def _hyperparameter(column: NDArray[np.float64]) -> PerCell | float:
    """One number if all cells have the same: that is faster."""
    return float(column[0]) if (column == column[0]).all() else PerCell(column)


def _hyperparameters(node: Values) -> tuple[dict[str, list[float]], Values]:
    """The optimizer's numbers, and what else its node holds."""
    numbers: dict[str, list[float]] = {}
    options: Values = {}
    for key, value in node.items():
        several = value if isinstance(value, list) else [value]
        if several and all(map(is_number, several)):
            numbers[key] = [float(number) for number in several]
        else:
            options[key] = value
    return numbers, options


def _rule(target: str) -> Callable[..., optimizers.Update] | None:
    """The update rule by hand that does what the class or function of that name does."""
    module, _, name = target.rpartition(".")
    if module == optimizers.__name__:
        return getattr(optimizers, name, None)
    return optimizers.BY_HAND.get(target)


def _text(values: Values) -> str:
    return json.dumps(values["dataset"])


def _shared_model(values: Values) -> str:
    """The model's node without starting values: what makes one module of many cells."""
    return json.dumps({key: value for key, value in values["model"].items() if key != "initial"})


@lru_cache(maxsize=10_000)
def _network_start(
    model: str, initial: str, seed: int, dtype: str, place: str, dataset: str
) -> tuple[models.Tensors, Array]:
    """A module's parameters at the start; the same for every cell that says the same."""
    node = {**json.loads(model), "initial": json.loads(initial)}
    values = {"model": node, "seed": seed, "dtype": dtype}
    data = experiment.prepared_dataset(json.loads(dataset), dtype)
    network, _ = experiment.network_for(values, data, place)
    return experiment.network_start(values, data, network)


@lru_cache(maxsize=1024)
def _check_loss(node: str, matched: str, place: str, dtype: str, samples: int) -> None:
    """Refuse a loss that the lone run would refuse."""
    values: Values = json.loads(node)
    if matched == "numpy":
        build("loss", experiment.swapped(values, losses.BY_HAND))
        return
    import torch

    y = torch.zeros(samples, dtype=getattr(torch, dtype), device=place)
    experiment.torch_loss(values, place, y)


def _check_optimizer(values: Values, matched: str) -> None:
    """Refuse hyperparameters that the lone run would refuse."""
    node = values["optimizer"]
    if matched in ("numpy", "autograd"):
        build("optimizer", experiment.swapped(node, optimizers.BY_HAND))
        return
    import torch

    from runner.loop.pytorch import build_optimizer

    build_optimizer(lambda: build("optimizer", node, [torch.zeros(1, requires_grad=True)]))
