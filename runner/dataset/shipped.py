"""A dataset that scikit-learn ships, and that is not fitted as it is."""

from typing import Any


def digits() -> tuple[Any, Any]:
    """1,797 handwritten digits of 8 x 8 pixels, each from 0 to 1: `sklearn.datasets.load_digits`.

    x is (1797, 64), float64, y (1797,).
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x / 16, y
