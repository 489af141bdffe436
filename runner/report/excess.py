"""Excess loss: by how much a loss is above the least there is."""

import numpy as np

from runner.base.arrays import Array
from runner.record.trajectory import Trajectory
from runner.report.problem import FittedProblem

NEAR = 1e-3
"""Up to such a share of the loss, what the parameters give is the loss that was recorded."""


def excess(fitted: FittedProblem | None, trajectory: Trajectory) -> Array | None:
    """(epochs,): of the losses that a run has recorded, over the least in closed form.

    Of a full batch it is computed from the parameters that the loss was of, so that it is exact
    far below the rounding of the loss; of mini-batches, whose parameters move within an epoch, it
    is the difference, which may be negative. None where there is no closed form.
    """
    if fitted is None or fitted.excess is None:
        return None
    epochs, losses = trajectory.losses
    plain: Array = losses - fitted.least
    steps, parameters = trajectory.parameters
    if trajectory.epoch_steps > 1 or parameters.shape[1:] != (fitted.parameters,):
        return plain
    before = np.searchsorted(steps, epochs - 1)
    if (before == len(steps)).any() or (steps[before] != epochs - 1).any():  # not all are kept
        return plain
    exact = fitted.excess(parameters[before])
    same = np.isclose(fitted.least + exact, losses, rtol=NEAR, atol=NEAR * fitted.least)
    return np.where(same, exact, plain)
