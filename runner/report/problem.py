"""What a run fits, built anew from its config: the loss over its parameters, and closed forms."""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner import loss as losses
from runner import model as models
from runner.build import build
from runner.config import ConfigError, Values, targets
from runner.experiment import model_by_hand, prepared_dataset, swapped
from runner.report import closed_form
from runner.report.runs import Run

Array = NDArray[np.floating[Any]]

MSE = "torch.nn.MSELoss"
PLAIN = ("runner.optimizer.descent", "torch.optim.SGD")

TRUSTED = re.compile(
    r"runner\.dataset\.(points|linear)"
    r"|sklearn\.datasets\.(make_\w+|load_(diabetes|iris|wine|digits|linnerud|breast_cancer))"
    r"|runner\.model\.Scalar|torch\.nn\.(Linear|MSELoss|L1Loss|HuberLoss)"
)
"""What a config from a tracking server may name. Not all of a package: some of its functions
delete files or fetch them, and its modules lead to any other."""


class Problem(NamedTuple):
    """A model's parameters and the loss that they have on the dataset, in float64."""

    loss: Callable[[Array], Array]
    """From parameters, (points, parameters), their losses, (points,)"""
    optimum: Array | None
    """(parameters,), for least squares"""
    curvature: float | None
    """The largest eigenvalue of the loss's Hessian, for least squares"""


def problem(run: Run) -> Problem:
    """What the run fits. Raises ConfigError where it cannot be built, and why."""
    config = run.config()
    if not config:
        raise ConfigError("the run has no config")
    parts = {part: config[part] for part in ("dataset", "model", "loss", "dtype")}
    if not run.trusted:
        for name in map(str, targets(parts)):
            if not TRUSTED.fullmatch(name):
                raise ConfigError(f"{name} is not on the short list of what may be built: --trust")
    parts["model"] = {k: v for k, v in parts["model"].items() if k != "initial"}
    return _problem(json.dumps(parts))


def edge(run: Run) -> float | None:
    """The learning rate at which the run's optimizer leaves the minimum of its least squares.

    None unless it is plain descent on least squares. Raises ConfigError.
    """
    config = run.config()
    if not is_plain(config.get("optimizer", {})) or config["loss"]["_target_"] != MSE:
        return None
    made = problem(run)
    if made.curvature is None:
        return None
    samples = len(prepared_dataset(config["dataset"], config["dtype"]).y)
    times = samples if config["loss"].get("gradient_reduction") == "sum" else 1
    return closed_form.stability_edge(times * made.curvature)


def is_plain(optimizer: Mapping[str, Any]) -> bool:
    """Whether it is w - lr * gradient and nothing more."""
    more = ("momentum", "weight_decay", "maximize")
    return optimizer.get("_target_") in PLAIN and not any(optimizer.get(key) for key in more)


@lru_cache(maxsize=64)
def _problem(text: str) -> Problem:
    parts: Values = json.loads(text)
    if parts["model"]["_target_"] not in models.BY_HAND:
        raise ConfigError(f"model: {parts['model']['_target_']} has no form that could be drawn")
    if parts["loss"]["_target_"] not in losses.BY_HAND:
        raise ConfigError(f"loss: {parts['loss']['_target_']} has no form that could be drawn")
    data = prepared_dataset(parts["dataset"], parts["dtype"])
    design = model_by_hand(parts["model"], data).design(data.x).astype(np.float64)
    y = data.y.astype(np.float64)
    by_hand = build("loss", swapped(parts["loss"], losses.BY_HAND))

    def loss(parameters: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            value: Array = by_hand(np.asarray(parameters, np.float64) @ design.T, y)[0]
        return value

    if parts["loss"]["_target_"] != MSE:
        return Problem(loss, None, None)
    return Problem(loss, closed_form.optimum(design, y), closed_form.curvature(design))
