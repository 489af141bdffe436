"""The params in which runs differ, as the columns of a table."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from runner.base.seeds import is_seed
from runner.base.text import number_of

PARAM = "params."
"""Before a param that bears the name of another column, as MLflow has it in its tables."""


def informative(
    columns: Mapping[str, Sequence[Hashable]], chosen: Collection[str] = ()
) -> list[str]:
    """The names of the columns that tell the rows apart, less those that follow from earlier ones.

    A column follows if it is another one, or if rows that are alike in all of those have one value
    in it. Where no two rows are alike, as in samples of numbers, that says nothing, and those count
    that are not numbers. What is `chosen` follows from nothing.
    """
    told, values = [], set[Sequence[Hashable]]()
    places = options = _Alike()
    for name, column in columns.items():
        if len(set(column)) < 2:
            continue
        by = options if places.are_none(column) else places
        if name not in chosen and (tuple(column) in values or by.tell(column)):
            continue
        told.append(name)
        values.add(tuple(column))
        places = places.and_by(column)
        if all(number_of(str(value)) is None for value in column):
            options = options.and_by(column)
    return told


class _Alike:
    """Of each row, which other ones it is alike with."""

    def __init__(self, places: Sequence[int] = ()) -> None:
        self._places = places

    def are_none(self, column: Sequence[Hashable]) -> bool:
        """Whether no two of as many rows are alike."""
        return len(set(self._places)) == len(column)

    def tell(self, column: Sequence[Hashable]) -> bool:
        """Whether rows that are alike have one value in the column."""
        return len(set(self._both(column))) == len(set(self._places))

    def and_by(self, column: Sequence[Hashable]) -> "_Alike":
        """By this column as well."""
        both = self._both(column)
        numbers = {pair: number for number, pair in enumerate(dict.fromkeys(both))}
        return _Alike([numbers[pair] for pair in both])

    def _both(self, column: Sequence[Hashable]) -> list[Hashable]:
        return list(zip(self._places or [0] * len(column), column, strict=True))


def differing(params: Sequence[Mapping[str, str]]) -> list[str]:
    """The params that tell runs apart, without those that follow from another one."""
    return informative(varying(params))


def varying(params: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Every param in which runs differ, and its values: those of groups before their parts."""
    keys = dict.fromkeys(key for own in params for key in own)
    columns = {
        key: [own.get(key, "") for own in params]
        for key in sorted(keys, key=lambda key: key.count("."))
    }
    return {key: column for key, column in columns.items() if len(set(column)) > 1}


OF_THE_PROBLEM = ("dataset", "loss", "objective", "validation", "validation_data")
ALIKE = ("dataset.probe", "objective.start", "loss.gradient_reduction")
"""Params of those that change no loss"""


def is_of_the_problem(key: str) -> bool:
    """Whether losses of runs that differ in the param cannot be compared; a seed's draw can be."""
    top = key.partition(".")[0]
    return top in OF_THE_PROBLEM and not is_seed(key) and key not in ALIKE


def of_setting(values: Mapping[str, str]) -> tuple[str, str]:
    """What a cell has beside its seeds, as text: the problem, and the rest."""
    known = short([*values])
    told: dict[bool, list[str]] = {True: [], False: []}
    for key, value in values.items():
        if not is_seed(key):
            told[is_of_the_problem(key)].append(said(known[key], value))
    return " ".join(told[True]), " ".join(told[False])


def said(key: str, value: str) -> str:
    """An option that says it all by its name alone, anything else as `key=value`."""
    value = "null" if value == "None" else value
    return value if key in ("optimizer", "experiment") else f"{key}={tidy(value)}"


def short(keys: Sequence[str]) -> dict[str, str]:
    """Each key by its last word alone, unless another one has the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: word if last.count(word) == 1 else key for key, word in zip(keys, last, strict=True)
    }


def tidy(value: str) -> str:
    """A number without the digits that only rounding has made: 0.07100000000000001."""
    number = number_of(value)
    return value if number is None else f"{number:.12g}"


def distinct(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The names for columns beside those `others`: no two are alike."""
    taken, made = set(others), []
    for name in names:
        while name in taken:
            name = PARAM + name
        taken.add(name)
        made.append(name)
    return made
