"""From what a dataset's function returns to samples as a loop takes them."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.dataset.numbers import finite, is_missing, numbers
from runner.dataset.samples import Dataset, Samples, digest
from runner.dataset.split import split
from runner.dataset.table import Table, is_frame, table
from runner.dataset.target import IGNORED, NUMBER, TEXT, Target, are_numbered, known, target
from runner.errors import BadValue

ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""A deviation of no more than this share of the largest number is rounding."""

MISSING = ("drop", "mean", "median")
"""What `missing` may be, beside null: they are refused."""


class Wishes(NamedTuple):
    """What is to be made of a dataset: from its own node, and from the rest of the config."""

    dtype: str
    wanted: str
    """By the loss: see `runner.dataset.target`"""
    standardize: Any = False
    """Whether each number among the features gets mean 0 and standard deviation 1; y stays"""
    missing: Any = None
    classes: Any = None
    """Whether the numbers of y are classes; None: if the loss wants some"""
    target_type: str | None = None
    """What y is read as, see `runner.dataset.columns`; None: what it holds"""
    ignored: str | None = None
    """The label whose samples have no class"""
    probe: Any = None
    degree: int = 1
    """Of the powers of each feature that are features as well"""
    share: float | None = None
    """Of the samples, that is for validation"""
    seed: int = 0
    """From which that share is drawn"""


VALIDATION = "validation_data"
"""What the keys of validation data begin with"""

KEYS = ("standardize", "missing", "classes", "target_type", "probe")
"""The keys of every dataset's node; the rest is its function's own."""


class Part(NamedTuple):
    """The training data, or the validation data."""

    x: Table
    y: Target

    def rows(self, chosen: Any) -> "Part":
        return Part(self.x.rows(chosen), self.y.rows(chosen))


def prepare(given: tuple[Any, Any], wishes: Wishes, unseen: tuple[Any, Any] | None) -> Dataset:
    """Check the samples and bring them into the shapes and the dtype of the run.

    `unseen` is validation data of its own. What is learned of the features, means and deviations,
    is learned of the training data alone. Raises ValueError for what cannot be fitted.
    """
    _check(wishes)
    trained = _part(given, wishes)
    tried = None if unseen is None else _part(unseen, wishes, trained)
    _check_ignored(wishes.ignored, trained, tried)
    if wishes.share is not None:
        trained, tried = _divided(trained, wishes)
    point = _probe(wishes.probe, trained.x)
    x, more = trained.x.values, [] if tried is None else [tried.x.values]
    more += [] if point is None else [point]
    if wishes.missing in ("mean", "median"):
        x, more = _filled(trained.x, x, more, wishes.missing)
    scale = None
    if wishes.standardize:
        scale = _scale(trained.x, x)
        x, more = (x - scale[0]) / scale[1], [(one - scale[0]) / scale[1] for one in more]
    if wishes.degree > 1:
        x, more = powers(x, wishes.degree), [powers(one, wishes.degree) for one in more]
    names = trained.x.names if wishes.degree == 1 else ()
    dtype = wishes.dtype
    point = finite(more.pop(), "probe", dtype) if point is not None else None
    x, y = finite(x, "x", dtype, names), _typed(trained.y, "y", dtype)
    validation = None
    if tried is not None:
        unseen_x = finite(more.pop(), f"{VALIDATION}.x", dtype, names)
        validation = Samples(unseen_x, _typed(tried.y, f"{VALIDATION}.y", dtype))
    told = digest(x, y, point, *(validation or ()))
    of = trained.y.classes, validation, trained.x.names, scale, wishes.degree
    return Dataset(x, y, point, told, *of)


def _check(wishes: Wishes) -> None:
    if not isinstance(wishes.standardize, bool):
        raise BadValue("standardize", expected="true or false", got=repr(wishes.standardize))
    if wishes.missing is not None and wishes.missing not in MISSING:
        words = ", ".join(MISSING)
        raise BadValue("missing", expected=f"null or one of {words}", got=repr(wishes.missing))
    if wishes.classes is not None and not isinstance(wishes.classes, bool):
        raise BadValue("classes", expected="true, false or null", got=repr(wishes.classes))
    if wishes.target_type not in (None, NUMBER, TEXT):
        raise BadValue(
            "target_type", expected=f"{NUMBER}, {TEXT} or null", got=repr(wishes.target_type)
        )


