"""Datasets of your own: tables as CSV or Parquet, arrays of NumPy's; read without pickle.

A relative path is one of the folder where the command was started.
"""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runner import project
from runner.dataset import typed

if TYPE_CHECKING:
    import pyarrow as pa
    from pandas import DataFrame, Series

SHARE = 8
"""A file may take one part in so many of this machine's memory: it is held several times."""

Names = str | Sequence[str]


def csv(
    *,
    path: str,
    target: Names,
    features: Names | None = None,
    categorical: Names | None = None,
    separator: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
    target_type: str | None = None,
) -> tuple["DataFrame", "DataFrame"]:
    """A table as text, its first line the names of the columns; also gzipped (`.gz`, `.bz2`).

    `target` names what is to be predicted, one column or several, `features` what it is predicted
    from: all others if None. A `categorical` feature becomes a column of 0 and 1 for each of its
    categories. `separator` is a comma if None, of a `.tsv` file a tab; `encoding`
    one of Python's. `target_type` says that the target is `number` or `text`; if None, its values
    do.
    """
    import pyarrow as pa
    from pandas import DataFrame
    from pyarrow import csv as arrow

    place, content = _content(path)
    separator = "\t" if separator == r"\t" else separator
    if separator is None:
        separator = "\t" if ".tsv" in place.suffixes else ","
    for name, value in (("separator", separator), ("decimal", decimal)):
        is_one = isinstance(value, str) and len(value.encode()) == 1
        if not is_one or not (value.isprintable() or value == "\t"):
            raise ValueError(f"{name}: expected one character, got {value!r}")
    if separator == decimal:
        raise ValueError(f"separator and decimal: expected two characters, got {decimal!r} twice")
    content = _as_utf8(content, encoding, path)
    if b"\0" in content[:100_000]:
        raise ValueError(
            f"path: {path} is no text: it holds bytes that are 0 (.gz and .bz2 are unpacked; "
            "encoding=utf-16 is another one's)"
        )
    if not content.strip():
        raise ValueError(f"path: {path} is empty")
    chosen, targets = {*_names(categorical, "categorical")}, _names(target, "target")
    try:
        made = arrow.read_csv(
            pa.BufferReader(content),
            arrow.ReadOptions(block_size=max(len(content), 1), use_threads=False),
            arrow.ParseOptions(delimiter=separator, newlines_in_values=True),
            arrow.ConvertOptions(
                decimal_point=decimal,
                strings_can_be_null=False,  # NA may be the name of a category
                column_types=dict.fromkeys([*chosen, *targets], pa.string()),
            ),
        )
    except pa.ArrowException as error:
        raise ValueError(f"path: {path} cannot be read as CSV: {_shortly(error)}") from error
    if made.num_columns == 1 and (other := _other_separator(made.column_names[0], separator)):
        only = made.column_names[0]
        raise ValueError(f"path: {path} has one column, {only}: dataset.separator={other} perhaps")
    x, wanted = _divided(made, path, target, features, chosen)
    y = DataFrame(
        {name: typed.read(wanted[name], target_type, decimal, name) for name in wanted.column_names}
    )
    return x, y


def _as_utf8(content: bytes, encoding: str, path: str) -> bytes:
    """The text as UTF-8. Raises ValueError where it is not in that encoding."""
    try:
        return content.decode(encoding).encode()
    except (LookupError, TypeError) as error:
        raise ValueError(f"encoding: expected one that Python has, got {encoding!r}") from error
    except UnicodeError as error:
        raise ValueError(
            f"path: {path} is no text in {encoding}: {_shortly(error)}: "
            "dataset.encoding=latin-1, or whatever it is in"
        ) from error


def parquet(
    *, path: str, target: Names, features: Names | None = None, categorical: Names | None = None
) -> tuple["DataFrame", "DataFrame"]:
    """A table as Parquet; see `csv`.

    An index that pandas has written is no feature unless `features` names it.
    """
    import pyarrow as pa
    from pyarrow import parquet as arrow

    _, content = _content(path, packed=False)
    try:
        made = arrow.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"path: {path} cannot be read as Parquet: {_shortly(error)}") from error
    made, index = _with_index(made)
    chosen = {*_names(categorical, "categorical")}
    x, wanted = _divided(made, path, target, features, chosen, index)
    return x, typed.columns(wanted)


def _with_index(made: "pa.Table") -> tuple["pa.Table", list[str]]:
    """The table with each index that pandas has written, and has named, as a column; and which.

    Of an index of even numbers pandas writes first, last and step, in the place of a column.
    """
    import pyarrow as pa

    try:
        levels = (made.schema.pandas_metadata or {}).get("index_columns", [])
    except ValueError:  # another program has written there
        return made, []
    names = [level for level in levels if level in made.column_names]
    for level in levels:
        name = level.get("name") if isinstance(level, dict) else None
        if isinstance(name, str) and name not in made.column_names:
            values = range(level["start"], level["stop"], level["step"])
            made = made.append_column(name, pa.array(values, pa.int64()))
            names.append(name)
    return made, names


