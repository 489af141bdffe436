"""What is to be predicted: numbers, or classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.dataset.numbers import numbers
from runner.dataset.table import first_text, is_frame
from runner.errors import BadValue

NUMBERS = "numbers"
ONE_OF_TWO = "one of two classes"
SIGNS = "one of two signs"
CLASSES = "classes"
ANYTHING = "anything"
"""What a loss wants y to be; of a loss of somebody's own, nobody knows."""


IGNORED = -100
"""In the place of a class's number: the sample has none, as PyTorch's losses have it."""

OF_CLASSES = (str, bool, np.bool_, bytes)
"""What tells classes, and is no number."""

NUMBER, TEXT = "number", "text"
"""What the type of a target may be stated as."""

OF_TEXT = "for classes, loss=bce tells two apart, loss=cross_entropy several"


class Target(NamedTuple):
    """y as a loss takes it."""

    values: NDArray[Any]
    """(samples,) or (samples, outputs), float64; the numbers of classes, (samples,), int64"""
    classes: tuple[str, ...]
    """Their names, in the order of their numbers, where the task is classification"""

    def rows(self, chosen: Any) -> "Target":
        """That of these samples."""
        return self._replace(values=self.values[chosen])


def target(
    given: Any,
    wanted: str,
    name: str,
    *,
    are_classes: bool = False,
    ignored: str | None = None,
) -> Target:
    """What was given for y, for a loss that wants such. Raises ValueError where it does not fit.

    `are_classes`: whether the dataset says that its numbers are classes; text and true and false
    are anyway. Samples whose label is `ignored` have no class.
    """
    text_serves = are_classes or wanted not in (NUMBERS, SIGNS)
    labels = _labels(given, name) if text_serves else None
    if labels is None:
        values = _values(given, name)
        if not are_classes and wanted in (NUMBERS, SIGNS, ANYTHING):
            return Target(values, ())
        if values.ndim == 2:
            if wanted != CLASSES or _are_whole(values):
                raise BadValue(name, expected="one class a sample", got=values.shape[1])
            return Target(values, ())
        if wanted == ONE_OF_TWO and not are_classes and _are_shares(values):
            return Target(values, ())
        if not np.isfinite(values).all():  # told where all numbers are
            return Target(values, ())
        if not _are_whole(values):
            odd = values[values != np.round(values)][0]
            raise BadValue(name, f"the loss takes classes, and {odd:g} is none")
        labels = _whole(given, values)
        if not are_classes:
            _check_few(len({*labels.tolist()}), len(labels), wanted, name)
    return _of_classes(labels, wanted, name, ignored)


def are_numbered(classes: Sequence[str]) -> bool:
    """Return whether the labels are their own numbers: 0, 1, 2, ..., or false and true."""
    return [*classes] in ([str(number) for number in range(len(classes))], ["False", "True"])


def _check_few(classes: int, samples: int, wanted: str, name: str) -> None:
    """Refuse numbers that nobody has called classes where they are hardly some.

    Where they are more than half as many as the samples scikit-learn warns of them, too.
    """
    if wanted == ONE_OF_TWO and classes > 2:
        raise BadValue(
            name,
            f"the loss tells two classes apart, and here are {classes} numbers: "
            "loss=mse, or for classes loss=cross_entropy",
        )
    if 2 * classes > samples and classes > 2:
        raise BadValue(
            name,
            f"the loss takes classes, and here are {classes} numbers in {samples} samples: "
            "loss=mse, or +dataset.classes=true where they are classes",
        )


def _of_classes(labels: NDArray[Any], wanted: str, name: str, ignored: str | None) -> Target:
    distinct, places = np.unique(labels, return_inverse=True)
    counts = np.array([str(label) != ignored for label in distinct])
    codes = np.where(counts, np.cumsum(counts) - 1, IGNORED)[places]
    classes = tuple(map(str, distinct[counts]))
    if wanted == ANYTHING and distinct.dtype.kind in "iO" and distinct[counts][:1] < 0:
        first = classes[0]
        raise BadValue(
            name,
            f"holds the label {first}, and a user-defined loss takes classes by their "
            f"numbers from 0: +loss.ignore_index={first} where such samples have no class (the "
            f"loss then takes {IGNORED} for it), else number the classes from 0",
        )
    shown = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
    if len(classes) < 2:
        raise BadValue(name, f"expected several classes, and all are {shown}")
    if wanted == ONE_OF_TWO and len(classes) > 2:
        raise BadValue(
            name,
            f"the loss tells two classes apart, and here are {len(classes)} ({shown}): "
            "loss=cross_entropy, with model=softmax or model=mlp",
        )
    if wanted in (NUMBERS, SIGNS) and len(classes) > 2:
        raise BadValue(
            name,
            f"the loss takes numbers, and here are {len(classes)} classes ({shown}): "
            "loss=cross_entropy, with model=softmax or model=mlp",
        )
    codes = 2 * codes - 1 if wanted == SIGNS else codes
    kind = np.float64 if wanted in (ONE_OF_TWO, NUMBERS, SIGNS) else np.int64
    return Target(codes.astype(kind), classes)


