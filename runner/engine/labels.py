"""What a loss says of labels, told in the labels of the dataset.

A loss takes classes by their numbers, from 0 in the order of the labels. So `ignore_index` names a
label, whose samples then have no class, and `weight` has a number for each label, by its name: by
position only where the labels are 0, 1, 2, ... themselves.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

from runner.config.build import build
from runner.config.schema import Values
from runner.dataset.samples import Dataset
from runner.dataset.target import IGNORED, are_numbered
from runner.engine import task
from runner.errors import ConfigError

IGNORING = ("CrossEntropyLoss", "NLLLoss", "cross_entropy", "nll_loss")
"""PyTorch's losses that ignore a label: -100 unless another one is set."""

WEIGHING = (*IGNORING, "MultiMarginLoss", "multi_margin_loss")
"""Those that have a weight for each class."""

BY_PLACE = (
    *("BCELoss", "BCEWithLogitsLoss"),
    *("binary_cross_entropy", "binary_cross_entropy_with_logits"),
)
"""Those whose weights are for the places of a batch."""

INDEX, WEIGHT, OF_SECOND = "ignore_index", "weight", "pos_weight"


def ignored(node: Values) -> str | None:
    """Return the label whose samples the loss of that node ignores; None if it ignores none.

    Raises ConfigError where it ignores several.
    """
    name, is_torch = task.name_of(node)
    if is_torch and "object" not in node:
        return str(node.get(INDEX, IGNORED)) if name in IGNORING else None
    labels = {str(value) for key, value in _leaves(node) if key == INDEX and value is not None}
    if not labels:
        try:
            labels = _ignored_by(json.dumps(node))
        except ConfigError:  # the run says it once it builds the loss
            return None
    if len(labels - {str(IGNORED)}) > 1:
        raise ConfigError("loss", expected="one label that is ignored", got=", ".join(labels))
    return max(labels, key=lambda label: label != str(IGNORED), default=None)


@cache
def _ignored_by(text: str) -> set[str]:
    """Return the labels that a loss of that node ignores, found in what it builds."""
    node = json.loads(text)
    arguments = {key: value for key, value in node.items() if not key.endswith("_reduction")}
    indices = [owner.get(INDEX) for owner in _owners(build("loss", arguments))]
    return {str(index) for index in indices if _is_index(index)}


def by_number(node: Values, data: Dataset) -> Values:
    """Return the loss's node with what it says of labels said of their numbers.

    Raises ConfigError for a label that the dataset does not have, and for weights by position where
    labels are not their own numbers.
    """
    arguments: Values = {}
    name, is_torch = task.name_of(node)
    for key, value in node.items():
        if key == INDEX and value is not None:
            arguments[key] = IGNORED
        elif is_torch and key in (WEIGHT, OF_SECOND) and _is_by_label(value):
            arguments[key] = _tensor(_by_label(key, value, data), data)
        elif is_torch and key in (WEIGHT, OF_SECOND) and value is not None:
            if data.classes and (key == OF_SECOND or name in WEIGHING):
                _check_position(key, data)
            arguments[key] = _tensor(value, data) if isinstance(value, list) else value
        elif isinstance(value, Mapping):
            arguments[key] = by_number(dict(value), data)
        else:
            arguments[key] = value
    return arguments


def renumbered(loss: Any, node: Values, data: Dataset) -> object:
    """Return the loss, changed so that it ignores samples without a class.

    It is the run's own. Raises ConfigError for weights that it has by position where labels are not
    their own numbers, and for those of places in a batch.
    """
    is_said = any(key == WEIGHT for key, _ in _leaves(node))
    for owner in _owners(loss):
        weight, names = owner.get(WEIGHT), owner["names"]
        if weight is None or not hasattr(weight, "numel"):
            continue
        if names & {*BY_PLACE} and weight.numel() > 1:
            raise ConfigError(
                "loss.weight",
                "a binary cross entropy gives it to places of a batch, whatever "
                "samples are there: pos_weight weighs the second of two classes",
            )
        if names & {*WEIGHING} and data.classes and not is_said:
            _check_position(WEIGHT, data)
    if isinstance(loss, partial) and _is_index(loss.keywords.get(INDEX)):
        return partial(loss.func, *loss.args, **{**loss.keywords, INDEX: IGNORED})
    for module in _modules(loss):
        if _is_index(getattr(module, INDEX, None)):
            module.ignore_index = IGNORED
    return loss


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _owners(loss: object) -> Iterator[dict[str, Any]]:
    """Yield what the loss and its parts have of the arguments that speak of labels."""
    if isinstance(loss, partial):
        name = getattr(loss.func, "__name__", "")
        default = {INDEX: IGNORED} if name in IGNORING else {}
        yield {"names": {name}, **default, **loss.keywords}
    for module in _modules(loss):
        values = {key: getattr(module, key, None) for key in (INDEX, WEIGHT)}
        yield {"names": {base.__name__ for base in type(module).__mro__}, **values}


def _modules(loss: Any) -> list[Any]:
    """Return the loss and the modules in it."""
    if hasattr(loss, "modules"):
        return [*loss.modules()]
    inner = vars(loss).values() if hasattr(loss, "__dict__") and not isinstance(loss, type) else ()
    parts = [module for value in inner if hasattr(value, "modules") for module in value.modules()]
    return [loss, *parts]


def _leaves(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every key in the node, and in those inside it, with its value."""
    for key, value in node.items():
        yield key, value
        if isinstance(value, Mapping):
            yield from _leaves(value)


def _is_by_label(value: object) -> bool:
    return isinstance(value, Mapping) and "_target_" not in value


def _by_label(key: str, value: Mapping[object, float], data: Dataset) -> list[float]:
    """Return the weights in the order of the labels' numbers."""
    weights = {str(label): weight for label, weight in value.items()}
    labels = data.classes[1:] if key == OF_SECOND and len(data.classes) == 2 else data.classes
    if not labels:
        raise ConfigError(f"loss.{key}", "names labels, and the target is numbers")
    if {*weights} != {*labels}:
        shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
        which = f"{shown}, the second of the two" if key == OF_SECOND else f"each label, {shown}"
        raise ConfigError(f"loss.{key}", expected=f"a number for {which}", got=", ".join(weights))
    return [weights[label] for label in labels]


def _check_position(key: str, data: Dataset) -> None:
    """Refuse weights by position where the labels are not their own numbers."""
    if are_numbered(data.classes):
        return
    labels = ", ".join(
        f"{label}: ..." for label in data.classes[1 if key == OF_SECOND else 0 :][:5]
    )
    more = ", ..." if len(data.classes) > 5 else ""
    raise ConfigError(
        f"loss.{key}",
        f"goes by position, and the labels are not 0, 1, ...: name them, "
        f"'+loss.{key}={{{labels}{more}}}'",
    )


def _tensor(values: list[float], data: Dataset) -> Values:
    """Return the node that builds the weights as PyTorch has them."""
    dtype = {"_target_": "hydra.utils.get_object", "path": f"torch.{data.x.dtype.name}"}
    return {"_target_": "torch.tensor", "data": values, "dtype": dtype}
