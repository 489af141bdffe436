"""Features as columns with names, whatever they were given as: lists, arrays, a DataFrame."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.base.arrays import Array
from runner.dataset.numbers import is_missing, numbers
from runner.errors import BadValue


class Table(NamedTuple):
    """Features, a column each."""

    values: Array
    """(samples, features), float64, NaN where one is missing"""
    names: tuple[str, ...]
    """Of the columns; empty where they have none"""
    is_number: NDArray[np.bool_]
    """(features,): False for one of a category's columns, which hold 0 and 1"""
    sources: tuple[str, ...] = ()
    """The column that was given for each; empty where they have no names"""

    def rows(self, chosen: Any) -> "Table":
        """The table with these samples."""
        return self._replace(values=self.values[chosen])

    def called(self, column: int) -> str:
        """What a message calls that column."""
        return self.sources[column] if self.sources else str(column + 1)


def is_frame(given: Any) -> bool:
    """Whether it is a DataFrame, or a Series, of pandas."""
    return type(given).__module__.partition(".")[0] == "pandas" and hasattr(given, "index")


def table(given: Any, name: str, like: Table | None = None) -> Table:
    """What was given for the features. Raises ValueError for what is no number and no category.

    A DataFrame's column of categories becomes a column of 0 and 1 for each. `like` is the table
    of the training data, for validation data: the columns are brought into its order.
    """
    if is_frame(given):
        made = _of_frame(given, name)
    else:
        x = numbers(given, name)
        x = x[:, None] if x.ndim == 1 else x
        if x.ndim != 2:
            raise BadValue(
                name, expected="the shape (samples,) or (samples, features)", got=x.shape
            )
        made = Table(x, (), np.ones(x.shape[1], bool))
    return made if like is None else _in_order(made, like, name)


def _of_frame(frame: Any, name: str) -> Table:
    if frame.ndim == 1:
        frame = frame.to_frame()
    names = [str(column) for column in frame.columns]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise BadValue(name, f"several columns are called {', '.join(twice)}")
    columns: list[Array] = []
    told: list[str] = []
    sources: list[str] = []
    are_numbers: list[bool] = []
    for label, (_, series) in zip(names, frame.items(), strict=True):
        if hasattr(series, "cat"):
            each = _one_hot(series)
            columns += each.values()
            told += [f"{label}={category}" for category in each]
            sources += [label] * len(each)
            are_numbers += [False] * len(each)
        else:
            columns.append(_numbers(series, name, label))
            told.append(label)
            sources.append(label)
            are_numbers.append(True)
    if twice := [one for one, count in Counter(told).items() if count > 1]:
        raise BadValue(name, f"several categories are called {', '.join(twice)}")
    values = np.stack(columns, axis=1) if columns else np.empty((len(frame), 0))
    return Table(values, tuple(told), np.array(are_numbers, bool), tuple(sources))


def _one_hot(series: Any) -> dict[Any, Array]:
    """For each category a column; NaN in all of them where it is missing."""
    series = series.cat.remove_unused_categories()
    codes = series.cat.codes.to_numpy()
    missing = np.where(codes < 0, np.nan, 0.0)
    return {
        category: (codes == number) + missing
        for number, category in enumerate(series.cat.categories)
    }


def _numbers(series: Any, name: str, label: str) -> Array:
    if getattr(series.dtype, "kind", "O") in "iufb":  # pandas' own kinds of numbers have it as well
        values: Array = series.to_numpy(np.float64, na_value=np.nan)
        return values
    made = np.full(len(series), np.nan)
    for row, value in enumerate(series.to_numpy(object)):
        if is_missing(value):
            continue
        if not isinstance(value, bool | np.bool_ | Real | Decimal):
            where = first_text(series)
            raise BadValue(
                name,
                f"the column {label} holds {where}, which is no number: name the column "
                "in categorical (of a DataFrame, make it a category), or leave it out",
            )
        made[row] = float(value)
    return made


def first_text(series: Any) -> str:
    """What stands in a column that is no number, and in which row."""
    for row, value in enumerate(series.to_numpy(object), 1):
        if is_missing(value) or isinstance(value, Real):
            continue
        try:
            float(value)
        except (TypeError, ValueError):
            shown = repr(value) if isinstance(value, str) else str(value)
            return f"{shown[:80]} in row {row}"
    return "text"


def _in_order(own: Table, like: Table, name: str) -> Table:
    """The columns as the training data have them."""
    if not like.names and not own.names:
        if own.values.shape[1] != like.values.shape[1]:
            there, here = like.values.shape[1], own.values.shape[1]
            raise BadValue(name, expected=f"{there} features as for training", got=here)
        return own
    at = {column: number for number, column in enumerate(own.names)}
    if strange := _first(own.names, like.names):
        raise BadValue(name, f"holds {strange}, which the training data have not")
    columns = []
    for number, column in enumerate(like.names):
        if column in at:
            columns.append(own.values[:, at[column]])
        elif like.is_number[number]:
            raise BadValue(name, f"there is no column {column}, which the training data have")
        else:
            columns.append(np.zeros(len(own.values)))  # nothing here is of that category
    return Table(np.stack(columns, axis=1), like.names, like.is_number, like.sources)


def _first(names: Sequence[str], known: Sequence[str]) -> str:
    return next((name for name in names if name not in {*known}), "")
