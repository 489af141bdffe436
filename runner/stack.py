"""Stacks: many cells that differ only in numbers, as one array program with a leading cell axis.

A cell is prepared as its lone run would be, with the same checks; then what the cells bring is laid
one above another. Updates are by hand, the same operations as in `torch.optim`. A model of one
weight is computed as its lone run computes it, to the last bit; where sums of products are made for
all cells at once, these round otherwise than alone.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import cost, device, experiment
from runner import loss as losses
from runner import model as models
from runner import optimizer as optimizers
from runner.batches import FullBatch
from runner.build import build, declared
from runner.config import Values, is_number
from runner.dataset import Dataset
from runner.experiment import Experiment, Predict
from runner.failure import summary
from runner.program import LINEAR, SCALAR
from runner.program.percell import PerCell
from runner.program.stacked import Index, Rule

Array = NDArray[np.floating[Any]]

NEAR_OVERFLOW = 1e30
"""From here on a first step is tried: PyTorch refuses a factor that is too large for float32."""

SAME = {"float32": 1e-3, "float64": 1e-9}  # relative; one step differs by rounding only


class Known:
    """A dataset that is told from others by its samples, for what is built once for several."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __hash__(self) -> int:
        return hash(self.data.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and other.data.digest == self.data.digest


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
    if _rule(target) is None:
        return f"{target} has no update rule by hand"
    by_hand = experiment.swapped(node, optimizers.BY_HAND)["_target_"]
    takes = {parameter.name for parameter in declared(by_hand) or ()}
    if strange := [key for key in node if key != "_target_" and key not in takes]:
        return f"the update rule by hand takes no {', '.join(strange)}"
    return None


def _rule(target: str) -> Callable[..., optimizers.Update] | None:
    """The update rule by hand that does what the class or function of that name does."""
    module, _, name = target.rpartition(".")
    if module == optimizers.__name__:
        return getattr(optimizers, name, None)
    return optimizers.BY_HAND.get(target)


def prepare(values: Values, data: Dataset | None = None) -> Parts:
    """A cell's part of a stack. Raises the ConfigError that its lone run would.

    `data` is its dataset where that has been drawn already.
    """
    matched = experiment.loop_for(values)
    data = data or experiment.prepared_dataset(values["dataset"], values["dtype"])
    by_hand = matched == "numpy"
    place = "cpu" if by_hand else experiment.resolved_device(values)
    dtype, known = values["dtype"], Known(data)
    made: tuple[int, ...] = data.y.shape
    form, doubt = "", None
    if values["model"]["_target_"] in (SCALAR, LINEAR):
        model = experiment.model_by_hand(values["model"], data)
        tensors, start = model.tensors, experiment.start(model, values)
        if matched == "module":  # for what nn.Linear itself refuses
            made = _network(_shared_model(values), "null", 0, dtype, place, known).made
    else:
        initial = json.dumps(values["model"].get("initial"))
        network = _network(_shared_model(values), initial, values["seed"], dtype, place, known)
        made, tensors, start, form, doubt = network
    doubt = doubt or _check_loss(json.dumps(values["loss"]), matched, place, made, known)
    _check_optimizer(values, matched)
    numbers, options = _hyperparameters(values["optimizer"])
    is_spaced = experiment.recording(values, tensors)[1] is not None
    shape = {
        "loop": matched,
        "device": place,
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
    own = values, matched, place, data, tensors, start, is_spaced
    return Parts(*own, numbers, structure, doubt)


def stack(cells: Sequence[Parts]) -> Experiment:
    """The cells, all of one structure, as one program."""
    first = cells[0]
    initial = np.stack([cell.start for cell in cells])
    shared = all(cell.data is first.data for cell in cells)
    if first.loop == "numpy":
        return _by_hand(cells, initial, shared)
    return _pytorch(cells, initial, shared)


def impossible(cells: Sequence[Parts]) -> str | None:
    """Why the cells, all of one structure, cannot be stacked; None if they can be.

    A module is handed to `torch.func`, which does not take all that PyTorch does: so steps are
    tried, and a prediction, on one made for that: it may have kept something from the first step.
    What is known to be right must also take the lone run's step.
    """
    first = cells[0]
    if first.loop == "numpy" or _is_closed_form(first):
        return None
    try:
        tried = stack(cells)
        there, _ = islice(tried.steps, 2)
        if tried.predict:
            tried.predict(tried.initial, np.arange(len(cells)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever torch.func says of a model of somebody's
        return f"PyTorch cannot stack it: {summary(error)}"
    if first.doubt:
        return None
    here = next(experiment.compose(first.values, first.data).steps)
    near = SAME[first.values["dtype"]]
    if not np.allclose(there.loss[0], here.loss, near, near) or not np.allclose(
        there.gradient[0], here.gradient, near, near * (1 + np.abs(here.gradient).max())
    ):
        return "a step of the stack is not that of the lone run"
    return None


def slower(cells: Sequence[Parts]) -> str | None:
    """Why the cells, all of one structure, had better run alone; None if a stack pays.

    A step of NumPy's takes the same time for one cell as for a hundred.
    """
    first = cells[0]
    if first.loop == "numpy":
        return None
    own_data = any(cell.data is not first.data for cell in cells)
    samples, parameters = len(first.data.y), first.start.size
    functional = not _is_closed_form(first)
    units = sum(shape[0] for shape in first.tensors.values() if len(shape) > 1) or 1
    return cost.slower(cost.Size(len(cells), samples, units, parameters, own_data, functional))


def _is_closed_form(cell: Parts) -> bool:
    """Whether model and loss are of those whose gradient needs no `torch.func`."""
    known = cell.values["model"]["_target_"] in (SCALAR, LINEAR)
    return known and _losses_of_samples(cell) is not None


def _by_hand(cells: Sequence[Parts], initial: Array, shared: bool) -> Experiment:
    """The numpy loop."""
    from runner.program import stacked

    first = cells[0]
    design = experiment.model_by_hand(first.values["model"], first.data).design
    x = design(first.data.x) if shared else np.stack([design(cell.data.x) for cell in cells])
    y = first.data.y if shared else np.stack([cell.data.y for cell in cells])
    loss = build("loss", experiment.swapped(first.values["loss"], losses.BY_HAND))
    return Experiment(
        "numpy",
        "cpu",
        first.tensors,
        initial,
        stacked.Program(initial, loss, _rules(cells)),
        FullBatch(x, y, of_cells=not shared),
        *experiment.recording(first.values, first.tensors),
        _prediction(cells, design),
    )


def _pytorch(cells: Sequence[Parts], initial: Array, shared: bool) -> Experiment:
    """The three loops of PyTorch."""
    import torch

    from runner.program import stacked_pytorch

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
    if first.values["model"]["_target_"] == SCALAR and losses_of_samples is not None:
        evaluate = stacked_pytorch.scalar(losses_of_samples)
    elif losses_of_samples is None:
        loss = experiment.torch_loss(first.values["loss"], first.device, y)
        evaluate = stacked_pytorch.functional(predict, loss, shared=shared)
    else:
        evaluate = stacked_pytorch.linear(losses_of_samples)
    made_of = stacked_pytorch.Program(w, evaluate, _rules(cells))
    batches = FullBatch(x, y, of_cells=not shared)
    at_probe = _prediction(cells, design) if closed_form else _network_prediction(cells, network)
    kept = experiment.recording(first.values, first.tensors)
    head = first.loop, first.device, first.tensors, initial
    return Experiment(*head, made_of, batches, *kept, at_probe)


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

    def make(places: Index) -> optimizers.Update:
        given: dict[str, Any] = {key: value for key, value in options.items() if key != "_target_"}
        for key, column in columns.items():
            parts = [_hyperparameter(part) for part in column[places].T]
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


def _shared_model(values: Values) -> str:
    """The model's node without starting values: what makes one module of many cells."""
    return json.dumps({key: value for key, value in values["model"].items() if key != "initial"})


class _Network(NamedTuple):
    """What a stack needs to know of a cell's module."""

    made: tuple[int, ...]
    """The shape of what it makes of the data"""
    tensors: models.Tensors
    start: Array
    """(parameters,)"""
    form: str
    """What tells its layers from another one's"""
    doubt: str | None


@lru_cache(maxsize=10_000)
def _network(model: str, initial: str, seed: int, dtype: str, place: str, known: Known) -> _Network:
    """A module at the start; the same for every cell that says the same."""
    from runner import stackable

    node = {**json.loads(model), "initial": json.loads(initial)}
    values = {"model": node, "seed": seed, "dtype": dtype}
    network, made = experiment.network_for(values, known.data, place)
    tensors, start = experiment.network_start(values, known.data, network)
    doubt = stackable.doubt_of_model(node["_target_"], network)
    return _Network(made, tensors, start, repr(network), doubt)


@lru_cache(maxsize=1024)
def _check_loss(
    node: str, matched: str, place: str, made: tuple[int, ...], known: Known
) -> str | None:
    """Refuse a loss that the lone run would refuse; why it may be none for a stack."""
    values: Values = json.loads(node)
    if matched == "numpy":
        build("loss", experiment.swapped(values, losses.BY_HAND))
        return None
    import torch

    from runner import stackable

    y = torch.tensor(known.data.y, device=place).reshape(made)
    loss = experiment.torch_loss(values, place, y)
    return stackable.doubt_of_loss(values["_target_"], loss)


def _check_optimizer(values: Values, matched: str) -> None:
    """Refuse hyperparameters that the lone run would refuse."""
    node = values["optimizer"]
    if matched in ("numpy", "autograd"):
        build("optimizer", experiment.swapped(node, optimizers.BY_HAND))
        return
    import torch

    from runner import hooked

    parameters = [torch.zeros(1, requires_grad=True)]
    if _largest(node) > NEAR_OVERFLOW:
        experiment.torch_optimizer(node, parameters)
    else:
        hooked.without_compiler()
        build("optimizer", node, parameters)


def _largest(node: Values) -> float:
    """The largest magnitude among the hyperparameters."""
    numbers = _hyperparameters(node)[0].values()
    return max((abs(number) for some in numbers for number in some), default=0.0)
