"""The parts of an experiment, built from their nodes, and tried where they are somebody's own."""

from typing import Any

from runner import loss as losses
from runner import model as models
from runner.base.arrays import Array
from runner.config.build import build, known_as, swapped
from runner.config.given import EPOCH_REDUCTION
from runner.config.schema import Values
from runner.dataset.samples import Dataset
from runner.dataset.target import CLASSES
from runner.engine import labels, program, reduction, task
from runner.engine.batches import FullBatch
from runner.engine.reduction import Reduction
from runner.engine.setup import Setup, refused
from runner.errors import ConfigError
from runner.loss import correct_above, correct_by_scores
from runner.objective import Objective
from runner.objective.minimised import (
    LOSS,
    MODEL,
    USUAL,
    Minimised,
    of_function,
    torch_value,
    value,
)
from runner.record import naming

SAMPLES_TRIED = 1024
"""So many samples at most are a model and a loss tried on, before a run exists."""


def model_by_hand(node: Values, data: Dataset) -> Any:
    """The model by hand of the class that the node names, or the objective that stands for it."""
    if node["_target_"] == MODEL:
        return minimised(node["objective"])
    return build("model", swapped(node, models.BY_HAND), data.x.shape[1], data.outputs)


def minimised(node: Values) -> Minimised:
    """The objective of the node. Raises ConfigError for what cannot be one."""
    with refused("objective."):
        return Minimised(objective(node), node.get("start", USUAL))


def objective(node: Values) -> Objective:
    """The function itself. Raises ConfigError for what cannot be one."""
    made = build("objective", {key: value for key, value in node.items() if key != "start"})
    if isinstance(made, Objective):
        return made
    if not callable(made):
        raise ConfigError("objective", f"expected {known_as(node)} to make a function of w")
    return of_function(made)


def least(node: Values) -> float:
    """What the loss with the model of that node is at least; NaN where nobody knows."""
    return minimised(node["objective"]).objective.least if node["_target_"] == MODEL else 0.0


def check_objective(of: Setup, model: Any, w: Array) -> None:
    """Refuse an objective without a gradient for that loop, found by asking it for one at w."""
    if not isinstance(model, Minimised):
        return
    name = known_as(of.model["objective"])
    if of.loop != "numpy":
        from runner.engine import trial

        trial.check_objective(name, model.objective.value, w, of.device)
    elif model.objective.gradient is None:
        raise ConfigError(
            "objective",
            f"{name} has no gradient by hand: gradient=autograd, or have it return a "
            "runner.objective.Objective that has one",
        )


def start(model: Any, seed: int, dtype: str) -> Array:
    """The starting values of a model by hand, (parameters,)."""
    with refused("objective." if isinstance(model, Minimised) else "model."):
        values: Array = model.start(seed, dtype)
    return values


def loss_by_hand(node: Values, outputs: int) -> Any:
    """The loss by hand of the class that the node names, of so many outputs."""
    if node["_target_"] == LOSS:
        return value
    loss = build("loss", swapped(node, losses.BY_HAND))
    is_of_scores = task.wanted(node) == CLASSES
    return losses.over_outputs(loss) if outputs > 1 and not is_of_scores else loss


def network(
    node: Values, seed: int, dtype: str, device_name: str, data: Dataset
) -> tuple[Any, tuple[int, ...]]:
    """The model as a module, drawn from the seed, and the shape of what it makes of a sample."""
    import torch

    from runner.engine import learning, trial

    torch.manual_seed(seed)
    node = {key: value for key, value in node.items() if key != "initial"}
    if node["_target_"] == models.POLYNOMIAL:
        node = {"_target_": program.LINEAR, "bias": model_by_hand(node, data).bias}
        node |= {"in_features": None, "out_features": None}
    elif node["_target_"] == program.LINEAR:
        model_by_hand(node, data)  # which says what does not fit
    for key, count in (("in_features", data.x.shape[1]), ("out_features", data.outputs)):
        if key in node and node[key] is None:
            node[key] = count
    made = build("model", node)
    if not isinstance(made, torch.nn.Module):
        raise ConfigError("model._target_", expected="a torch.nn.Module", got=repr(made))
    learning.check_parameters(known_as(node), made, getattr(torch, dtype))
    made.to(device=device_name, dtype=getattr(torch, dtype))
    x = torch.tensor(data.x[:SAMPLES_TRIED], device=device_name)
    shape = trial.output_shape(known_as(node), made, x, data)
    learning.check_model(known_as(node), made, x)
    return made, shape


