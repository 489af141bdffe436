"""Datasets of your own: tables as CSV or Parquet, arrays of NumPy's; read without pickle.

A relative path is one of the folder where the command was started.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runner.base import project
from runner.dataset.numbers import shortly
from runner.errors import BadValue

if TYPE_CHECKING:
    from pandas import DataFrame

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
    from runner.dataset import columns

    place, content = _content(path)
    separator = "\t" if separator == r"\t" else separator
    if separator is None:
        separator = "\t" if ".tsv" in place.suffixes else ","
    for name, value in (("separator", separator), ("decimal", decimal)):
        is_one = isinstance(value, str) and len(value.encode()) == 1
        if not is_one or not (value.isprintable() or value == "\t"):
            raise BadValue(name, expected="one character", got=repr(value))
    if separator == decimal:
        raise BadValue("separator and decimal", f"expected two characters, got {decimal!r} twice")
    content = _as_utf8(content, encoding, path)
    if b"\0" in content[:100_000]:
        raise BadValue(
            "path",
            f"{path} is no text: it holds bytes that are 0 (.gz and .bz2 are unpacked; "
            "encoding=utf-16 is another one's)",
        )
    if not content.strip():
        raise BadValue("path", f"{path} is empty")
    texts = [*columns.names(categorical, "categorical"), *columns.names(target, "target")]
    table = columns.of_text(content, path, separator, decimal, texts)
    if table.num_columns == 1 and (other := _other_separator(table.column_names[0], separator)):
        only = table.column_names[0]
        raise BadValue("path", f"{path} has one column, {only}: dataset.separator={other} perhaps")
    x, targets = columns.divided(table, path, target, features, categorical)
    return x, columns.read(targets, target_type, decimal)


def _as_utf8(content: bytes, encoding: str, path: str) -> bytes:
    """The text as UTF-8. Raises ValueError where it is not in that encoding."""
    try:
        return content.decode(encoding).encode()
    except (LookupError, TypeError) as error:
        raise BadValue("encoding", expected="one that Python has", got=repr(encoding)) from error
    except UnicodeError as error:
        raise BadValue(
            "path",
            f"{path} is no text in {encoding}: {shortly(error)}: "
            "dataset.encoding=latin-1, or whatever it is in",
        ) from error


def parquet(
    *, path: str, target: Names, features: Names | None = None, categorical: Names | None = None
) -> tuple["DataFrame", "DataFrame"]:
    """A table as Parquet; see `csv`.

    An index that pandas has written is no feature unless `features` names it.
    """
    from runner.dataset import columns

    _, content = _content(path, packed=False)
    table, index = columns.of_parquet(content, path)
    x, targets = columns.divided(table, path, target, features, categorical, index)
    return x, columns.exact(targets)


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
        raise BadValue("path", f"{path} cannot be read as .npz: {shortly(error)}") from error


def _regular(path: str) -> Path:
    """The file, absolute. Raises ValueError unless there is one, of a size that can be held."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise BadValue("path", expected="the path of a file", got=repr(path))
    place = project.folder() / Path(path).expanduser()
    try:
        if not place.exists():
            raise BadValue("path", f"there is no file {path} in {project.folder()}")
        if not place.is_file():  # to read from a pipe may take for ever
            raise BadValue("path", f"{path} is no file")
        size = place.stat().st_size
    except OSError as error:
        raise BadValue("path", f"{path} cannot be read: {error.strerror}") from error
    if size > (most := _most_bytes()):
        raise BadValue("path", f"{path} has {size:,} bytes, and there is room for {most:,}")
    return place


def _content(path: str, *, packed: bool = True) -> tuple[Path, bytes]:
    """The file's bytes, unpacked where its name says that they are packed."""
    from runner.dataset import columns

    place, most = _regular(path), _most_bytes()
    content = columns.unpacked(place, path, most + 1, packed=packed)
    if len(content) > most:
        raise BadValue("path", f"{path} unpacks to more than the {most:,} bytes that have room")
    return place, content


def _most_bytes() -> int:
    if not hasattr(os, "sysconf"):  # Windows
        return 2**30
    return min(2**31 - 1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE)


def _other_separator(header: str, separator: str) -> str:
    return next((f'"{one}"' for one in ";\t|," if one in header and one != separator), "")
