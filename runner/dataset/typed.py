"""Columns of a table as pandas has them, exactly: whole numbers stay whole, whatever their size."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from pandas import DataFrame, Series

NUMBER, TEXT = "number", "text"
"""What the type of a target may be stated as."""

TRUE, FALSE = ("1", "True", "TRUE", "true"), ("0", "False", "FALSE", "false")
"""How tables as text write them."""

EXACT = 2**53
"""Up to here float64 has every whole number."""


def columns(table: "pa.Table") -> "DataFrame":
    """Return the columns, those with gaps in a type that has gaps beside its own values.

    What pandas has written of an index beside them is left out.
    """
    import pandas
    import pyarrow as pa

    integers = {
        getattr(pa, name.lower())(): getattr(pandas, f"{name}Dtype")()
        for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    }
    kinds = {**integers, pa.bool_(): pandas.BooleanDtype()}
    with_gaps = [name for name in table.column_names if table[name].null_count]
    frame = table.to_pandas(ignore_metadata=True)
    for name in with_gaps:
        if table[name].type in kinds:
            whole = table.select([name]).to_pandas(ignore_metadata=True, types_mapper=kinds.get)
            frame[name] = whole[name]
    return frame


def read(column: "pa.ChunkedArray", kind: str | None, decimal: str, name: str) -> "Series":
    """Return a column of text as what it holds: numbers, true and false, or text.

    `kind` is what it is stated to be; None where its own values tell. An empty field is a gap; so
    is any other word for one, NA say, but in what is stated to be text. Raises ValueError for what
    is stated to be numbers, and is not.
    """
    import pandas
    import pyarrow as pa
    from pyarrow import compute, csv

    words = [""] if kind == TEXT else csv.ConvertOptions().null_values
    gaps = compute.is_in(column, pa.array(words))
    column = compute.if_else(gaps, pa.scalar(None, pa.string()), column)
    if kind != TEXT:
        numbers = _numbers(column, decimal)
        if numbers is not None:
            return numbers
    if kind == NUMBER:
        row, text = next(
            (row, text)
            for row, text in enumerate(column.to_pylist(), 1)
            if text is not None
            and _numbers(pa.chunked_array([[text]], pa.string()), decimal) is None
        )
        raise ValueError(f"target_type: expected numbers in {name}, got {text!r} in row {row}")
    seen = {*compute.drop_null(column.unique()).to_pylist()}
    if kind is None and seen and seen <= {*TRUE, *FALSE}:
        values = [None if text is None else text in TRUE for text in column.to_pylist()]
        return pandas.Series(values, dtype="boolean" if None in values else bool)
    return pandas.Series(column.to_pylist(), dtype=object)


def _numbers(column: "pa.ChunkedArray", decimal: str) -> "Series | None":
    """Return the text as numbers; None where some of it is none."""
    import pandas
    import pyarrow as pa
    from pyarrow import compute

    column = compute.utf8_trim_whitespace(column)
    if decimal != ".":
        if compute.any(compute.match_substring(column, ".")).as_py():
            return None
        column = compute.replace_substring(column, decimal, ".")
    if compute.any(compute.match_substring_regex(column, "[xX]")).as_py():
        return None  # 0x10
    try:
        return columns(pa.table({"numbers": compute.cast(column, pa.int64())}))["numbers"]
    except pa.ArrowInvalid:  # with a point or an exponent, too large, or no number at all
        pass
    try:
        found = compute.cast(column, pa.float64()).to_pandas()
    except pa.ArrowInvalid:
        return None
    if not (np.abs(found) >= EXACT).any():
        return found
    return pandas.Series([_exact(text) for text in column.to_pylist()], dtype=object)


def _exact(text: str | None) -> Any:
    """Return a whole number as an int, with all of its digits, and any other as a float."""
    number = None if text is None else Decimal(text)
    if number is None or not number.is_finite() or not -1 <= number.adjusted() < 400:
        return None if text is None else float(text)
    return int(number) if number == number.to_integral_value() else float(number)


def as_text(table: "pa.Table", name: str) -> "pa.ChunkedArray":
    """Return a column as text, each number with all of its digits."""
    import pyarrow as pa
    from pyarrow import compute

    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = compute.cast(column, column.type.value_type)
    try:
        return compute.cast(column, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(
            f"categorical: {name} holds {column.type}, which is no category"
        ) from error