def npz(*, path: str, x: str = "x", y: str = "y") -> tuple[Any, Any]:
    """Two arrays of a file that `numpy.savez` has written, by their names."""
    place = _regular(path)
    try:
        opened = np.load(place, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise ValueError("it is one array, of numpy.save; two belong there, by numpy.savez")
        with opened as arrays:
            there = list(arrays.files)
            if missing := [name for name in (x, y) if name not in there]:
                raise ValueError(f"there is no array {missing[0]}, only {', '.join(there)}")
            return arrays[x], arrays[y]
    except Exception as error:  # NumPy raises whatever zipfile and its own readers do
        raise ValueError(f"path: {path} cannot be read as .npz: {_shortly(error)}") from error


def _regular(path: str) -> Path:
    """The file, absolute. Raises ValueError unless there is one, of a size that can be held."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f"path: expected the path of a file, got {path!r}")
    place = project.folder() / Path(path).expanduser()
    try:
        if not place.exists():
            raise ValueError(f"path: there is no file {path} in {project.folder()}")
        if not place.is_file():  # to read from a pipe may take for ever
            raise ValueError(f"path: {path} is no file")
        size = place.stat().st_size
    except OSError as error:
        raise ValueError(f"path: {path} cannot be read: {error.strerror}") from error
    if size > (most := _most_bytes()):
        raise ValueError(f"path: {path} has {size:,} bytes, and there is room for {most:,}")
    return place


def _content(path: str, *, packed: bool = True) -> tuple[Path, bytes]:
    """The file's bytes, unpacked where its name says that they are packed."""
    import pyarrow as pa

    place, most = _regular(path), _most_bytes()
    try:
        with pa.input_stream(str(place), compression="detect" if packed else None) as stream:
            content: bytes = stream.read(most + 1)
    except OSError as error:  # as pyarrow says it of a damaged file as well
        raise ValueError(f"path: {path} cannot be read: {_shortly(error)}") from error
    if len(content) > most:
        raise ValueError(f"path: {path} unpacks to more than the {most:,} bytes that have room")
    return place, content


def _most_bytes() -> int:
    if not hasattr(os, "sysconf"):  # Windows
        return 2**30
    return min(2**31 - 1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE)


def _divided(
    made: "pa.Table",
    path: str,
    target: Names,
    features: Names | None,
    categorical: set[str],
    index: Sequence[str] = (),
) -> tuple["DataFrame", "pa.Table"]:
    """The columns of features and those of the target; an `index` is for those that name it."""
    import pyarrow as pa

    there = made.column_names
    if twice := sorted({name for name in there if there.count(name) > 1}):
        raise ValueError(f"path: {path} has several columns called {', '.join(map(repr, twice))}")
    wanted = _known(_names(target, "target"), there, "target")
    if not wanted:
        raise ValueError(f"target: expected the name of a column: {', '.join(there)}")
    if features is None:
        chosen = [name for name in there if name not in wanted and name not in index]
    else:
        chosen = _known(_names(features, "features"), there, "features")
    if both := [name for name in chosen if name in wanted]:
        raise ValueError(f"features: {both[0]} is the target")
    if not chosen:
        raise ValueError("features: expected the name of a column at least")
    if not made.num_rows:
        raise ValueError(f"path: {path} has no rows")
    if odd := [
        name for name in _known(sorted(categorical), there, "categorical") if name not in chosen
    ]:
        raise ValueError(f"categorical: {odd[0]} is none of the features")
    for name, key in [
        *((name, "features") for name in chosen),
        *((one, "target") for one in wanted),
    ]:
        if (kind := made[name].type) and pa.types.is_nested(kind):
            raise ValueError(
                f"{key}: the column {name} holds {kind}, several values in each row: "
                "leave it out, or write a column of numbers for each of them"
            )
    frame = made.select(chosen).to_pandas(ignore_metadata=True)
    for name in chosen:
        if name in categorical or pa.types.is_string(made[name].type):
            frame[name] = _with_gaps(typed.as_text(made, name))
        if name in categorical:
            frame[name] = frame[name].astype("category")
    return frame, made.select(wanted)


def _with_gaps(text: "pa.ChunkedArray") -> "Series":
    """A column of text, in which an empty field is a gap."""
    import pyarrow as pa
    from pyarrow import compute

    gap = pa.scalar(None, pa.string())
    return compute.if_else(compute.equal(text, ""), gap, text).to_pandas()


def _names(given: Names | None, key: str) -> list[str]:
    own = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(own, list | tuple) or not all(isinstance(name, str) for name in own):
        raise ValueError(f"{key}: expected names of columns, got {given!r}")
    return list(own)


def _known(names: Sequence[str], there: Sequence[str], key: str) -> list[str]:
    for name in names:
        if name not in there:
            near = get_close_matches(name, there, 1)
            meant = f"; {near[0]} perhaps" if near else ""
            raise ValueError(f"{key}: no column {name}, only {', '.join(there)[:300]}{meant}")
    if twice := [name for name in names if list(names).count(name) > 1]:
        raise ValueError(f"{key}: {twice[0]} is named twice")
    return list(names)


def _other_separator(header: str, separator: str) -> str:
    return next((f'"{one}"' for one in ";\t|," if one in header and one != separator), "")


def _shortly(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
