"""Derivatives by PyTorch, of any loss that it can differentiate twice."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.base.arrays import Array, Flags
from runner.engine.measure import apart

Batch = tuple[Tensor, Tensor]

AT_ONCE = 2**22
"""So many numbers of samples' gradients, or of directions, are computed at once."""


class AutogradCalculus:
    """Of predict(x, w), w (parameters,), and a loss of the prediction and y.

    Every function is of one cell. What a part draws at random is put back.
    """

    def __init__(
        self,
        predict: Callable[[Tensor, Tensor], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor],
        x_axes: int,
        device: str,
        *,
        noise_doubt: str = "",
        learns: Flags | None = None,
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
        return self._each(self._slope, partial(apart.gradient, self._value), batch, w)

    def products(self, w: Array, directions: Array, batch: Batch) -> Array:
        together = max(1, AT_ONCE // w.shape[1])

        def mapped(at: Tensor, along: Tensor, x: Tensor, y: Tensor) -> Tensor:
            pull: Any = torch.func.vjp(lambda w: self._slope(w, x, y), at)[1]
            product: Tensor
            [product] = torch.func.vmap(pull, chunk_size=together)(along)
            return product

        one_by_one = partial(apart.products, self._value)
        return self._each(mapped, one_by_one, batch, w, directions.astype(w.dtype))

    def noise(self, w: Array, batch: Batch) -> Array:
        if self._noise_doubt:
            raise ValueError(self._noise_doubt)

        def one_by_one(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return torch.tensor(apart.noise(self._value, at, x, y), dtype=torch.float64)

        return self._each(self._noise, one_by_one, batch, w)

    def _noise(self, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return mean(|g|^2) - |mean(g)|^2, g the gradient of one sample, as a float64 scalar."""

        def of_sample(one_x: Tensor, one_y: Tensor) -> Tensor:
            gradient: Tensor = self._slope(w, one_x[None], one_y[None])
            return gradient

        together = max(1, AT_ONCE // len(w))
        squares, total = torch.zeros((), dtype=torch.float64), torch.zeros(len(w)).double()
        for part_x, part_y in zip(x.split(together), y.split(together), strict=True):
            gradients = torch.func.vmap(of_sample)(part_x, part_y).double().cpu()
            squares, total = squares + gradients.square().sum(), total + gradients.sum(dim=0)
        mean = total / len(x)
        return squares / len(x) - mean.dot(mean)

    def _each(
        self,
        mapped: Callable[..., Tensor],
        one_by_one: Callable[..., Tensor],
        batch: Batch,
        *rows: Array,
    ) -> Array:
        """Return what a function of one cell gives for each, (cells, ...).

        Each cell is computed by itself, so its measures are those of its lone run whatever company
        it has. `one_by_one` takes the place of `mapped` where `torch.func` cannot map a part.
        """
        values = []
        for cell, row in enumerate(zip(*rows, strict=True)):
            samples = batch if self._axis(batch) is None else (part[cell] for part in batch)
            arguments = [*map(self._tensor, row), *samples]
            if self._is_mapped:
                try:
                    values.append(self._asked(mapped, *arguments))
                    continue
                except Exception:  # torch.func may raise anything for a user's part
                    self._is_mapped = False
            values.append(self._asked(one_by_one, *arguments))
        return np.stack(values)

    def of_cell(self, batch: Batch, cell: int) -> Batch:
        x, y = batch
        return (x[cell : cell + 1], y[cell : cell + 1]) if self._axis(batch) == 0 else batch

    def _axis(self, batch: Batch) -> int | None:
        return None if batch[0].ndim == self._axes else 0

    def _asked(self, function: Callable[..., Tensor], *arguments: Tensor) -> Array:
        with torch.random.fork_rng([self._device] if self._device.startswith("cuda") else []):
            value: Array = function(*arguments).detach().cpu().numpy()
        return value

    def _tensor(self, values: Array) -> Tensor:
        return torch.tensor(values, device=self._device)
