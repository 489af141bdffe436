"""Samples as a loop takes them, in the run's dtype."""

import hashlib
from typing import Any, NamedTuple

from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.dataset.target import IGNORED


class Samples(NamedTuple):
    """Some samples."""

    x: Array
    """(samples, features)"""
    y: NDArray[Any]
    """(samples,) or (samples, outputs); the numbers of classes, (samples,), are int64"""


class Dataset(NamedTuple):
    """What is fitted, and what it is tried on."""

    x: Array
    """(samples, features): of the training data, as is the next"""
    y: NDArray[Any]
    """(samples,) or (samples, outputs); the numbers of classes, (samples,), are int64"""
    probe: Array | None
    """(1, features): the point to predict before and after training, scaled as x is."""
    digest: str
    """64 hexadecimal digits that tell these samples from others."""
    classes: tuple[str, ...] = ()
    """Their names, in the order of their numbers, where the task is classification."""
    validation: Samples | None = None
    names: tuple[str, ...] = ()
    """Of the features, where they have some"""
    scale: tuple[Array, Array] | None = None
    """(features,) each: what was taken from the features, and what they were divided by"""
    degree: int = 1
    """Of the powers of the features that x has"""

    @property
    def unseen(self) -> "Dataset | None":
        """The validation data in the place of those for training."""
        own = self.validation
        return None if own is None else self._replace(x=own.x, y=own.y, validation=None)

    @property
    def ignores(self) -> bool:
        """Return whether some samples have no class, for the loss ignores their label."""
        parts = (self, self.validation) if self.validation else (self,)
        return any(part.y.dtype.kind == "i" and (part.y == IGNORED).any() for part in parts)

    @property
    def outputs(self) -> int:
        """How many numbers a model is to make of a sample."""
        if self.y.dtype.kind == "i":
            return len(self.classes)
        return self.y.shape[1] if self.y.ndim > 1 else 1


def digest(*arrays: NDArray[Any] | None) -> str:
    """64 hexadecimal digits that tell these arrays from others."""
    made = hashlib.sha256()
    for array in arrays:
        if array is not None:
            made.update(f"{array.dtype} {array.shape}".encode())
            made.update(array.tobytes())
    return made.hexdigest()
