"""What recorded quantities are called in MLflow and in the Parquet file."""

import posixpath
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from runner.record.column import FIGURES, FIXED, PARAMETERS, START, vector

LONGEST_KEY = 250  # characters

OWN = (*FIXED, "loss", "grad_norm", *FIGURES)
"""What every run records beside its parameters."""


def meeting(tensors: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What is wrong with the names of a model's parameters, a line each.

    Two that become one name would mix their trajectories, and so would one that is taken.
    """
    told = vector("parameters", PARAMETERS, tensors, "float64", START).labels()
    keys = Counter(key(name) for name in told)
    own = [name for name in [*tensors, *told] if key(name) in OWN]
    faults = [f"the parameter {name} is called as what is recorded beside it" for name in own]
    met = [name for name, count in keys.items() if count > 1]
    faults += [f"several parameters become {name} in MLflow" for name in met]
    return list(dict.fromkeys(faults))


@lru_cache(maxsize=10_000)
def key(name: str) -> str:
    """The name of a param, tag or metric as MLflow takes it, `_` for what it does not."""
    allowed = re.sub(r"[^\w/.\- :]", "_", text(name, LONGEST_KEY))
    if posixpath.normpath(allowed) != allowed or allowed.startswith(("/", ".")):
        return re.sub(r"^\.|/", "_", allowed)  # it reads as the path of another file
    return allowed


def text(value: str, most: int) -> str:
    """What every database takes: PostgreSQL has no NUL, and none takes half of a character."""
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    return value.replace("\0", "")[:most]
