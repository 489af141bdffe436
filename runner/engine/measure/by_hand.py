"""Derivatives in closed form, for models and losses by hand, and for objectives."""

import numpy as np

from runner.base.arrays import Array
from runner.base.rows import dots
from runner.engine.program import stacked
from runner.loss import Curvature, Loss
from runner.model import ByHand as Model
from runner.objective.minimised import Minimised

Batch = tuple[Array, Array]


class OfModel:
    """A model that is linear in its parameters, so that J'CJ is the Hessian of its loss.

    J is the derivative of the prediction with respect to the parameters, C that of the slope.
    """

    def __init__(
        self, model: Model, loss: Loss, curvature: Curvature, *, summed: bool = False
    ) -> None:
        """`summed`: whether the slope is that of the sum over the samples."""
        self._model, self._loss, self._curvature = model, loss, curvature
        self._summed = summed

    def gradient(self, w: Array, batch: Batch) -> Array:
        x, y = batch
        _, slope = self._loss(stacked.predict(self._model, x, w), y)
        return stacked.gradient(self._model, x, slope, w)

    def products(self, w: Array, directions: Array, batch: Batch) -> Array:
        x, y = batch
        bend = self._curvature(stacked.predict(self._model, x, w), y)
        made = []
        for one in np.moveaxis(directions.astype(w.dtype), 1, 0):
            change = bend(stacked.predict(self._model, x, one))
            made.append(stacked.gradient(self._model, x, change, w))
        return np.stack(made, axis=1)

    def noise(self, w: Array, batch: Batch) -> Array:
        """Of mean(|g|^2) - |mean(g)|^2, g a sample's slope times its features and the bias's 1."""
        x, y = (part.astype(np.float64) if part.dtype.kind == "f" else part for part in batch)
        w = w.astype(np.float64)
        _, slope = self._loss(stacked.predict(self._model, x, w), y)
        samples = y.shape[-1] if y.dtype.kind == "i" or self._model.outputs == 1 else y.shape[-2]
        slope = slope / samples if self._summed else slope
        features = np.square(x).sum(axis=-1)
        if self._model.outputs > 1:
            features = features + float("b" in self._model.tensors)
            slopes = np.square(slope).sum(axis=-1)
        else:
            slopes = np.square(slope)
        mean = stacked.gradient(self._model, x, slope, w)
        found: Array = samples * (slopes * features).sum(axis=-1) - dots(mean, mean)
        return found

    def of_cell(self, batch: Batch, cell: int) -> Batch:
        x, y = batch
        return (x[cell : cell + 1], y[cell : cell + 1]) if x.ndim > 2 else batch


class OfObjective:
    """An objective with a Hessian by hand; of a batch it knows nothing."""

    def __init__(self, minimised: Minimised) -> None:
        self._own = minimised.objective

    def gradient(self, w: Array, batch: Batch) -> Array:
        assert self._own.gradient is not None
        return self._own.gradient(w)

    def products(self, w: Array, directions: Array, batch: Batch) -> Array:
        if self._own.hessian is None:
            raise ValueError("the objective has no Hessian by hand: gradient=autograd")
        made: Array = directions.astype(w.dtype) @ self._own.hessian(w)
        return made

    def noise(self, w: Array, batch: Batch) -> Array:
        raise ValueError("an objective has no samples")

    def of_cell(self, batch: Batch, cell: int) -> Batch:
        return batch
