"""Measures: what is recorded along a trajectory beside the loss and the parameters.

Those of every step stand in one table, `MEASURES`; those that a config chooses are taken at every
so many steps, by what the functions here make, or any function that returns such an `Instrument`.
"""

from runner.engine.measure.curved import (
    batch_sharpness,
    gradient_noise,
    preconditioned_sharpness,
    sharpness,
    trace,
)
from runner.engine.measure.moment import Instrument, Moment
from runner.engine.measure.moved import (
    angle,
    cosine,
    distance,
    excess_loss,
    learning_rate,
    parameter_norm,
    update_norm,
)
from runner.engine.measure.table import (
    MEASURES,
    Measure,
    RecordedColumn,
    Steps,
    declared,
    own_measures,
    read_only,
)

__all__ = [
    "MEASURES",
    "Instrument",
    "Measure",
    "Moment",
    "RecordedColumn",
    "Steps",
    "angle",
    "batch_sharpness",
    "cosine",
    "declared",
    "distance",
    "excess_loss",
    "gradient_noise",
    "learning_rate",
    "own_measures",
    "parameter_norm",
    "preconditioned_sharpness",
    "read_only",
    "sharpness",
    "trace",
    "update_norm",
]