def known(given: Any, wanted: str, name: str, like: Target, ignored: str | None = None) -> Target:
    """The same for validation data: with the classes that the training data have."""
    if not like.classes:
        like_training = target(given, wanted, name)
        if like_training.classes:
            raise BadValue(name, "holds classes, and the training data have numbers")
        return like_training
    labels = _labels(given, name)
    if labels is None:
        values = _values(given, name)
        if values.ndim != 1:
            raise BadValue(name, expected="one class a sample", got=values.shape[1:])
        labels = _whole(given, values) if _are_whole(values) else values
    first = -1 if wanted == SIGNS else 0
    codes = {label: first + number * (1 - first) for number, label in enumerate(like.classes)}
    codes |= {} if ignored is None else {ignored: IGNORED}
    distinct, places = np.unique(labels, return_inverse=True)
    truth = {"True": "true", "False": "false"}  # as a table of text has it beside other words
    texts = [*map(str, distinct)]
    names = [text if text in codes else truth.get(text, text) for text in texts]
    if strange := [text for text, label in zip(texts, names, strict=True) if label not in codes]:
        shown = ", ".join(like.classes[:5])
        raise BadValue(name, f"{strange[0]} is none of the classes trained on ({shown})")
    numbered = np.array([codes[label] for label in names], like.values.dtype)
    return Target(numbered[places], like.classes)


def _values(given: Any, name: str) -> NDArray[Any]:
    """(samples,) or (samples, outputs), float64."""
    if is_frame(given):
        try:
            kinds = [given.dtype] if given.ndim == 1 else given.dtypes
            if any(getattr(kind, "kind", "O") in "mM" for kind in kinds):
                raise TypeError("a time is no number")
            values: NDArray[Any] = given.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            columns = [given] if given.ndim == 1 else [one for _, one in given.items()]
            where = next(filter(None, map(first_text, columns)))
            raise BadValue(name, f"expected numbers, got {where}: {OF_TEXT}") from error
    else:
        values = numbers(given, name)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim not in (1, 2):
        raise BadValue(
            name, expected="the shape (samples,) or (samples, outputs)", got=values.shape
        )
    return values


def _labels(given: Any, name: str) -> NDArray[Any] | None:
    """Classes that are told by text, or by true and false; None where y is numbers."""
    if is_frame(given):
        if given.ndim == 2 and given.shape[1] != 1:
            return None
        given = given if given.ndim == 1 else given.iloc[:, 0]
        kind = getattr(given.dtype, "kind", "O")
        if kind in "iuf":
            return None
        labels = given.to_numpy(object)
    else:
        labels = np.asarray(given, None if hasattr(given, "dtype") else object)
        if labels.dtype.kind not in "OUSb" or labels.ndim != 1:
            return None
    if labels.dtype.kind == "O" and not any(isinstance(one, OF_CLASSES) for one in labels):
        return None
    for row, one in enumerate(labels.tolist(), 1):
        if not isinstance(one, OF_CLASSES):
            raise BadValue(name, f"holds {one!r} in row {row}, among classes that are text")
    told: NDArray[Any] = labels.astype(str)
    return told


def _whole(given: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Return the whole numbers, (samples,), exactly; `values` are the same as float64."""
    column = given.iloc[:, 0] if is_frame(given) and given.ndim == 2 else given
    if is_frame(column):
        is_plain = isinstance(column.dtype, np.dtype)
        column = column.to_numpy() if is_plain else column.to_numpy(object)
    column = np.asarray(column, None if hasattr(column, "dtype") else object).reshape(-1)
    if column.dtype.kind in "iu":
        return column
    exact = [int(one) for one in column.tolist()] if column.dtype.kind in "Of" else values.tolist()
    size = max(map(abs, exact), default=0)
    return np.array(exact, np.int64 if size < 2**63 else object)


def _are_whole(values: NDArray[Any]) -> bool:
    return bool((values == np.round(values)).all())


def _are_shares(values: NDArray[Any]) -> bool:
    """Whether they are probabilities, and not classes: from 0 to 1, and not whole."""
    return bool(((values >= 0) & (values <= 1)).all()) and not _are_whole(values)
