"""The typed schema of a config, its checks, and how a node of it becomes a Python object."""

import inspect
import math
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import CompactHydraException, InstantiationException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


class ConfigError(CompactHydraException):
    """What is wrong in a config, where, and what would do; Hydra prints it without a traceback."""


Values = dict[str, Any]
"""A composed config, or a node of one, as plain Python values: every interpolation resolved."""

Gradient = Enum("Gradient", {"by_hand": "by_hand", "autograd": "autograd"})
Dtype = Enum("Dtype", {"float32": "float32", "float64": "float64"})
OnError = Enum("OnError", {"continue": "continue", "stop": "stop"})


@dataclass
class Tracking:
    uri: str | None = MISSING
    experiment: str = MISSING
    live: bool = MISSING
    wait: bool = MISSING
    keep_journal: bool = MISSING


@dataclass
class Device:
    name: str = MISSING


@dataclass
class Sweep:
    stack: bool = MISSING
    workers: int | None = MISSING
    dry_run: bool = MISSING
    resume: bool = MISSING
    verify: int = MISSING
    on_error: OnError = MISSING


@dataclass
class Report:
    pictures: bool | None = MISSING
    page: bool = MISSING


@dataclass
class Config:
    """Types of the plain values. The parts name classes of anyone's, so `build` checks theirs."""

    dataset: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    device: Device = MISSING
    tracking: Tracking = MISSING
    gradient: Gradient = MISSING
    lr: float = MISSING
    epochs: int = MISSING
    tolerance: float = MISSING
    seed: int = MISSING
    dtype: Dtype = MISSING
    print_every: int = MISSING
    sweep: Sweep = MISSING
    report: Report = MISSING


def register() -> None:
    """Make the schema known to Hydra, under the name that `conf/config.yaml` lists first."""
    ConfigStore.instance().store(name="schema", node=Config)


def plain(config: DictConfig) -> Values:
    """The config as plain values. Raises ConfigError where one is missing or leads nowhere."""
    try:
        values: Any = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere
        raise ConfigError("the config cannot be resolved:") from error
    missing = sorted(key for key, value in leaves(values) if value == "???")
    if missing:
        raise ConfigError("\n".join(f"{key}: no value is given; set {key}=..." for key in missing))
    return dict(values)


def check(values: Values) -> None:
    """Refuse plain values that no run can start with, all of them in one message."""
    lr, epochs, tolerance, seed = (values[key] for key in ("lr", "epochs", "tolerance", "seed"))
    rules = {
        "lr": (lr > 0 and math.isfinite(lr), "a finite number above 0"),
        "epochs": (epochs >= 1, "a whole number of 1 or more"),
        "tolerance": (tolerance >= 0, "0 (never stop early) or a number above it"),
        "seed": (seed >= 0, "a whole number of 0 or more"),
        "print_every": (values["print_every"] >= 0, "0 (no lines) or a number of epochs"),
    }
    faults = [
        f"{key}: expected {expected}, got {values[key]}"
        for key, (holds, expected) in rules.items()
        if not holds
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, under its dotted name."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _target(where: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    """The class or function that the node's `_target_` names."""
    name = node.get("_target_")
    if not isinstance(name, str):
        raise ConfigError(f"{where}._target_: expected the name of a class or function, got {name}")
    try:
        found: Any = pkgutil.resolve_name(name)
    except Exception as error:  # whatever the import of somebody's module raises
        raise ConfigError(f"{where}._target_: {name} cannot be loaded: {error}") from error
    if not callable(found):
        raise ConfigError(f"{where}._target_: {name} is not a class or function")
    function: Callable[..., Any] = found
    return function


def build(where: str, node: Mapping[str, Any], *arguments: Any) -> Any:
    """Call the node's `_target_` with `arguments`, and with the node's other keys as keywords.

    Raises ConfigError for an unknown key, a value of the wrong kind, and whatever the target
    itself refuses.
    """
    function = _target(where, node)
    _check_keywords(where, function, node, len(arguments))
    try:
        make = hydra.utils.instantiate(dict(node), _partial_=True, _convert_="all")
        return make(*arguments)
    except InstantiationException as error:  # of a nested node, which Hydra names
        raise ConfigError(f"{where}: {error}") from error
    except Exception as error:  # whatever the constructor of somebody's class raises
        raise ConfigError(f"{where}: {node['_target_']} refused its values: {error}") from error


def _check_keywords(
    where: str, function: Callable[..., Any], node: Mapping[str, Any], given: int
) -> None:
    """Refuse keys that `function` does not take, and values unlike what it declares.

    `given` of its parameters are taken by position, and are not the config's.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())[given:]
    except ValueError:  # some compiled callables show no signature: the call itself must tell
        return
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
            faults.append(
                f"{where}.{key}: {node['_target_']} takes no such value, only {', '.join(takes)}"
            )
    if faults:
        raise ConfigError("\n".join(faults))


def _misfit(parameter: inspect.Parameter, value: Any) -> str | None:
    """What the parameter expects, if its annotation or default tells and the value is unlike it."""
    default, annotation = parameter.default, parameter.annotation
    if value is None:
        return None
    if annotation is bool or isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if annotation is int:
        return None if _is_number(value) and value == int(value) else "a whole number"
    if annotation is float or _is_number(default):
        return None if _is_number(value) else "a number"
    if isinstance(default, tuple) and all(map(_is_number, default)):
        fits = isinstance(value, list) and len(value) == len(default)
        return None if fits and all(map(_is_number, value)) else f"{len(default)} numbers"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
