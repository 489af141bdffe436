"""Measures of where the parameters are, and of how they move: they cost next to nothing."""

from collections.abc import Sequence

import numpy as np

from runner.base.arrays import Array
from runner.base.rows import dots, norms
from runner.engine.measure.moment import Instrument, Moment
from runner.errors import BadValue


def learning_rate() -> Instrument:
    """The learning rate of the step, as the schedule has it."""
    return Instrument(lambda at: at.lr)


def update_norm() -> Instrument:
    """The Euclidean norm of the update."""
    return Instrument(lambda at: norms(at.after.astype(np.float64) - at.before))


def parameter_norm() -> Instrument:
    """The Euclidean norm of the parameters after the update."""
    return Instrument(lambda at: norms(at.after))


def distance() -> Instrument:
    """From the parameters after the update to the nearest point where the loss is least."""
    return Instrument(lambda at: _known(at.distance(), "where this loss is least"))


def excess_loss() -> Instrument:
    """The loss of all samples before the update, less the least that it can be."""
    return Instrument(lambda at: _known(at.excess(), "the least of this loss"))


def cosine() -> Instrument:
    """Between the gradient of the step and that of the step before; none at the first step.

    Around a minimum it turns negative where the steps are too large, and to 0 where they are noise.
    """

    def of(at: Moment) -> Array:
        if at.last is None:
            return np.full(len(at.loss), np.nan)
        return _cosines(at.gradient, at.last)

    return Instrument(of)


def angle(*, direction: Sequence[float]) -> Instrument:
    """Between the parameters after the update and a given direction, in radians.

    From sines and cosines of half of it, which is exact for the smallest angles: Kahan 2006, "How
    futile are mindless assessments of roundoff", section 12.
    """
    given = np.asarray(direction, np.float64)
    if given.ndim != 1 or not np.isfinite(given).all() or not given.any():
        expected = "finite numbers, not all of them 0"
        raise BadValue("direction", expected=expected, got=direction)
    unit = given / np.linalg.norm(given)

    def of(at: Moment) -> Array:
        if at.after.shape[1] != len(unit):
            count = at.after.shape[1]
            raise ValueError(f"direction: expected {count} numbers, got {len(unit)}")
        own = at.after.astype(np.float64)
        own = own / norms(own)[:, None]
        made: Array = 2 * np.arctan2(norms(own - unit), norms(own + unit))
        return made

    return Instrument(of)


def _cosines(one: Array, other: Array) -> Array:
    a, b = one.astype(np.float64), other.astype(np.float64)
    found: Array = dots(a / norms(a)[:, None], b / norms(b)[:, None])
    return found


def _known(found: Array | None, what: str) -> Array:
    if found is None:
        raise ValueError(
            f"nobody knows {what}: that is known of least squares with a linear model of one "
            "output, and of objectives"
        )
    return found
