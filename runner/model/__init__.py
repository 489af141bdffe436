"""Models by hand: f(x) = w x, and f(x) = W x + b, also of the powers of x.

All parameters of one of these models stand in one vector, as PyTorch lays them one after another.
With one output a prediction and its gradient are one matrix product each, for an x that has a
column of ones for the bias: f(x) = design(x) @ w.

A model that is only a `torch.nn.Module` needs nothing from here but names for its parameters.
"""

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from runner.base.arrays import Array
from runner.errors import BadValue
from runner.model import start

Tensors = dict[str, tuple[int, ...]]
"""Name and shape of each parameter tensor, in the order in which one vector holds their values."""

POLYNOMIAL = "runner.model.polynomial"


class Linear:
    """`torch.nn.Linear`: f(x) = W x + b, or W x with `bias=False`.

    `initial` holds the starting `weight` and `bias`, each a number, a list, or None: those that
    `nn.Linear` draws from the seed in float32, whatever the run's dtype.
    """

    def __init__(
        self,
        features: int,
        outputs: int = 1,
        *,
        in_features: int | None = None,
        out_features: int | None = None,
        bias: bool = True,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        if in_features not in (None, features):
            raise BadValue("in_features", f"the dataset has {features}, got {in_features}")
        if out_features not in (None, outputs):
            raise BadValue("out_features", f"the dataset wants {outputs}, got {out_features}")
        self.features, self.outputs = features, outputs
        self.bias = bias
        self.initial = by_name(initial, ("weight", "bias"))

    @property
    def takes_cells(self) -> bool:
        """Whether `predict` and `gradient` take axes of cells before the others."""
        return self.outputs > 1

    @property
    def tensors(self) -> Tensors:
        if self.outputs > 1:
            weight: Tensors = {"w": (self.outputs, self.features)}
            return {**weight, "b": (self.outputs,)} if self.bias else weight
        weight = {"w": () if self.features == 1 else (self.features,)}
        return {**weight, "b": ()} if self.bias else weight

    def design(self, x: Array) -> Array:
        """The samples, (samples, features), of one output with a column of ones for the bias."""
        with_ones = self.bias and self.outputs == 1
        return np.hstack([x, np.ones_like(x[:, :1])]) if with_ones else x

    def predict(self, x: Any, w: Any) -> Any:
        """Of designed samples: (samples,), or (samples, outputs); w is (parameters,).

        For arrays of NumPy's or PyTorch's. With several outputs both may have axes of cells before.
        """
        if self.outputs == 1:
            return x @ w
        weight, bias = self._parts(w)
        made = x @ weight.swapaxes(-1, -2)
        return made + bias[..., None, :] if self.bias else made

    def gradient(self, x: Array, slope: Array, w: Array) -> Array:
        """(parameters,): of a loss whose derivative with respect to the prediction is `slope`."""
        if self.outputs == 1:
            return slope @ x
        weight = slope.swapaxes(-1, -2) @ x
        flat: Array = weight.reshape(*weight.shape[:-2], -1)
        return np.concatenate([flat, slope.sum(axis=-2)], axis=-1) if self.bias else flat

    def _parts(self, w: Any) -> tuple[Any, Any]:
        """Weight (outputs, features) and bias (outputs,), of the cells where there are cells."""
        count = self.outputs * self.features
        return w[..., :count].reshape(*w.shape[:-1], self.outputs, self.features), w[..., count:]

    def start(self, seed: int, dtype: str) -> Array:
        """The starting values, (parameters,) of that dtype."""
        drawn = start.linear(seed, self.features, self.outputs, bias=self.bias)
        weight, bias = (part.reshape(-1).astype(dtype) for part in drawn)
        weight = filled(weight, "initial.weight", self.initial.get("weight"))
        if not self.bias:
            return weight
        return np.concatenate([weight, filled(bias, "initial.bias", self.initial.get("bias"))])


def polynomial(
    features: int,
    outputs: int = 1,
    *,
    degree: int,
    bias: bool = True,
    initial: Mapping[str, Any] | None = None,
) -> Linear:
    """f(x) = b + w.0 x + w.1 x^2 + ..., up to x^degree; of several features each has its powers.

    It is linear in its `features`, which are those powers: the dataset has them made already.
    """
    return Linear(features, outputs, bias=bias, initial=initial)


class Scalar:
    """f(x) = w x, from the starting value `initial` = {"w": ...}."""

    outputs = 1
    takes_cells = False

    def __init__(
        self, features: int, outputs: int = 1, *, initial: Mapping[str, Any] | None = None
    ) -> None:
        if features != 1:
            raise ValueError(f"one weight for {features} features; model=linear has one for each")
        if outputs != 1:
            raise ValueError(f"one output where the dataset wants {outputs}: model=linear")
        self.initial = by_name(initial, ("w",))

    @property
    def tensors(self) -> Tensors:
        return {"w": ()}

    def design(self, x: Array) -> Array:
        """The samples as they are, (samples, 1)."""
        return x

    def predict(self, x: Any, w: Any) -> Any:
        """(samples,): of samples (samples, 1) and w (1,)."""
        return x @ w

    def gradient(self, x: Array, slope: Array, w: Array) -> Array:
        """(1,): of a loss whose derivative with respect to the prediction is `slope`."""
        return slope @ x

    def start(self, seed: int, dtype: str) -> Array:
        """The starting value, (1,) of that dtype; `seed` plays no part."""
        return filled(np.zeros(1, dtype), "initial.w", self.initial.get("w"))


ByHand = Linear | Scalar


def by_name(initial: Any, names: Iterable[str]) -> dict[str, Any]:
    """The starting values that a config gives, by parameter name; ValueError for anything else."""
    if initial is None:
        return {}
    if not isinstance(initial, Mapping) or initial.keys() - {*names}:
        got = ", ".join(map(str, initial)) if isinstance(initial, Mapping) else initial
        raise BadValue(
            "initial", expected=f"values by name ({', '.join(names)}), or run:NAME", got=got
        )
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
    raise BadValue(name, expected=f"a finite number of {values.dtype}{several}", got=repr(given))


def _is_no_number(value: Any) -> bool:  # NumPy would make numbers of text, true and false
    return isinstance(value, bool) or not isinstance(value, Real)


def parameter_names(tensors: Mapping[str, tuple[int, ...]]) -> list[str]:
    """One name for each scalar: `w`, or `w.0`, `w.1`, ...; `0.weight.2.1` is `0.weight[2, 1]`."""
    return [
        ".".join([name, *map(str, index)])
        for name, shape in tensors.items()
        for index in np.ndindex(*shape)
    ]


BY_HAND: dict[str, Any] = {
    "runner.model.Scalar": Scalar,
    "torch.nn.Linear": Linear,
    POLYNOMIAL: polynomial,
}
"""The model by hand for each class that has one."""
