"""The params in which runs differ, as the columns of a table."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

PARAM = "params."
"""Before a param that bears the name of another column, as MLflow has it in its tables."""


def informative(columns: Mapping[str, Sequence[Hashable]]) -> list[str]:
    """The names of the columns that tell the rows apart, less those that follow from earlier ones.

    A column follows if rows that are alike in all of those have one value in it.
    """
    told: list[str] = []
    places: list[Hashable] = []  # of each row, which other ones it is alike with so far
    for name, column in columns.items():
        if len(set(column)) < 2:
            continue
        places = places or [0] * len(column)
        both = list(zip(places, column, strict=True))
        if len(set(both)) > len(set(places)):
            told.append(name)
            numbers = {pair: number for number, pair in enumerate(dict.fromkeys(both))}
            places = [numbers[pair] for pair in both]
    return told


def distinct(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The names for columns beside those `others`: no two are alike."""
    taken, made = set(others), []
    for name in names:
        while name in taken:
            name = PARAM + name
        taken.add(name)
        made.append(name)
    return made
