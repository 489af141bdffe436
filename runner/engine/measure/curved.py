"""Measures of how the loss is curved, and of how the samples' gradients differ.

They are of the parameters before the update, where the loss and the gradient of the step were
taken, and of all samples for training unless they say otherwise. Each product of the Hessian with a
direction costs about two gradients.
"""

import numpy as np

from runner.base.arrays import Array
from runner.base.rows import dots
from runner.engine.measure import spectrum
from runner.engine.measure.moment import Instrument, Moment
from runner.errors import BadValue


def sharpness(*, count: int = 1) -> Instrument:
    """The `count` largest eigenvalues of the Hessian, the largest first."""
    if count < 1:
        raise BadValue("count", expected="1 or more", got=count)

    def of(at: Moment) -> Array:
        found = spectrum.largest(_hessian(at), at.before.shape, count)
        return found if count > 1 else found[:, 0]

    return Instrument(of, (count,) if count > 1 else ())


def preconditioned_sharpness() -> Instrument:
    """The largest eigenvalue of P^-1 H, for an optimizer that divides its steps by P.

    P is diagonal: for Adam, AdamW and RMSprop the root of the mean square, for Adagrad that of the
    sum, of this step, with its eps; see Cohen et al. 2022, "Adaptive gradient methods at the edge
    of stability", section 2. P^-1 H has the eigenvalues of P^-1/2 H P^-1/2.
    """

    def of(at: Moment) -> Array:
        scale = at.scale()
        if scale is None:
            raise ValueError(
                "the optimizer divides its steps by nothing that is known: expected "
                "adam, adamw, rmsprop or adagrad"
            )
        root = 1 / np.sqrt(scale)[:, None]

        def products(directions: Array, cell: int | None = None) -> Array:
            own = root if cell is None else root[cell : cell + 1]
            return own * at.bent(own * directions, cell=cell)

        found: Array = spectrum.largest(products, at.before.shape, 1)[:, 0]
        return found

    return Instrument(of)


def trace(*, probes: int = 100) -> Instrument:
    """The sum of the eigenvalues of the Hessian; of more than 256 parameters an estimate.

    That takes so many `probes`, drawn anew from the seed for each step: Hutchinson 1990, "A
    stochastic estimator of the trace of the influence matrix". Its relative error is about
    sqrt(2 / probes) at most.
    """
    if probes < 1:
        raise BadValue("probes", expected="1 or more", got=probes)

    def of(at: Moment) -> Array:
        seeds = [[seed, at.step] for seed in at.seeds.tolist()]
        return spectrum.trace(_hessian(at), at.before.shape, probes, seeds)

    return Instrument(of)


def gradient_noise() -> Instrument:
    """The trace of the covariance of one sample's gradient, over all samples for training."""
    return Instrument(lambda at: at.noise())


def batch_sharpness() -> Instrument:
    """G'Hg / g'g of the step's own batch, g its gradient and H its Hessian.

    Its mean over steps is the batch sharpness of Andreyev and Beneventano, arXiv 2412.20553.
    """

    def of(at: Moment) -> Array:
        own = at.gradient[:, None]
        bent = at.bent(own, at.batch)[:, 0].astype(np.float64)
        slope = at.gradient.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Array = dots(slope, bent) / dots(slope, slope)
        return found

    return Instrument(of)


def _hessian(at: Moment) -> spectrum.Products:
    return lambda directions, cell=None: at.bent(directions, cell=cell)
