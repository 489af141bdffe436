"""Models by hand: f(x) = w x and f(x) = w . x + b.

All parameters of one of these models stand in one vector, so that its prediction and its
gradient are one matrix product each:

    f(x) = design(x) @ w

A model that is only a `torch.nn.Module` needs nothing from here but names for its parameters.
"""

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Tensors = dict[str, tuple[int, ...]]
"""Name and shape of each parameter tensor, in the order in which one vector holds their values."""


class Linear:
    """`torch.nn.Linear` with one output: f(x) = w . x + b, or w . x with `bias=False`.

    `initial` holds the starting `weight` and `bias`, each a number, a list, or None: drawn as
    `nn.Linear` does, uniformly from +-1 / sqrt(features), but by NumPy, so that every loop starts
    from the same values.
    """

    def __init__(
        self,
        features: int,
        *,
        in_features: int | None = None,
        out_features: int = 1,
        bias: bool = True,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        if in_features not in (None, features):
            raise ValueError(f"in_features: the dataset has {features}, got {in_features}")
        if out_features != 1:
            raise ValueError(f"out_features: y is one number a sample, got {out_features}")
        self.features = features
        self.bias = bias
        self.initial = by_name(initial, ("weight", "bias"))

    @property
    def tensors(self) -> Tensors:
        weight: Tensors = {"w": () if self.features == 1 else (self.features,)}
        return {**weight, "b": ()} if self.bias else weight

    def design(self, x: Array) -> Array:
        """The samples, (samples, features), with a column of ones after them for the bias."""
        return np.hstack([x, np.ones_like(x[:, :1])]) if self.bias else x

    def start(self, seed: int, dtype: str) -> Array:
        """The starting values, (parameters,) of that dtype."""
        bound = 1 / math.sqrt(self.features)
        rng = np.random.default_rng([seed, 1])  # not the stream that a dataset is drawn from
        drawn = rng.uniform(-bound, bound, self.features + 1).astype(dtype)
        weight = filled(drawn[:-1], "initial.weight", self.initial.get("weight"))
        bias = filled(drawn[-1:], "initial.bias", self.initial.get("bias"))
        return np.concatenate([weight, bias] if self.bias else [weight])


class Scalar:
    """f(x) = w x, from the starting value `initial` = {"w": ...}."""

    def __init__(self, features: int, *, initial: Mapping[str, Any] | None = None) -> None:
        if features != 1:
            raise ValueError(f"one weight for {features} features; model=linear has one for each")
        self.initial = by_name(initial, ("w",))

    @property
    def tensors(self) -> Tensors:
        return {"w": ()}

    def design(self, x: Array) -> Array:
        """The samples as they are, (samples, 1)."""
        return x

    def start(self, seed: int, dtype: str) -> Array:
        """The starting value, (1,) of that dtype; `seed` plays no part."""
        return filled(np.zeros(1, dtype), "initial.w", self.initial.get("w"))


def by_name(initial: Any, names: Iterable[str]) -> dict[str, Any]:
    """The starting values that a config gives, by parameter name; ValueError for anything else."""
    if initial is None:
        return {}
    if not isinstance(initial, Mapping) or initial.keys() - {*names}:
        raise ValueError(f"initial: expected values by name ({', '.join(names)}), got {initial}")
    return dict(initial)


def filled(values: Array, name: str, given: Any) -> Array:
    """`values`, or in their place what a config gives: one number for all, or one for each."""
    if given is None:
        return values
    listed = np.asarray(given, object)
    try:
        if not any(map(_is_no_number, listed.flat)):
            with np.errstate(over="ignore"):
                wanted: Array = listed.astype(np.float64).astype(values.dtype)
            wanted = np.broadcast_to(wanted, values.shape) if wanted.ndim == 0 else wanted
            wanted = wanted.reshape(values.shape)
            if np.isfinite(wanted).all():
                return wanted
    except (OverflowError, ValueError):  # too large for any float; too few or too many
        pass
    several = f", or {values.size} of them" if values.size != 1 else ""
    raise ValueError(f"{name}: expected a finite number of {values.dtype}{several}, got {given!r}")


def _is_no_number(value: Any) -> bool:  # NumPy would make numbers of text, true and false
    return isinstance(value, bool) or not isinstance(value, Real)


def parameter_names(tensors: Mapping[str, tuple[int, ...]]) -> list[str]:
    """One name for each scalar: `w`, or `w.0`, `w.1`, ...; `0.weight.2.1` is `0.weight[2, 1]`."""
    return [
        ".".join([name, *map(str, index)])
        for name, shape in tensors.items()
        for index in np.ndindex(*shape)
    ]


BY_HAND: dict[str, type[Linear] | type[Scalar]] = {
    "runner.model.Scalar": Scalar,
    "torch.nn.Linear": Linear,
}
"""The model by hand for each class that has one."""
