"""How many samples have their class predicted, for arrays of NumPy's or PyTorch's."""

from typing import Any

import numpy as np

from runner.dataset.target import IGNORED


def of_scores(prediction: Any, y: Any) -> Any:
    """With a score for each class, (..., samples, classes), and classes y, (samples,) or as many.

    Of a stack, (cells,).
    """
    return _count(_array(prediction).argmax(axis=-1) == _array(y))


def above(threshold: float, samples_axis: int) -> Any:
    """The same of one prediction a sample, which means the second of two classes above that.

    `samples_axis`: 0, or 1 of a stack; an axis of size 1 may come after it.
    """

    def right(prediction: Any, y: Any) -> Any:
        prediction, y = _array(prediction), _array(y)
        shape = prediction.shape[: samples_axis + 1]
        more = prediction.ndim - len(shape)
        second = y.reshape(y.shape[: y.ndim - more]) > 0.5
        is_right = (prediction.reshape(shape) > threshold) == second
        return _count(is_right & (y.reshape(second.shape) != IGNORED))

    return right


def counted(y: Any) -> Any:
    """Return how many samples of y, (samples,), have a class; of a stack, (cells,)."""
    return _count(_array(y) != IGNORED)


def _count(right: Any) -> Any:
    return np.count_nonzero(right) if right.ndim == 1 else np.count_nonzero(right, axis=-1)


def _array(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else values.numpy(force=True)
