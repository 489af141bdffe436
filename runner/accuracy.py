"""The share of samples whose class is predicted, for arrays of NumPy's or PyTorch's."""

from typing import Any

import numpy as np


def of_scores(prediction: Any, y: Any) -> Any:
    """With a score for each class, (..., samples, classes), and classes y, (samples,) or as many.

    Of a stack, (cells,).
    """
    return _share(prediction.argmax(-1) == y)


def above(threshold: float, samples_axis: int) -> Any:
    """The same of one prediction a sample, which means the second of two classes above that.

    `samples_axis`: 0, or 1 of a stack; an axis of size 1 may come after it.
    """

    def accuracy(prediction: Any, y: Any) -> Any:
        shape = prediction.shape[: samples_axis + 1]
        more = prediction.ndim - len(shape)
        second = y.reshape(y.shape[: y.ndim - more]) > 0.5
        return _share((prediction.reshape(shape) > threshold) == second)

    return accuracy


def _share(right: Any) -> Any:
    array = right if isinstance(right, np.ndarray) else right.cpu().numpy()
    return array.mean(axis=-1)
