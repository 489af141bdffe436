"""Tables of files, and their columns as pandas has them: exactly, whatever the size of a number."""

from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas
import pyarrow as pa
from pandas import DataFrame, Series
from pyarrow import compute, csv, parquet

from runner.dataset.numbers import shortly
from runner.dataset.target import NUMBER, TEXT
from runner.errors import BadValue

Names = str | Sequence[str]

TRUE, FALSE = ("1", "True", "TRUE", "true"), ("0", "False", "FALSE", "false")
"""How tables as text write them."""

EXACT = 2**53
"""Up to here float64 has every whole number."""

WITH_GAPS = {
    getattr(pa, name.lower())(): getattr(pandas, f"{name}Dtype")()
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
} | {pa.bool_(): pandas.BooleanDtype()}
"""The types of pandas that have gaps beside the values of Arrow's."""


def unpacked(place: Path, path: str, size: int, *, packed: bool) -> bytes:
    """Return the first `size` bytes of a file, unpacked where its name says that it is packed."""
    try:
        with pa.input_stream(str(place), compression="detect" if packed else None) as stream:
            content: bytes = stream.read(size)
    except OSError as error:  # as pyarrow says it of a damaged file as well
        raise BadValue("path", f"{path} cannot be read: {shortly(error)}") from error
    return content


def of_text(
    content: bytes, path: str, separator: str, decimal: str, texts: Sequence[str]
) -> pa.Table:
    """Return a table from CSV, the columns `texts` as the text that stands there."""
    try:
        return csv.read_csv(
            pa.BufferReader(content),
            csv.ReadOptions(block_size=max(len(content), 1), use_threads=False),
            csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            csv.ConvertOptions(
                decimal_point=decimal,
                strings_can_be_null=False,  # NA may be the name of a category
                column_types=dict.fromkeys(texts, pa.string()),
            ),
        )
    except pa.ArrowException as error:
        raise BadValue("path", f"{path} cannot be read as CSV: {shortly(error)}") from error


def of_parquet(content: bytes, path: str) -> tuple[pa.Table, list[str]]:
    """Return the table, each named index of pandas among its columns, and which columns those are.

    Of an index of even numbers pandas writes start, stop and step, in the place of a column.
    """
    try:
        table = parquet.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise BadValue("path", f"{path} cannot be read as Parquet: {shortly(error)}") from error
    try:
        levels = (table.schema.pandas_metadata or {}).get("index_columns", [])
        index = [level for level in levels if level in table.column_names]
        for level in levels:
            name = level.get("name") if isinstance(level, dict) else None
            if not isinstance(name, str) or name in table.column_names:
                continue
            values = range(level["start"], level["stop"], level["step"])
            if len(values) == table.num_rows:
                table = table.append_column(name, pa.array(values, pa.int64()))
                index.append(name)
    except (AttributeError, KeyError, TypeError, ValueError):  # another program has written there
        return table, []
    return table, index


def divided(
    table: pa.Table,
    path: str,
    target: Names,
    features: Names | None,
    categorical: Names | None,
    index: Sequence[str] = (),
) -> tuple[DataFrame, pa.Table]:
    """Return the columns of features, and those of the target.

    An `index` is a feature only where `features` names it.
    """
    there = table.column_names
    if twice := sorted({name for name in there if there.count(name) > 1}):
        raise BadValue("path", f"{path} has several columns called {', '.join(map(repr, twice))}")
    targets = _existing(names(target, "target"), there, "target")
    if not targets:
        raise BadValue("target", f"expected the name of a column: {', '.join(there)}")
    if features is None:
        chosen = [name for name in there if name not in targets and name not in index]
        if unnamed := [
            number for number, name in enumerate(there, 1) if name in chosen and not name.strip()
        ]:
            raise BadValue(
                "features",
                f"column {unnamed[0]} of {path} has no name, as an index that pandas has "
                "written: name the features, or write the file with index=False",
            )
    else:
        chosen = _existing(names(features, "features"), there, "features")
    if both := [name for name in chosen if name in targets]:
        raise BadValue("features", f"{both[0]} is the target")
    if not chosen:
        raise BadValue("features", "expected the name of a column at least")
    if not table.num_rows:
        raise BadValue("path", f"{path} has no rows")
    categories = _existing(sorted({*names(categorical, "categorical")}), there, "categorical")
    if others := [name for name in categories if name not in chosen]:
        raise BadValue("categorical", f"{others[0]} is none of the features")
    for key, columns in (("features", chosen), ("target", targets)):
        for name in columns:
            if pa.types.is_nested(table[name].type):
                raise BadValue(
                    key,
                    f"the column {name} holds {table[name].type}, several values in each "
                    "row: leave it out, or write a column of numbers for each of them",
                )
    frame = table.select(chosen).to_pandas(ignore_metadata=True)
    for name in chosen:
        if name in categories or pa.types.is_string(table[name].type):
            frame[name] = _text(table, name)
        if name in categories:
            frame[name] = frame[name].astype("category")
    return frame, table.select(targets)


