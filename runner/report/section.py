"""A section of a page: words, and plots or a table."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Section(NamedTuple):
    """A heading, sentences, plots by Bokeh, and perhaps a table."""

    id: str
    title: str
    words: list[str]
    plots: list[Any]
    head: list[str]
    body: list[list[str]]


def section(
    id: str, title: str, words: list[str], plots: list[Any], table: Sequence[list[str]] = ()
) -> Section:
    """A section; the table's first row is its head."""
    return Section(id, title, words, plots, table[0] if table else [], list(table[1:]))