def _check_ignored(label: str | None, *parts: Part | None) -> None:
    """Refuse to ignore a label that no sample has, where a number in its place may be meant."""
    classes = parts[0].y.classes if parts[0] else ()
    if label in (None, str(IGNORED)) or not classes or are_numbered(classes):
        return
    if not any(part is not None and (part.y.values == IGNORED).any() for part in parts):
        shown = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
        raise BadValue(
            "y", f"no sample has the label {label}, which loss.ignore_index names, only {shown}"
        )


def _part(given: tuple[Any, Any], wishes: Wishes, like: Part | None = None) -> Part:
    """The samples, those left out that are to be: as they are otherwise."""
    x_name, y_name = ("x", "y") if like is None else (f"{VALIDATION}.x", f"{VALIDATION}.y")
    if is_frame(given[0]) and is_frame(given[1]) and not given[0].index.equals(given[1].index):
        first, second = given[0].index, given[1].index
        at = next((f"row {n}: {a} and {b}" for n, (a, b) in _pairs(first, second) if a != b), "")
        raise BadValue(
            f"{x_name} and {y_name}",
            "the indexes of their rows differ"
            + (f" ({at})" if at else f" ({len(first)} and {len(second)} rows)")
            + ": y.loc[x.index] has y in the order of x, y.to_numpy() takes the rows as they stand",
        )
    x = table(given[0], x_name, None if like is None else like.x)
    missing: Any = np.isnan(x.values).any(axis=1)
    raw = _stated(given[1], wishes.target_type, y_name)
    if wishes.missing == "drop":
        missing = missing | _missing(raw, len(missing))
        x, raw = x.rows(~missing), _those(raw, ~missing)
    elif missing.any() and x.names and wishes.missing is None:
        row, column = np.argwhere(np.isnan(x.values))[0]
        choices = ", ".join(MISSING if x.is_number[column] else MISSING[:1])
        raise BadValue(
            x_name,
            f"nothing stands in row {row + 1}, column {x.called(column)}: "
            f"missing={choices} would do",
        )
    elif is_frame(raw) and (lost := _missing(raw, len(raw))).any():
        row = int(lost.argmax()) + 1
        raise BadValue(y_name, f"nothing stands in row {row}: missing=drop would do")
    if not len(x.values):
        left = ", now that rows are dropped where something is missing" if len(missing) else ""
        raise BadValue(x_name, f"there are no samples{left}")
    if like is None:
        are_classes = bool(wishes.classes) or wishes.target_type == TEXT
        ignored = wishes.ignored
        y = target(raw, wishes.wanted, y_name, are_classes=are_classes, ignored=ignored)
    else:
        y = known(raw, wishes.wanted, y_name, like.y, wishes.ignored)
    if x.values.size == 0 or len(y.values) != len(x.values):
        raise BadValue(
            f"{x_name} and {y_name}",
            f"expected the shapes (samples,) or (samples, features), and "
            f"(samples,) or (samples, outputs), got {x.values.shape} and {y.values.shape}",
        )
    if like is not None and y.values.shape[1:] != like.y.values.shape[1:]:
        raise BadValue(y_name, "expected as many outputs as for training")
    return Part(x, y)


def _pairs(first: Iterable[object], second: Iterable[object]) -> Iterable[Any]:
    """The labels of two indexes, row by row, counted from 1."""
    return enumerate(zip(first, second, strict=False), 1)


def _stated(raw: Any, kind: str | None, name: str) -> Any:
    """Y as what it is stated to be, text or numbers."""
    if kind is None:
        return raw
    values = raw.to_numpy(object) if is_frame(raw) else np.asarray(raw, object)
    if kind == TEXT:
        flat = [None if is_missing(one) else str(one) for one in values.reshape(-1)]
        texts = np.array(flat, object).reshape(values.shape)
        return texts[:, 0] if texts.ndim == 2 and texts.shape[1] == 1 else texts
    text = next((one for one in values.reshape(-1) if isinstance(one, str)), None)
    if text is not None:
        raise BadValue("target_type", f"expected numbers in {name}, got the text {text[:80]!r}")
    return raw


