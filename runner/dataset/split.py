"""A share of the samples for validation."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Index
from runner.errors import BadValue

LARGEST_SEED = 2**32 - 1
"""Of scikit-learn's."""


def split(
    samples: int, share: float, seed: int, labels: NDArray[Any] | None = None
) -> tuple[Index, Index]:
    """Which samples are for training and which for validation, in the order drawn.

    As `sklearn.model_selection.train_test_split` draws them with `test_size=share` and
    `random_state=seed`; with `labels`, (samples,), each class has the same share. Raises
    ValueError where one of both would have none.
    """
    if labels is not None:
        _, counts = np.unique(labels, return_counts=True)
        if counts.min() < 2:
            raise BadValue(
                "y",
                "there is a class with one sample, which cannot be for training and for "
                "validation: leave it out, or give validation data of its own",
            )
    count, least = math.ceil(share * samples), 1 if labels is None else len(counts)
    if not least <= count <= samples - least:
        why = f" of {least} classes" if labels is not None else ""
        raise BadValue(
            "validation",
            f"a share of {share} of {samples} samples{why} cannot be: {count} would be "
            f"for validation and {samples - count} for training",
        )
    from sklearn.model_selection import train_test_split

    training, validation = train_test_split(
        np.arange(samples), test_size=share, random_state=seed, stratify=labels
    )
    return training, validation
