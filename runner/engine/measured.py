"""The measures that a config chooses, built for an experiment: `measure` in its config."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from runner import loss as losses
from runner import model as models
from runner.base.arrays import Array, Flags
from runner.config.build import build, known_as, swapped
from runner.config.schema import Values, is_number
from runner.dataset.samples import Dataset
from runner.dataset.target import CLASSES
from runner.engine import parts
from runner.engine.batches import Batches
from runner.engine.contract import Program
from runner.engine.measure import Instrument
from runner.engine.measure.by_hand import OfModel, OfObjective
from runner.engine.measure.measuring import Measuring, Taken
from runner.engine.measure.problem import Calculus, TrainingProblem
from runner.engine.reduction import class_weights
from runner.engine.setup import Setup, refused
from runner.engine.task import wanted
from runner.errors import ConfigError
from runner.objective import optimum
from runner.objective.minimised import MODEL, Minimised
from runner.objective.optimum import Optimum
from runner.record.column import MEASURE, SOME, Column

EVERY = "every"
MSE = "torch.nn.MSELoss"


def chosen(node: Values) -> dict[str, Taken]:
    """The measures of the config's node, by name. Raises ConfigError."""
    return {
        name: Taken(_instrument(name, own), own.get(EVERY) or node[EVERY])
        for name, own in node.items()
        if name != EVERY
    }


def faults(node: Values) -> list[str]:
    """What is wrong with how often measures are taken, and with what is none."""
    said = []
    for name, own in node.items():
        every = own if name == EVERY else own.get(EVERY) if isinstance(own, Mapping) else None
        if name != EVERY and not isinstance(own, Mapping):
            said.append(f"measure.{name}: expected a measure, {{_target_: ...}}, got {own}")
        elif (every is not None or name == EVERY) and not _is_count(every):
            key = "measure.every" if name == EVERY else f"measure.{name}.every"
            said.append(f"{key}: expected a whole number of steps, 1 or more, got {every}")
    return said


def columns(taken: Mapping[str, Taken]) -> list[Column]:
    """Those of the measures."""
    return [
        Column(name, MEASURE, one.instrument.shape, "float64", SOME, steps=one.every)
        for name, one in taken.items()
    ]


def measuring(
    of: Sequence[Setup],
    names: Sequence[str],
    calculus: Callable[[], Calculus],
    program: Program,
    batches: Batches,
    initial: Array,
    data: Sequence[Dataset],
) -> Measuring | None:
    """What takes the measures of these cells, or of the one run; None where none is chosen.

    `names` are those of their columns, `data` the cells', or what all share. Each is tried at the
    start: raises ConfigError for one that cannot be taken.
    """
    taken = dict(zip(names, chosen(of[0].measure).values(), strict=True))
    if not taken:
        return None

    def known() -> Sequence[Optimum | None]:
        return [_known(of[0], own) for own in data]

    lr = np.array([_rate(one) for one in of])
    for name, one in taken.items():
        if one.every > of[0].most_steps:
            raise ConfigError(
                f"measure.{name}",
                f"is taken after every {one.every} steps, and there are "
                f"{of[0].most_steps} at most: measure.every=1, say",
            )
    problem = TrainingProblem(calculus, batches, known, program.scale)
    seeds = np.array([one.seed for one in of])
    made = Measuring(taken, problem, initial, lr, seeds)
    with refused(""):
        made.tried()
    return made


def by_hand(of: Setup, model: Any) -> Calculus:
    """Derivatives for the numpy loop."""
    if isinstance(model, Minimised):
        return OfObjective(model)
    loss = parts.loss_by_hand(of.loss, model.outputs)
    own = build("loss", swapped(of.loss, losses.CURVATURES))
    if model.outputs > 1 and wanted(of.loss) != CLASSES:
        own = losses.curvature_over_outputs(own)
    return OfModel(model, loss, own, summed=of.loss.get("gradient_reduction") == "sum")


def by_pytorch(
    of: Setup, predict: Any, loss: Any, x_axes: int, learns: Flags | None = None
) -> Calculus:
    """Derivatives for the other loops; `learns`: which parameters do, where not all."""
    from runner.engine.measure.by_pytorch import AutogradCalculus

    if of.model["_target_"] == MODEL:
        doubt = "an objective has no samples"
    elif of.data.ignores or (of.data.classes and any(True for _ in class_weights(loss))):
        doubt = "the loss counts some samples more than others: gradient_noise is for those alike"
    else:
        doubt = ""
    return AutogradCalculus(predict, loss, x_axes, of.device, noise_doubt=doubt, learns=learns)


def _instrument(name: str, node: Values) -> Instrument:
    made = build(f"measure.{name}", {key: value for key, value in node.items() if key != EVERY})
    if isinstance(made, Instrument):
        return made
    if not callable(made):
        what = "a runner.measure.Instrument, or a function of a moment"
        raise ConfigError(f"measure.{name}", f"expected {known_as(node)} to make {what}")
    return Instrument(made)


def _known(of: Setup, data: Dataset) -> Optimum | None:
    if of.model["_target_"] == MODEL:
        return optimum.of_objective(parts.objective(of.model["objective"]))
    if of.model["_target_"] not in models.BY_HAND or of.loss["_target_"] not in losses.BY_HAND:
        return None
    if of.loss["_target_"] != MSE or data.outputs > 1:
        return None
    design = parts.model_by_hand(of.model, data).design(data.x).astype(np.float64)
    times = len(data.y) if of.loss.get("reduction") == "sum" else 1
    return optimum.of_least_squares(design, data.y.astype(np.float64), times)


def _rate(of: Setup) -> float:
    """The learning rate where no schedule gives another."""
    lr: Any = of.optimizer.get("lr")
    return float(lr) if is_number(lr) else np.nan


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
