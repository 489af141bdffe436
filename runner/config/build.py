"""How a node of a config becomes a Python object, and what is refused on the way."""

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from functools import cache
from typing import Any

import hydra
from hydra.errors import InstantiationException

from runner.base.failure import said
from runner.config.schema import is_number
from runner.errors import BadValue, ConfigError


def target(where: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    """The class or function that the node's `_target_` names."""
    name = node.get("_target_")
    if not isinstance(name, str):
        raise ConfigError(f"{where}._target_", expected="the name of a class or function", got=name)
    if (names := _names.get()) is not None and name not in names:
        raise ConfigError(where, f"{name} is not on the short list of what may be built: --trust")
    try:
        found = _named(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the import of somebody's module raises
        raise ConfigError(f"{where}._target_", f"{name} cannot be loaded: {said(error)}") from error
    if not callable(found):
        raise ConfigError(f"{where}._target_", f"{name} is not a class or function")
    function: Callable[..., Any] = found
    return function


def known_as(node: Mapping[str, Any]) -> str:
    """What a message calls the node's part: its class, also where an object was given."""
    return str(node.get("kind") or node["_target_"])


@cache
def _named(name: str) -> Any:
    return pkgutil.resolve_name(name)  # which looks for files, each time


def build(where: str, node: Mapping[str, Any], *arguments: Any, **given: Any) -> Any:
    """Call the node's `_target_` with what is given, and with the node's other keys as keywords.

    Hydra's own keys mean what they mean to Hydra; a loss, an objective and a measure may be
    `_partial_`, the function itself with some of its keywords given. Raises ConfigError for an
    unknown key, a value of the wrong kind, and whatever the target itself refuses.
    """
    function = target(where, node)
    is_partial = _is_partial(where, node, function)
    _check_keywords(where, node, len(arguments), given)
    keywords = {key: value for key, value in node.items() if key != "_target_"}
    is_plain, is_limited = _is_plain(keywords), _names.get() is not None
    if is_limited and not is_plain:
        raise ConfigError(where, "holds more than plain values, which may not be built: --trust")
    try:
        if is_plain and (is_limited or node["_target_"] in _instantiated):
            return function(*arguments, **given, **deepcopy(keywords))
        make = hydra.utils.instantiate({"_convert_": "all", **node, "_partial_": True})
        made = make if is_partial else make(*arguments, **given)
    except InstantiationException as error:  # of a nested node, which Hydra names
        raise ConfigError(where, f"{error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the constructor of somebody's class raises
        if isinstance(error, BadValue) and error.key and node["_target_"].startswith("runner."):
            raise ConfigError.about(f"{where}.{error.key}", error) from error
        why = f"{known_as(node)} refused its values: {said(error)}"
        raise ConfigError(where, f"{why}") from error
    _instantiated.add(node["_target_"])
    return made


def swapped(node: Mapping[str, Any], by_hand: Mapping[str, Any]) -> dict[str, Any]:
    """The node with the class that it names replaced by the one that does the same by hand."""
    hand = by_hand.get(node["_target_"])
    return dict(node, **({"_target_": f"{hand.__module__}.{hand.__qualname__}"} if hand else {}))


def _is_partial(where: str, node: Mapping[str, Any], function: Callable[..., Any]) -> bool:
    """Whether the target is left to be called. Raises ConfigError where nobody would call it."""
    asked = node.get("_partial_", False)
    if not isinstance(asked, bool):
        raise ConfigError(f"{where}._partial_", expected="true or false", got=repr(asked))
    makes = isinstance(function, type) or node["_target_"].startswith("runner.")
    if asked and (not _is_function(where) or makes):
        raise ConfigError(
            f"{where}._partial_",
            f"expected what {node['_target_']} makes, got a partial of it; "
            "true is for a part that is a function itself: a loss, an objective, a measure",
        )
    return asked


def _is_function(where: str) -> bool:
    """Whether the part there may be one itself, not only what one makes."""
    return where in ("loss", "objective") or where.startswith("measure.")


_names: ContextVar[frozenset[str] | None] = ContextVar("names", default=None)
"""What may be called now; None: anything."""


@contextmanager
def only(names: frozenset[str] | None) -> Iterator[None]:
    """Let `build` call nothing else until the block ends, and that with plain values, by itself.

    Then Hydra, which resolves interpolations and builds what is nested, has no part in it. None
    lifts that.
    """
    token = _names.set(names)
    try:
        yield
    finally:
        _names.reset(token)


_instantiated: set[str] = set()
"""Targets that Hydra has let pass. It takes milliseconds each time, for every cell of a sweep."""


def _is_plain(value: Any) -> bool:
    """Whether Hydra would hand it on as it is: nothing to instantiate, no key of Hydra's own."""
    if isinstance(value, dict):
        keys = all(isinstance(key, str) and not key.startswith("_") for key in value)
        return keys and all(map(_is_plain, value.values()))
    return not isinstance(value, list) or all(map(_is_plain, value))


def _check_keywords(
    where: str, node: Mapping[str, Any], count: int, given: Mapping[str, Any]
) -> None:
    """Refuse keys that the target does not take or misses, and values unlike what it declares.

    `count` of its parameters are taken by position, and are not the config's, nor those `given`.
    """
    if (parameters := declared(node["_target_"])) is None:
        return
    positional = node.get("_args_")
    parameters = parameters[count + (len(positional) if isinstance(positional, list) else 0) :]
    parameters = [parameter for parameter in parameters if parameter.name not in given]
    takes = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    faults = []
    for key, value in node.items():
        if key.startswith("_"):  # Hydra's own
            continue
        if key in takes:
            if expected := _misfit(takes[key], value):
                faults.append(f"{where}.{key}: expected {expected}, got {value!r}")
        elif not open_ended:
            only = f"only {', '.join(takes)}" if takes else "nor any other"
            faults.append(f"{where}.{key}: {node['_target_']} takes no such value, {only}")
    for name, parameter in takes.items():
        if parameter.default is parameter.empty and name not in node and not node.get("_partial_"):
            faults.append(f"{where}.{name}: {node['_target_']} needs a value, and none is given")
    if faults:
        raise ConfigError("\n".join(faults))


@cache
def declared(target: str) -> list[inspect.Parameter] | None:
    """What the target takes; None where only the call itself can tell."""
    try:
        return list(inspect.signature(pkgutil.resolve_name(target)).parameters.values())
    except ValueError:  # some compiled callables show no signature
        return None


def _misfit(parameter: inspect.Parameter, value: Any) -> str | None:
    """What the parameter expects, if its annotation or default tells and the value is unlike it."""
    default, annotation = parameter.default, parameter.annotation
    if value is None and (default is None or _is_open(annotation)):
        return None
    if annotation is bool or isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if annotation is int:
        whole = isinstance(value, int) and is_number(value)
        return None if whole else "a whole number, without point or exponent"
    if annotation is float or is_number(default):
        return None if is_number(value) else "a number"
    if isinstance(default, tuple) and all(map(is_number, default)):
        fits = isinstance(value, list) and len(value) == len(default)
        return None if fits and all(map(is_number, value)) else f"{len(default)} numbers"
    return None


def _is_open(annotation: Any) -> bool:
    """Whether None may be meant: the annotation says so, or there is none."""
    unknown = annotation in (inspect.Parameter.empty, Any)
    return unknown or any(word in str(annotation) for word in ("None", "Optional"))
