"""What a run is called: by what tells it from others, shortest first."""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from runner.base.overrides import parse
from runner.base.text import number_of
from runner.config.cell import NOT_THE_EXPERIMENT, TARGET, Cell

LONGEST = 200  # MLflow has room for 250 characters
LONG_NUMBER = 8  # characters, from which on a number is rounded as far as its sweep allows
FEWEST_DIGITS = 4  # of a number that is rounded
DIGITS_ALONE = 6  # of one in the name of a lone run


def of_lone_run(cell: Cell) -> str:
    """By what was typed, and where nothing was by its optimizer and lr: `sgd lr=0.01`."""
    pairs = dict(_changes(cell))
    changes = {key: _shortened([text], DIGITS_ALONE)[text] for key, text in pairs.items()}
    if not changes:
        lr = cell.values["optimizer"].get("lr")
        changes = {"optimizer": str(cell.choices.get("optimizer", "optimizer"))}
        changes |= {} if lr is None else {"lr": str(lr)}
    return _joined(changes, cell, _short_keys(changes, cell))


def within_sweep(cells: Sequence[Cell], among: Sequence[Cell] = ()) -> list[str]:
    """By what differs among the cells, and some others: `adagrad lr=1 seed=3`. No two alike.

    Numbers are as a person writes them: 0.071, where Hydra's range makes 0.07100000000000001.
    """
    changes = [dict(_changes(cell)) for cell in cells]
    everyone = [*changes, *(dict(_changes(cell)) for cell in among)]
    keys = dict.fromkeys(key for own in everyone for key in own)
    values = {key: list(dict.fromkeys(own.get(key) for own in everyone)) for key in keys}
    differing = {key: _shortened(found) for key, found in values.items() if len(found) > 1}
    if not differing:
        return _told_apart([of_lone_run(cell) for cell in cells])
    short = _short_keys(differing, cells[0])
    names = []
    for cell, own in zip(cells, changes, strict=True):
        there = {key: texts[own[key]] for key, texts in differing.items() if key in own}
        names.append(_joined(there, cell, short) or "without a change")
    return _told_apart(names)


def shortened(text: str) -> str:
    """The text as MLflow has room for in a name."""
    return textwrap.shorten(text, LONGEST, placeholder=" ...")


def _changes(cell: Cell) -> list[tuple[str, str]]:
    """What defines the experiment and was typed: key and value, `~` before a key taken out."""
    pairs = []
    for one in map(parse, cell.overrides):
        if one.key.split(".")[0] not in (*NOT_THE_EXPERIMENT, "grid"):
            key, value = one.written_key if one.removes else one.key, one.value
            if key.endswith(TARGET) and key.removesuffix(TARGET) in cell.choices:
                key = key.removesuffix(TARGET)
                value = str(cell.choices[key])
            pairs.append((key, value))
    return pairs


def _joined(changes: Mapping[str, str], cell: Cell, short: Mapping[str, str]) -> str:
    """Options by their names, the optimizer's first; then keys and values, short keys first."""
    options = [key for key in changes if str(cell.choices.get(key, "")) == changes[key] != ""]
    others = [key for key in changes if key not in options]
    options.sort(key=lambda key: key != "optimizer")
    others.sort(key=lambda key: len(short[key]))
    words = [changes[key] for key in options]
    words += [f"{short[key]}={changes[key]}" if changes[key] else short[key] for key in others]
    return shortened(" ".join(words))


def _short_keys(keys: Mapping[str, object], cell: Cell) -> dict[str, str]:
    """Each key by its last part, `w` for `model.initial.w`, where nothing else is called so."""
    tails = Counter(key.rpartition(".")[2] for key in keys)
    return {
        key: tail
        if tails[tail := key.rpartition(".")[2]] == 1 and tail not in cell.values and key[0] != "~"
        else key
        for key in keys
    }


def _shortened(values: Sequence[str | None], fewest: int = FEWEST_DIGITS) -> dict[str | None, str]:
    """Each value's text; long numbers with as few digits as tell all of them apart."""
    texts = {value: value or "" for value in values}
    fractions = [value for value in values if value is not None and _is_fraction(value)]
    for digits in range(fewest, 17):
        rounded = {
            value: f"{float(value):.{digits if len(value) > LONG_NUMBER else 15}g}"
            for value in fractions
        }
        if len({*(texts | rounded).values()}) == len(texts):
            return texts | rounded
    return texts


def _is_fraction(text: str) -> bool:
    """Whether it is a number with a point or an exponent: an integer's digits all count."""
    number = number_of(text)
    return number is not None and not math.isnan(number) and not text.lstrip("-").isdigit()


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, with a number behind each that is there already."""
    seen: Counter[str] = Counter()
    made = []
    for name in names:
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made
