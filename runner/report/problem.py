"""What a run fits, built anew from its config: the loss over its parameters, and closed forms."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from runner import loss as losses
from runner import model as models
from runner.base.arrays import Array
from runner.config import short_list
from runner.config.build import build, only, swapped
from runner.config.given import EPOCH_REDUCTION
from runner.config.schema import Values
from runner.config.spec import problem_of
from runner.dataset.samples import Dataset
from runner.engine.draws import Draws
from runner.engine.identity import DATA
from runner.engine.parts import model_by_hand
from runner.engine.parts import objective as objective_of
from runner.errors import ConfigError, NoForm
from runner.objective import closed_form, optimum
from runner.objective.minima import Minima
from runner.record.column import PARAMETERS
from runner.record.run import RecordedRun

PARTS = ("dataset", "model", "loss")
SPLIT = ("validation", "validation_data", "split_seed")
DTYPES = ("float32", "float64")

MSE = "torch.nn.MSELoss"
PLAIN = ("runner.optimizer.descent", "torch.optim.SGD")

REDUCTIONS = ("reduction", EPOCH_REDUCTION)
LOSS_KEYS = ("_target_", "delta", "gradient_reduction", *REDUCTIONS)
"""What a loss's node may say where the loss has a form by hand."""

CONSTANT = "runner.schedule.constant"

MOST_PRODUCTS = 10**10
"""The most multiplications of a closed form for such a run: some seconds' worth."""

AT_ONCE = 10**7
"""The most residuals that are computed together: points of a landscape, times samples."""

MOST_PARAMETERS = 1000
"""The largest objective of a run that may not be one's own: its Hessian has the square of it."""


class FittedProblem(NamedTuple):
    """A model's parameters and the loss that they have on the dataset, in float64."""

    loss: Callable[[Array], Array]
    """From parameters, (points, parameters), their losses, (points,)"""
    parameters: int
    """How many there are"""
    data: Dataset
    """As it has come out now"""
    solution: closed_form.LeastSquares | Minima | None = None
    """Where the loss is least: for least squares, and for an objective"""
    curvature: float | None = None
    """The largest eigenvalue of the loss's Hessian, where that is the same everywhere"""
    doubt: str = ""
    """Why a distance from the optimum would mean nothing; empty if it does"""
    least: float = math.nan
    """The least loss there is, where that is known"""
    excess: Callable[[Array], Array] | None = None
    """From parameters, (points, parameters), by how much their loss is above that, (points,):
    computed without the difference of two numbers that are almost equal"""
    of: int | None = None
    """On so many of the samples; None: on all"""

    def notes(self) -> Iterator[str]:
        """What a reader of distances should know."""
        if self.doubt:
            yield f"no distance from the optimum: {self.doubt}"
        elif isinstance(self.solution, Minima) and not self.solution.is_unique:
            count = len(self.solution.points)
            yield f"the objective has {count} minima: `off` is the distance from the nearest one"
        elif isinstance(self.solution, closed_form.LeastSquares) and not self.solution.is_unique:
            yield (
                f"the minimum is not unique, the data have rank {self.solution.rank} for "
                f"{self.parameters} parameters: `off` is the distance from the nearest one"
            )


@contextmanager
def parts_of(text: str, *, trust: bool) -> Iterator[Values]:
    """Give the parts that the JSON holds, to be built in the block, by the short list alone.

    What is checked is the object that is given. `trust` lifts that. Raises ConfigError.
    """
    parts: Values = json.loads(text)
    if not trust:
        short_list.check(parts)
    with only(None if trust else short_list.NAMES):
        yield parts


def problem(run: RecordedRun) -> FittedProblem:
    """What the run fits. Raises ConfigError where it cannot be built, and why."""
    return matching(run, problem_parts(run), _problem)


def problem_parts(run: RecordedRun) -> dict[str, Any]:
    """The part of the run's config that says what it fits."""
    config = run.config()
    if not config:
        raise ConfigError("the run has no config")
    needed = ("objective",) if config.get("objective") else PARTS
    if strange := [part for part in needed if not _is_part(config.get(part))]:
        raise ConfigError(f"the run's config has no {', '.join(strange)} that could be built")
    if config.get("dtype") not in DTYPES:
        raise ConfigError("dtype", expected=f"one of {', '.join(DTYPES)}", got=config.get("dtype"))
    parts = {part: config.get(part) for part in (*PARTS, "objective", "dtype")}
    if config.get("objective"):
        parts["parameters"] = len(run.trajectory().names(PARAMETERS))
    parts |= {key: config[key] for key in SPLIT if config.get(key) is not None}
    for part, start in (("model", "initial"), ("objective", "start")):
        parts[part] = {k: v for k, v in (parts[part] or {}).items() if k != start}
    return parts


def matching(
    run: RecordedRun, parts: dict[str, Any], build_it: Callable[[str, bool], FittedProblem]
) -> FittedProblem:
    """The problem of these parts, if its data are those that the run had."""
    try:
        made = build_it(json.dumps(parts), run.trusted)
    except ConfigError:
        raise
    except Exception as error:  # of a part of somebody's, or of a config that anybody wrote
        raise ConfigError(
            f"what it fits cannot be built: {type(error).__name__}: {error}"
        ) from error
    if run.tags.get(DATA, made.data.digest) != made.data.digest:
        raise ConfigError("dataset", "its function gives other samples now than it gave the run")
    return made


