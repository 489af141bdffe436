"""Objects of the caller's own as parts of a run, where a config would name a class.

A config is plain values, so it holds an object's digest, and the object itself is kept here while
a call lasts. Each run takes a copy: what the caller has given is never trained.
"""

import hashlib
import inspect
import os
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np

from runner.base.text import beginning_of
from runner.config.schema import Values
from runner.dataset.prepare import KEYS
from runner.errors import ConfigError
from runner.objective import Objective

PARTS = ("dataset", "validation_data", "model", "loss", "objective", "optimizer", "schedule")
SAMPLES = ("dataset", "validation_data")

EPOCH_REDUCTION = "epoch_reduction"
"""The key of a loss's node that states how an epoch puts its batches together"""

KEPT = {
    "dataset": KEYS,
    "objective": ("start",),
    "loss": (EPOCH_REDUCTION,),
    "schedule": ("every",),
}
"""Keys of a part's node that are not its class's, and so can be said beside an object."""

PUBLIC = ("torch.nn", "torch.optim")
"""Packages that show classes of the modules in them under their own name."""

_objects: ContextVar[Mapping[str, Any]] = ContextVar("objects")
"""By their digests, while a call lasts."""


def is_object(key: str, value: Any) -> bool:
    """Whether it is an object for that part, and nothing that an override could say."""
    if key not in PARTS:
        return False
    if key in SAMPLES and value is not None and not isinstance(value, str | Mapping | int | float):
        return True
    plain = (str, bytes, bool, int, float, Mapping, list, tuple, range, set, frozenset)
    return value is not None and not isinstance(value, (*plain, np.generic, np.ndarray))


@contextmanager
def held(objects: Mapping[str, Any]) -> Iterator[dict[str, Values]]:
    """The node of each part for which there is an object, good until the `with` ends."""
    nodes: dict[str, Values] = {}
    digests: dict[str, Any] = {}
    for part, value in objects.items():
        nodes[part], own = _node(part, value)
        digests |= own
    token = _objects.set({**_objects.get({}), **digests})
    try:
        yield nodes
    finally:
        _objects.reset(token)


def model(*, object: str, kind: str, repr: str) -> Any:
    """A copy of the module that was given, or what the class or function makes from the seed."""
    given = _given(object)
    if _makes(given):
        return given()
    # A function may return the same module each time.
    return _copied(given if hasattr(given, "parameters") else given())


def loss(*, object: str, kind: str, repr: str) -> Any:
    """A copy of the module or function that was given, or what the class makes."""
    given = _given(object)
    return given() if _makes(given) else _copied(given)


def objective(*, object: str, kind: str, repr: str) -> Any:
    """A copy of the function, or of the objective, that was given."""
    return _copied(_given(object))


def dataset(*, object: str, kind: str, repr: str) -> Any:
    """The samples that were given, or what the function returns."""
    given = _given(object)
    return given() if callable(given) else given


def optimizer(params: Any, *, object: str, kind: str, repr: str, lr: Any = None) -> Any:
    """The optimizer of these parameters that the function makes."""
    given = _given(object)
    return given(params) if lr is None else given(params, lr=lr)


def schedule(optimizer: Any, *, object: str, kind: str, repr: str) -> Any:
    """The scheduler of this optimizer that the function makes."""
    return _given(object)(optimizer)


def _given(digest: str) -> Any:
    if digest not in (there := _objects.get({})):
        raise LookupError("the object was given in a call from Python, and is gone by now")
    return there[digest]


def _copied(value: Any) -> Any:
    try:
        return deepcopy(value)
    except Exception as error:  # whatever the object's own way to be copied raises
        why = f"it cannot be copied ({error}): give a class, or a function that makes it anew"
        raise ValueError(why) from error


def _makes(value: Any) -> bool:
    return isinstance(value, type)


def _node(part: str, value: Any) -> tuple[Values, dict[str, Any]]:
    """What a config says of the object; the object by its digest, unless it has a name.

    Raises ConfigError for one that the part cannot be.
    """
    if fault := _fault(part, value):
        raise ConfigError(part, expected=f"{fault}", got=beginning_of(_repr(value)))
    name = _importable(value)
    node: Values = {"_target_": name or f"{__name__}.{'dataset' if part in SAMPLES else part}"}
    if name and part in ("loss", "objective") and not _makes(value):  # itself, not what makes one
        node["_partial_"] = True
    if part == "optimizer" and "lr" not in getattr(value, "keywords", {}) and _takes_lr(value):
        node["lr"] = "${lr}"
    if name:
        return node, {}
    digest = _digest(value)
    node |= {"object": digest, "kind": _kind(value), "repr": _repr(value)}
    return node, {digest: value}


def _fault(part: str, value: Any) -> str:
    """What would do in its place."""
    if part in SAMPLES and not (callable(value) or _is_pair(value)):
        return "(x, y), two arrays or a DataFrame and a column, or a function that returns it"
    if part == "optimizer" and (not callable(value) or hasattr(value, "param_groups")):
        return "a class or function that makes one from parameters: torch.optim.SGD, say"
    if part == "schedule" and (not callable(value) or hasattr(value, "last_epoch")):
        return "a function that makes one from an optimizer, of torch.optim.lr_scheduler say"
    if part == "objective" and not (callable(value) or isinstance(value, Objective)):
        return "a function of w, or a runner.objective.Objective"
    if part in ("model", "loss") and not callable(value):
        return "a torch.nn.Module" if part == "model" else "a function of (prediction, y)"
    return ""


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _importable(value: Any) -> str:
    """Return the name under which any process finds this class or function; empty without one.

    That of PyTorch's own is the public one, under which it has its rule by hand.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (module and name) or module == "__main__" or not callable(value):
        return ""
    public = [package for package in PUBLIC if module.startswith(f"{package}.")]
    for path in (f"{package}.{name}" for package in (*public, module)):
        try:
            if pkgutil.resolve_name(path) is value:
                return path
        except (ImportError, AttributeError, ValueError):  # local to a function, say
            continue
    return ""


def _takes_lr(value: Any) -> bool:
    try:
        return "lr" in inspect.signature(value).parameters
    except (TypeError, ValueError):
        return False


def _kind(value: Any) -> str:
    """Its class, or of a function its name."""
    known = value.func if isinstance(value, partial) else value
    known = known if inspect.isroutine(known) or isinstance(known, type) else type(known)
    return f"{known.__module__}.{known.__qualname__}"


def _repr(value: Any) -> str:
    """As it shows itself; of samples the shapes, for their numbers would fill pages."""
    if hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {value.shape}"
    if isinstance(value, list | tuple):
        return f"({', '.join(str(np.shape(one)) for one in value)})"
    try:
        return " ".join(repr(value).split())
    except Exception:  # whatever the object's own way to be shown raises
        return type(value).__name__


def _digest(value: Any) -> str:
    """16 hexadecimal digits of its content; of what cannot be pickled, new ones each time."""
    import cloudpickle

    try:
        content = cloudpickle.dumps(value)
    except Exception:  # whatever the object's own way to be pickled raises
        content = os.urandom(16)
    return hashlib.sha256(content).hexdigest()[:16]