def _missing(raw: Any, samples: int) -> NDArray[np.bool_]:
    """(samples,): where y has no value."""
    values = np.asarray(raw, object).reshape(samples, -1) if len(raw) == samples else None
    if values is None:
        return np.zeros(samples, bool)
    lost: NDArray[np.bool_] = np.array([[is_missing(one) for one in row] for row in values])
    return np.asarray(lost.any(axis=1))


def _those(raw: Any, chosen: NDArray[np.bool_]) -> Any:
    """The samples of y that are chosen."""
    if hasattr(raw, "iloc"):
        return raw.iloc[np.flatnonzero(chosen)]
    return np.asarray(raw)[chosen] if len(raw) == len(chosen) else raw


def _divided(all_: Part, wishes: Wishes) -> tuple[Part, Part]:
    assert wishes.share is not None
    labels = _strata(all_.y.values) if all_.y.classes else None
    training, validation = split(len(all_.x.values), wishes.share, wishes.seed, labels)
    return all_.rows(training), all_.rows(validation)


def _strata(classes: NDArray[Any]) -> NDArray[Any]:
    """The classes; samples without one are a class of their own, but where it is one sample."""
    ignored = classes == IGNORED
    return np.where(ignored, classes[~ignored][0], classes) if ignored.sum() == 1 else classes


def _probe(probe: Any, x: Table) -> Array | None:
    """The point as (1, features)."""
    if probe is None:
        return None
    if isinstance(probe, Mapping):
        if {*map(str, probe)} != {*x.names}:
            raise BadValue("probe", f"expected a value for each of {', '.join(x.names)}")
        probe = [probe[name] for name in x.names]
    point = numbers(probe, "probe")
    if point.ndim > 1 or point.size != x.values.shape[1]:
        wanted = x.values.shape[1]
        raise BadValue("probe", expected=f"{wanted} number(s), one a feature", got=probe)
    return point.reshape(1, -1)


def _filled(of: Table, x: Array, more: list[Array], how: str) -> tuple[Array, list[Array]]:
    """The missing numbers filled with the training data's mean or median."""
    lost = np.isnan(x).any(axis=0)
    for one in more:
        lost = lost | np.isnan(one).any(axis=0)
    for column in np.flatnonzero(lost & ~of.is_number):
        named = of.called(int(column))
        raise BadValue("missing", f"{how} is for numbers, and {named} is a category: missing=drop")
    if (empty := np.isnan(x).all(axis=0)).any():
        raise BadValue("x", f"column {of.called(int(empty.argmax()))} has no number at all")
    with np.errstate(over="ignore"):
        fill = np.nanmean(x, axis=0) if how == "mean" else np.nanmedian(x, axis=0)
    made = [np.where(np.isnan(one), fill, one) for one in (x, *more)]
    return made[0], made[1:]


def _scale(of: Table, x: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each number; of what is none, 0 and 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = x.mean(axis=0), x.std(axis=0)
    if not np.isfinite(deviation[of.is_number]).all():
        finite(x, "x", "float64", of.names)  # which of them is no number
        raise BadValue("x", "holds numbers that are too large to be standardized")
    # Of equal numbers, the mean may differ from them in the last bit, and so has a deviation.
    constant = of.is_number & (deviation <= ROUNDING * np.abs(x).max(axis=0))
    if constant.any():
        which = [of.names[at] if of.names else int(at) for at in np.flatnonzero(constant)]
        others = f" and {len(which) - 5} more" if len(which) > 5 else ""
        raise BadValue("standardize", f"features {which[:5]}{others} are constant; set it to false")
    return np.where(of.is_number, mean, 0), np.where(of.is_number, deviation, 1)


def powers(x: Array, degree: int) -> Array:
    """(samples, degree * features): x, then x^2 of each, up to x^degree."""
    with np.errstate(over="ignore"):
        return np.hstack([x**power for power in range(1, degree + 1)])


def _typed(y: Target, name: str, dtype: str) -> NDArray[Any]:
    return y.values if y.values.dtype.kind == "i" else finite(y.values, name, dtype)