def network_start(
    node: Values, seed: int, dtype: str, data: Dataset, made: Any
) -> tuple[models.Tensors, Array]:
    """Names and shapes of the module's parameters, and their values, (parameters,), once set."""
    from runner.model import network as networks

    if node["_target_"] in models.BY_HAND:
        model = model_by_hand(node, data)
        tensors = model.tensors
        networks.load(made, start(model, seed, dtype))
    else:
        tensors = networks.tensors(made)
        with refused("model."):
            networks.start(made, node.get("initial"))
    if not tensors:
        raise ConfigError("model", f"{known_as(node)} has no parameters to learn")
    if faults := naming.meeting(tensors):
        raise ConfigError("\n".join(f"model: {fault}: rename it" for fault in faults))
    return tensors, networks.values(made)


def torch_y(data: Dataset, shape: tuple[int, ...], device_name: str) -> Any:
    """Y as the loss compares it with what a model makes, of that shape for each sample."""
    import torch

    y = torch.tensor(data.y, device=device_name)
    if data.y.dtype.kind == "i" and shape not in ((), (1,)):  # classes, of which each has a score
        return y
    return y.to(getattr(torch, data.x.dtype.name)).reshape(-1, *shape)


def torch_index(device_name: str) -> Any:
    """Makes of an index of NumPy's one for tensors on that device."""
    import torch

    return lambda index: torch.from_numpy(index).to(device_name)


def validation(data: Dataset, as_x: Any, shape: tuple[int, ...], device_name: str) -> Any:
    """The validation data for PyTorch, if there are any; `as_x` makes a model's x of features."""
    if (unseen := data.unseen) is None:
        return None
    return FullBatch(as_x(unseen.x), torch_y(unseen, shape, device_name))


def right(node: Values, data: Dataset, shape: tuple[int, ...], *, of_cells: bool = False) -> Any:
    """Gives how many classes are right, for predictions of that shape for each sample.

    None where the task is no classification. The node is the loss's.
    """
    if not data.classes:
        return None
    if shape in ((), (1,)):
        return correct_above(task.threshold(node), int(of_cells))
    return correct_by_scores


def loss_node(node: Values, data: Dataset) -> Values:
    """Return what builds the loss for PyTorch: its arguments alone, labels by their numbers."""
    arguments = {k: v for k, v in node.items() if k not in ("gradient_reduction", EPOCH_REDUCTION)}
    return labels.by_number(arguments, data)


def torch_loss(
    node: Values, device_name: str, y: Any, shape: tuple[int, ...], data: Dataset
) -> Any:
    """The loss on its device, tried on predictions of that shape for each sample."""
    import torch

    from runner.engine import trial

    if node["_target_"] == LOSS:
        return torch_value
    loss = labels.renumbered(build("loss", loss_node(node, data)), node, data)
    if isinstance(loss, torch.nn.Module):
        loss.to(device_name)
    first = y[:SAMPLES_TRIED]
    like = trial.predictions(first, shape, data.x.dtype.name)
    trial.check_loss(known_as(node), loss, like, first)
    return loss


def reduction_of(of: Setup, loss: object, y: Any, shape: tuple[int, ...]) -> Reduction:
    """Return how the losses of an epoch's batches become its loss.

    Raises ConfigError where there are several, and neither the config nor a trial tells.
    """
    stated = of.loss.get(EPOCH_REDUCTION)
    if stated is not None and stated not in ("mean", "sum"):
        raise ConfigError(f"loss.{EPOCH_REDUCTION}", expected="mean or sum", got=stated)
    if of.loss["_target_"] == LOSS or of.epoch_steps == 1:
        return reduction.MEAN
    if stated is not None:
        return Reduction(stated)
    from runner.engine import trial

    first = y[:SAMPLES_TRIED]
    rule = trial.reduction(loss, trial.predictions(first, shape, of.dtype), first)
    if rule is None:
        raise ConfigError(
            "loss",
            f"{known_as(of.loss)} is neither a mean over the samples of a batch nor their "
            "sum, so the loss of an epoch does not follow from those of its batches: "
            f"batch_size=null takes all samples at once, +loss.{EPOCH_REDUCTION}=mean takes the "
            "batches' mean all the same",
        )
    return rule
