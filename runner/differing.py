"""The params in which runs differ, as the columns of a table."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

from runner.seeds import is_seed

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


OF_THE_PROBLEM = ("dataset", "loss", "validation", "validation_data")
ALIKE = ("dataset.probe", "loss.gradient_reduction")
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
    try:
        return f"{float(value):.12g}"
    except ValueError:
        return value


def distinct(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The names for columns beside those `others`: no two are alike."""
    taken, made = set(others), []
    for name in names:
        while name in taken:
            name = PARAM + name
        taken.add(name)
        made.append(name)
    return made