def names(value: Names | None, key: str) -> list[str]:
    """Return names of columns as a list. Raises ValueError for what is none."""
    listed = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise BadValue(key, expected="names of columns", got=repr(value))
    return list(listed)


def _existing(columns: Sequence[str], there: Sequence[str], key: str) -> list[str]:
    """Return the names. Raises ValueError for a column that is not there, or is named twice."""
    for name in columns:
        if name not in there:
            near = get_close_matches(name, there, 1)
            meant = f"; {near[0]} perhaps" if near else ""
            raise BadValue(key, f"no column {name}, only {', '.join(there)[:300]}{meant}")
    if twice := [name for name in columns if list(columns).count(name) > 1]:
        raise BadValue(key, f"{twice[0]} is named twice")
    return list(columns)


def exact(table: pa.Table) -> DataFrame:
    """Return the columns, those with gaps in a type that has gaps beside its own values."""
    frame = table.to_pandas(ignore_metadata=True)
    for name in table.column_names:
        if table[name].null_count and table[name].type in WITH_GAPS:
            whole = table.select([name])
            frame[name] = whole.to_pandas(ignore_metadata=True, types_mapper=WITH_GAPS.get)[name]
    return frame


def read(table: pa.Table, kind: str | None, decimal: str) -> DataFrame:
    """Return columns of text as what they hold: numbers, true and false, or text.

    `kind` is what they are stated to be; None where their own values tell. An empty field is a gap;
    so is any other word for one, NA say, but in what is stated to be text. Raises ValueError for
    text where numbers are stated.
    """
    return DataFrame({name: _read(table[name], kind, decimal, name) for name in table.column_names})


def _read(column: pa.ChunkedArray, kind: str | None, decimal: str, name: str) -> Series:
    words = [""] if kind == TEXT else csv.ConvertOptions().null_values
    column = _without(column, words)
    if kind != TEXT:
        numbers = _numbers(column, decimal)
        if numbers is not None:
            return numbers
    texts = column.to_pylist()
    if kind == NUMBER:
        for row, text in enumerate(texts, 1):
            if _numbers(pa.chunked_array([[text]], pa.string()), decimal) is None:
                message = f"expected numbers in {name}, got {text!r} in row {row}"
                raise BadValue("target_type", f"{message}")
    distinct = {*texts} - {None}
    if kind is None and distinct and distinct <= {*TRUE, *FALSE}:
        values = [None if text is None else text in TRUE for text in texts]
        return Series(values, dtype="boolean" if None in values else bool)
    return Series(texts, dtype=object)


def _without(column: pa.ChunkedArray, words: Sequence[str]) -> pa.ChunkedArray:
    """Return the column of text with gaps in the place of these words."""
    gaps = compute.is_in(column, pa.array(words))
    return compute.if_else(gaps, pa.scalar(None, pa.string()), column)


def _numbers(column: pa.ChunkedArray, decimal: str) -> Series | None:
    """Return the text as numbers; None where some of it is none."""
    column = compute.utf8_trim_whitespace(column)
    if decimal != ".":
        if compute.any(compute.match_substring(column, ".")).as_py():
            return None
        column = compute.replace_substring(column, decimal, ".")
    if compute.any(compute.match_substring_regex(column, "[xX]")).as_py():
        return None  # 0x10
    try:
        return exact(pa.table({"numbers": compute.cast(column, pa.int64())}))["numbers"]
    except pa.ArrowInvalid:  # with a point or an exponent, too large, or no number at all
        pass
    try:
        values = compute.cast(column, pa.float64()).to_pandas()
    except pa.ArrowInvalid:
        return None
    if not (np.abs(values) >= EXACT).any():
        return values
    return Series([_exact(text) for text in column.to_pylist()], dtype=object)


def _exact(text: str | None) -> int | float | None:
    """Return a whole number as an int, with all of its digits, and any other as a float."""
    if text is None:
        return None
    number = Decimal(text)
    if not number.is_finite() or not -1 <= number.adjusted() < 400:
        return float(text)
    return int(number) if number == number.to_integral_value() else float(number)


def _text(table: pa.Table, name: str) -> Series:
    """Return a column as text, each number with all of its digits; an empty field is a gap."""
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = compute.cast(column, column.type.value_type)
    try:
        return _without(compute.cast(column, pa.string()), [""]).to_pandas()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadValue(
            "categorical", f"{name} holds {column.type}, which is no category"
        ) from error
