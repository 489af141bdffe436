"""How a loss puts the samples of a batch together, and so how an epoch puts its batches together.

PyTorch's losses are a mean over the samples, or a sum; a mean may weigh classes, and leave samples
out. A trial tells which: a rule holds if the loss of a batch follows by it from the losses of two
parts of the batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runner.base.arrays import Array, Scalars
from runner.dataset.target import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

MOST_TRIED = 24
"""The most samples a loss is tried on here."""

CLOSE = {"float32": 1e-4, "float64": 1e-9}
"""Relative: rounding in the losses of that many samples."""


class Reduction(NamedTuple):
    """The rule by which losses of batches become that of all their samples."""

    kind: str = "mean"
    """Or `sum`"""
    weights: "Tensor | None" = None
    """(classes,), a tensor: how much a sample of each class counts in a mean; None: all the same"""
    leaves_out: bool = False
    """Whether a mean is over the samples that are not ignored"""

    def weight(self, y: "Tensor", size: int) -> Scalars:
        """Return how much the loss of a batch with that y counts: a number, or (cells,)."""
        if self.weights is None and not self.leaves_out:
            return size
        counts = y != IGNORED
        if self.weights is not None:
            counts = self.weights[y.where(counts, 0)].double() * counts
        total = counts.sum(dim=-1)
        counted: Array = total.double().cpu().numpy()
        return counted[()]  # 0 where all are ignored, by which NumPy divides

    def term(self, loss: Scalars, weight: Scalars) -> Scalars:
        """Return what the loss of a batch adds to the epoch's total."""
        return loss if self.kind == "sum" else weight * loss

    def whole(self, total: Scalars, weight: Scalars, samples: int) -> Scalars:
        """Return the loss of all samples, from the totals of the batches that have been taken.

        A sum over a part of the samples is scaled to all of them.
        """
        return total * (samples / weight) if self.kind == "sum" else total / weight


MEAN = Reduction()


def candidates(loss: object, y: "Tensor") -> Iterator[Reduction]:
    """Yield the rules that the loss of such a y may follow, those that say more first."""
    is_of_classes = not y.is_floating_point()
    ignores = is_of_classes and bool((y == IGNORED).any())
    if is_of_classes:
        for weights in class_weights(loss):
            if len(weights) > int(y.max()):
                yield Reduction("mean", weights, ignores)
    if ignores:
        yield Reduction("mean", None, leaves_out=True)
    yield MEAN
    yield Reduction("sum")


def class_weights(loss: Any) -> Iterator["Tensor"]:
    """Yield what may be weights of classes in the loss, or in a part of it."""
    owners = list(loss.modules()) if hasattr(loss, "modules") else []
    options = [getattr(owner, "weight", None) for owner in owners]
    options.append(getattr(loss, "keywords", {}).get("weight"))
    for option in options:
        if option is not None and getattr(option, "ndim", 0) == 1:
            yield option.detach()


def tried(
    value: Callable[["Tensor", "Tensor"], "Tensor"],
    rules: Sequence[Reduction],
    like: "Tensor",
    y: "Tensor",
) -> Reduction | None:
    """Return the first of the rules that holds for the loss; None where none of them does.

    `value` is the loss as a function of (prediction, y), `like` a prediction for the y.
    """
    rows = _rows(y)
    like, y = like[rows], y[rows]
    holding = list(rules)
    if len(y) < 2:
        return holding[0]
    is_decided = False
    for prediction in _predictions(like):
        try:
            whole = float(value(prediction, y))
            parts = [
                Cut(
                    at, float(value(prediction[:at], y[:at])), float(value(prediction[at:], y[at:]))
                )
                for at in sorted({max(1, len(y) // 3), max(1, 2 * len(y) // 3)})
            ]
        except Exception:  # whatever the loss raises of a prediction where it is not defined
            continue
        parts = [part for part in parts if math.isfinite(part.first + part.second)]
        if not math.isfinite(whole) or not parts:
            continue
        is_decided = True
        close = CLOSE.get(str(like.dtype).rpartition(".")[2], CLOSE["float32"])
        holding = [rule for rule in holding if _holds(rule, whole, parts, y, close)]
        if len({rule.kind for rule in holding}) < 2:
            break
    return holding[0] if is_decided and holding else None


class Cut(NamedTuple):
    """The losses of a batch's samples before a place, and from there on."""

    at: int
    first: float
    second: float


def _holds(rule: Reduction, whole: float, parts: Sequence[Cut], y: "Tensor", close: float) -> bool:
    """Return whether the losses of the parts of y give that of the whole by the rule."""
    for at, first, second in parts:
        before, after = rule.weight(y[:at], at), rule.weight(y[at:], len(y) - at)
        total = rule.term(first, before) + rule.term(second, after)
        with np.errstate(invalid="ignore", divide="ignore"):
            together = float(rule.whole(total, before + after, len(y)))
        if not abs(together - whole) <= close * max(abs(whole), abs(first), abs(second)):
            return False
    return True


def _rows(y: "Tensor") -> list[int]:
    """Return which samples are tried, in what order: of classes some of each, mixed."""
    if y.is_floating_point():
        return list(range(min(len(y), MOST_TRIED)))
    labels = y.cpu().numpy()
    distinct = np.unique(labels)[:MOST_TRIED]
    each = max(1, MOST_TRIED // len(distinct))
    rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in distinct])
    return [*np.random.default_rng(0).permutation(rows).tolist()]


def _predictions(like: "Tensor") -> Iterator["Tensor"]:
    """Yield predictions of that shape: shares from 0 to 1, and numbers near what is predicted."""
    rng = np.random.default_rng(0)
    shape = tuple(like.shape)
    yield like.new_tensor(rng.uniform(0.05, 0.95, shape))
    size = max(1.0, float(like.abs().max()))
    for spread in (1.0, 0.1 * size, size):
        yield like + like.new_tensor(spread * rng.normal(size=shape))
