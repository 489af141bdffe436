"""Derivatives by PyTorch, of any loss that it can differentiate twice."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runner.measure import apart

Array = NDArray[np.floating[Any]]
Batch = tuple[Tensor, Tensor]

AT_ONCE = 2**22
"""So many numbers of samples' gradients, or of directions, are computed at once."""


class ByPyTorch:
    """Of predict(x, w), w (parameters,), and a loss of the prediction and y.

    Every function is written for one cell, and mapped over the cells. What a part draws at random
    is put back.
    """

    def __init__(
        self,
        predict: Callable[[Tensor, Tensor], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor],
        x_axes: int,
        device: str,
        *,
        noise_doubt: str = "",
        learns: NDArray[np.bool_] | None = None,
    ) -> None:
        """`x_axes`: how many x has where all cells share it; `learns`, (parameters,): which are
        trained, for the loss is taken as a function of these alone; `noise_doubt`: why the noise of
        one sample's gradient means nothing, if it does not.
        """
        self._axes, self._device, self._noise_doubt = x_axes, device, noise_doubt
        mask = None if learns is None or learns.all() else torch.tensor(learns, device=device)

        def value(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
            own = w if mask is None else torch.where(mask, w, w.detach())
            return loss(predict(x, own), y)

        self._value, self._slope = value, torch.func.grad(value)
        self._is_mapped = True

    def gradient(self, w: Array, batch: Batch) -> Array:
        def one(own: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return apart.gradient(self._value, own, x, y)

        made: Array = self._either(lambda: self._mapped(self._slope, w, batch), one, batch, w)
        return made

    def products(self, w: Array, directions: Array, batch: Batch) -> Array:
        def one(own: Tensor, some: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return apart.products(self._value, own, some, x, y)

        own = w, directions.astype(w.dtype)
        together = partial(self._products, w, directions, batch)
        made: Array = self._either(together, one, batch, *own)
        return made

    def noise(self, w: Array, batch: Batch) -> Array:
        if self._noise_doubt:
            raise ValueError(self._noise_doubt)

        def one(own: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return torch.tensor(apart.noise(self._value, own, x, y), dtype=torch.float64)

        made: Array = self._either(partial(self._noise, w, batch), one, batch, w)
        return made

    def _either(
        self, together: Callable[[], Any], one: Callable[..., Tensor], batch: Batch, *own: Array
    ) -> Any:
        """What is mapped over all cells, or where a part cannot be mapped, one after another."""
        if self._is_mapped:
            try:
                return together()
            except Exception:  # whatever torch.func says of a part of somebody's
                self._is_mapped = False
        made = []
        for cell, given in enumerate(zip(*own, strict=True)):
            x, y = batch if self._axis(batch) is None else (part[cell] for part in batch)
            made.append(self._asked(one, *map(self._tensor, given), x, y))
        return np.stack(made)

    def _products(self, w: Array, directions: Array, batch: Batch) -> Array:
        together = max(1, AT_ONCE // directions[:, 0].size)

        def of_cell(own: Tensor, some: Tensor, x: Tensor, y: Tensor) -> Tensor:
            pull: Any = torch.func.vjp(lambda at: self._slope(at, x, y), own)[1]
            made: Tensor
            [made] = torch.func.vmap(pull, chunk_size=together)(some)
            return made

        axis, some = self._axis(batch), self._tensor(directions.astype(w.dtype))
        mapped = torch.func.vmap(of_cell, in_dims=(0, 0, axis, axis))
        made: Array = self._asked(mapped, self._tensor(w), some, *batch)
        return made

    def _noise(self, w: Array, batch: Batch) -> Array:
        cells, parameters = w.shape

        def of_sample(own: Tensor, x: Tensor, y: Tensor) -> Tensor:
            slope: Tensor = self._slope(own, x[None], y[None])
            return slope

        def of_cell(own: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            found = torch.func.vmap(of_sample, in_dims=(None, 0, 0))(own, x, y).double()
            return found.square().sum(), found.sum(dim=0)

        axis = self._axis(batch)
        mapped = torch.func.vmap(of_cell, in_dims=(0, axis, axis))
        along = 0 if axis is None else 1
        samples, some = batch[0].shape[along], max(1, AT_ONCE // w.size)
        squares, total = np.zeros(cells), np.zeros((cells, parameters))
        for first in range(0, samples, some):
            part = [own.narrow(along, first, min(some, samples - first)) for own in batch]
            square, slope = self._asked(mapped, self._tensor(w), *part)
            squares, total = squares + square, total + slope
        mean = total / samples
        found: Array = squares / samples - np.vecdot(mean, mean)
        return found

    def of_cell(self, batch: Batch, cell: int) -> Batch:
        x, y = batch
        return (x[cell : cell + 1], y[cell : cell + 1]) if self._axis(batch) == 0 else batch

    def _axis(self, batch: Batch) -> int | None:
        return None if batch[0].ndim == self._axes else 0

    def _mapped(self, function: Callable[..., Any], w: Array, batch: Batch) -> Array:
        axis = self._axis(batch)
        made: Array = self._asked(
            torch.func.vmap(function, in_dims=(0, axis, axis)), self._tensor(w), *batch
        )
        return made

    def _asked(self, function: Callable[..., Any], *given: Any) -> Any:
        with torch.random.fork_rng([self._device] if self._device.startswith("cuda") else []):
            made = function(*given)
        if isinstance(made, tuple):
            return tuple(part.detach().cpu().numpy() for part in made)
        return made.detach().cpu().numpy()

    def _tensor(self, values: Array) -> Tensor:
        return torch.tensor(values, device=self._device)