def _is_part(node: Any) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("_target_"), str)


def edge(run: RecordedRun) -> float | None:
    """The learning rate at which the run's optimizer leaves the minimum of its least squares.

    None unless it is SGD at a constant rate on least squares, on all samples at once. Raises
    ConfigError.
    """
    config = run.config()
    optimizer = config.get("optimizer")
    if not isinstance(optimizer, Mapping) or optimizer.get("_target_") not in PLAIN:
        return None
    schedule = config.get("schedule") or {"_target_": CONSTANT}
    is_varied = schedule.get("_target_") != CONSTANT or config.get("batch_size") is not None
    if is_varied or optimizer.get("maximize") or optimizer.get("groups"):
        return None
    made = problem(run)
    if made.curvature is None:
        return None
    how = [float(optimizer.get(key) or 0) for key in ("momentum", "dampening", "weight_decay")]
    momentum, dampening, decay = how
    if not 0 <= momentum < 1:
        return None
    times = len(made.data.y) if (config.get("loss") or {}).get("gradient_reduction") == "sum" else 1
    at = closed_form.stability_edge(
        times * made.curvature + decay,
        momentum,
        dampening if momentum else 0.0,
        nesterov=bool(optimizer.get("nesterov")),
    )
    return at if 0 < at < math.inf else None


def is_plain(optimizer: Any) -> bool:
    """Whether it is w - lr * gradient and nothing more."""
    if not isinstance(optimizer, Mapping):
        return False
    more = ("momentum", "weight_decay", "maximize")
    return optimizer.get("_target_") in PLAIN and not any(optimizer.get(key) for key in more)


def objective_problem(parts: Values, data: Dataset) -> FittedProblem:
    """That of an objective."""
    objective, count = objective_of(parts["objective"]), parts["parameters"]
    value = objective.value if objective.takes_cells else _each(objective.value)

    def loss(parameters: Array) -> Array:
        with np.errstate(all="ignore"):
            found: Array = value(np.asarray(parameters, np.float64))
        return found

    known = optimum.of_objective(replace(objective, value=value, takes_cells=True))
    bent = objective.hessian if objective.is_quadratic else None
    return FittedProblem(
        loss,
        count,
        data,
        known.solution,
        float(np.linalg.eigvalsh(bent(np.zeros(count)))[-1]) if bent else None,
        least=known.least,
        excess=known.excess,
    )


def _each(value: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """A function of somebody's, of one of PyTorch's vectors, for many of NumPy's."""
    import torch

    def of_many(points: Array) -> Array:
        with torch.no_grad():
            return np.array([float(value(torch.from_numpy(point))) for point in points])

    return of_many


@lru_cache(maxsize=64)
def _problem(text: str, trust: bool) -> FittedProblem:
    with parts_of(text, trust=trust) as parts:
        if parts["objective"]:
            if not trust and parts["parameters"] > MOST_PARAMETERS:
                raise ConfigError(f"the objective has {parts['parameters']} parameters: --trust")
            return objective_problem(parts, Draws().dataset(problem_of(parts)))
        return _of_samples(parts, trust=trust)


def _of_samples(parts: Values, *, trust: bool) -> FittedProblem:
    if parts["model"]["_target_"] not in models.BY_HAND:
        raise NoForm(f"model: {parts['model']['_target_']} has no form by hand")
    if parts["loss"]["_target_"] not in losses.BY_HAND:
        raise NoForm(f"loss: {parts['loss']['_target_']} has no form by hand")
    if strange := [key for key in parts["loss"] if key not in LOSS_KEYS]:
        raise NoForm(f"loss: with {', '.join(strange)} it has no form by hand")
    data = Draws().dataset(problem_of(parts))
    if data.outputs > 1:
        raise NoForm(f"model: of {data.outputs} outputs there is no form by hand")
    samples, columns = data.x.shape
    products = samples * columns * min(samples, columns)
    if not trust and (samples > short_list.LARGEST or products > MOST_PRODUCTS):
        raise ConfigError(
            f"{samples:,} samples and {columns:,} columns take too long for a run that may not be "
            "your own: --trust"
        )
    design = model_by_hand(parts["model"], data).design(data.x).astype(np.float64)
    y = data.y.astype(np.float64)
    arguments = {key: parts["loss"][key] for key in parts["loss"] if key not in REDUCTIONS}
    by_hand = build("loss", swapped(arguments, losses.BY_HAND))
    times = len(y) if parts["loss"].get("reduction") == "sum" else 1

    def loss_of(parameters: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            value: Array = by_hand(np.asarray(parameters, np.float64) @ design.T, y)[0]
        return times * value

    def loss(parameters: Array) -> Array:
        most = max(1, AT_ONCE // len(y))
        if len(parameters) <= most:
            return loss_of(parameters)
        pieces = [parameters[at : at + most] for at in range(0, len(parameters), most)]
        return np.concatenate([loss_of(piece) for piece in pieces])

    if parts["loss"]["_target_"] != MSE:
        return FittedProblem(loss, design.shape[1], data)
    known = optimum.of_least_squares(design, y, times)
    assert isinstance(known.solution, closed_form.LeastSquares)
    return FittedProblem(
        loss,
        design.shape[1],
        data,
        known.solution,
        times * closed_form.curvature(design),
        known.solution.doubt(parts["dtype"]),
        known.least,
        known.excess,
    )
