"""From a call's words and keywords to the overrides that the command line would have."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from runner.base.overrides import without_tracking
from runner.config.given import PARTS, SAMPLES, is_object
from runner.errors import ConfigError

PLAIN = re.compile(r"[A-Za-z_][\w./@:%-]*", re.ASCII)
"""What Hydra's grammar takes for a word without quotes."""

MEANINGFUL = re.compile(r"true|false|null|nan|inf", re.IGNORECASE)
"""Words that it takes for something else."""


class Words(NamedTuple):
    """What a call asks for."""

    overrides: list[str]
    objects: dict[str, list[Any]]
    """By part, the objects that the caller gives for it: one, or those of a sweep."""

    def shown(self, function: str) -> str:
        """The call as a person may read it, less what is said of tracking."""
        typed = without_tracking(self.overrides)
        parts = [f"{part}={', '.join(labels(one))}" for part, one in self.objects.items()]
        return f"{function}({', '.join(map(repr, [*typed, *parts]))})"


def words(typed: Sequence[str], keywords: Mapping[str, Any], *, swept: bool) -> Words:
    """The overrides of a call; where it is `swept`, a list is the values of a sweep.

    Raises ConfigError for what no override can say.
    """
    for word in typed:
        if not isinstance(word, str):
            raise ConfigError(f"expected words as on the command line, 'lr=0.1' say, got {word!r}")
        if word.startswith("-") and not re.match(r"[\w.-]+=", word):
            raise ConfigError(word, "expected words of the form key=value, and no options")
    overrides, objects = list(typed), {}
    for key, value in keywords.items():
        of_the_sweep = key == "sweep" or key.startswith("sweep.")  # each is one for all of it
        several = _values(key, value) if swept and not of_the_sweep else [value]
        if not several:
            raise ConfigError(key, "expected one value or more to sweep, got none")
        given = [one for one in several if is_object(key, one)]
        if given and len(given) < len(several):
            raise ConfigError(key, "expected options or objects to sweep, got both")
        if given:
            objects[key] = given
        else:
            overrides.append(f"{key}={','.join(_text(key, one) for one in several)}")
    return Words(overrides, objects)


def short(value: Any) -> str:
    """What an object is, briefly: the name of its class or function."""
    if isinstance(value, list | tuple):
        return "samples"
    if isinstance(value, partial):
        told = [*map(repr, value.args), *(f"{key}={one!r}" for key, one in value.keywords.items())]
        return f"{short(value.func)}({', '.join(told)})"
    return str(getattr(value, "__name__", type(value).__name__)).strip("<>")


def labels(values: Sequence[Any]) -> list[str]:
    """What each is, briefly, with a number behind it where others are called the same."""
    names = [short(value) for value in values]
    own = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [
        f"{name}-{number}" if names.count(name) > 1 else name
        for name, number in zip(names, own, strict=True)
    ]


def _values(key: str, value: Any) -> list[Any]:
    """Those of a sweep; a mapping is one, and so are a text and a dataset's (x, y)."""
    is_one = isinstance(value, str | bytes | Mapping | Enum) or is_object(key, value)
    if is_one and not (key in SAMPLES and isinstance(value, list)):
        return [value]
    if hasattr(value, "tolist"):  # of NumPy, PyTorch or pandas
        found = value.tolist()
        return found if isinstance(found, list) else [found]
    return list(value) if isinstance(value, Iterable) else [value]


def _text(key: str, value: Any) -> str:
    """The value in Hydra's grammar."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Decimal | Fraction):
        value = float(value)
    if isinstance(value, Enum):
        value = value.name
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        pairs = (f"{_quoted(str(name))}: {_text(key, one)}" for name, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple | range | set | frozenset):
        return f"[{', '.join(_text(key, one) for one in value)}]"
    raise ConfigError(
        key,
        f"expected a number, a text, true or false, None, or a list or mapping of these, "
        f"got {value!r}; an object can stand for {', '.join(PARTS)}",
    )


def _quoted(text: str) -> str:
    if PLAIN.fullmatch(text) and not MEANINGFUL.fullmatch(text):
        return text
    escaped = re.sub(r"(\\+)(?=')|(\\+)$", lambda found: found[0] * 2, text).replace("'", "\\'")
    return f"'{escaped}'"
