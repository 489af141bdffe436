"""The typed schema of a config, and the checks of its plain values."""

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
from hydra.core.config_store import ConfigStore
from hydra.errors import CompactHydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.address import tracking_faults
from runner.console import escaped
from runner.dataset.prepare import KEYS
from runner.dataset.split import LARGEST_SEED
from runner.spacing import LEAST_POINTS

SHUFFLES = ("epoch", "replacement", False)


OF_DATASET = {f"validation_data.{key}" for key in KEYS}


class ConfigError(CompactHydraException):
    """What is wrong in a config, where, and what would do; Hydra prints it without a traceback."""

    def __str__(self) -> str:
        return escaped(super().__str__())


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
    points: int | None = MISSING


@dataclass
class Device:
    name: str = MISSING


@dataclass
class Sweep:
    stack: Any = MISSING
    workers: int | None = MISSING
    dry_run: bool = MISSING
    resume: bool = MISSING
    verify: int = MISSING
    on_error: OnError = MISSING


@dataclass
class Record:
    most_bytes: int = MISSING


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
    batch_size: int | None = MISSING
    shuffle: Any = MISSING
    drop_last: bool = MISSING
    validation: float | None = MISSING
    validation_data: dict[str, Any] | None = MISSING
    split_seed: int = MISSING
    tolerance: float = MISSING
    seed: int = MISSING
    dtype: Dtype = MISSING
    print_every: int = MISSING
    sweep: Sweep = MISSING
    record: Record = MISSING
    report: Report = MISSING


def register() -> None:
    """Make known to Hydra what `conf/` relies on: the schema, and `${runner.env:NAME,default}`."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("runner.env", _environment, replace=True)


def _environment(name: str, default: Any) -> Any:
    """A variable of the environment. An empty one is as good as none, as shells have it."""
    return os.environ.get(name) or default


def plain(config: DictConfig) -> Values:
    """The config as plain values.

    Raises ConfigError where one is missing, leads nowhere or is none that the schema has.
    """
    try:
        values: Any = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere
        unresolved: Any = OmegaConf.to_container(config, enum_to_str=True)
        if faults := list(_absent(unresolved, Config)):
            raise ConfigError("\n".join(faults)) from error
        raise ConfigError("the config cannot be resolved:") from error
    missing = sorted(key for key, value in leaves(values) if value == "???")
    faults = [f"{key}: no value is given; set {key}=..." for key in missing]
    if faults := [*faults, *_absent(values, Config), *_unknown(values, Config)]:
        raise ConfigError("\n".join(faults))
    return dict(values)


def plain_node(node: Any) -> Any:
    """The node as `plain` has it. Raises OmegaConfBaseException where one has no value."""
    if OmegaConf.is_config(node):
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True, enum_to_str=True)
    return node.name if isinstance(node, Enum) else node


def _absent(node: Mapping[str, Any], kind: Any, prefix: str = "") -> Iterator[str]:
    """What is wrong where a value of the schema is not there: `~key` takes any out."""
    for field in fields(kind):
        if field.name not in node:
            yield f"{prefix}{field.name}: is needed, and cannot be deleted"
        elif is_dataclass(field.type) and not isinstance(node[field.name], Mapping):
            if node[field.name] != "???":
                yield f"{prefix}{field.name}: is needed, got {node[field.name]}"
        elif is_dataclass(field.type):
            yield from _absent(node[field.name], field.type, f"{prefix}{field.name}.")


def _unknown(node: Mapping[str, Any], kind: Any, prefix: str = "") -> Iterator[str]:
    """What is wrong with each key that the schema lacks: `+key=...` lets any in."""
    known = {field.name: field.type for field in fields(kind)}
    for key, value in node.items():
        if key not in known:
            yield f"{prefix}{key}: there is no such value, only {', '.join(known)}"
        elif is_dataclass(known[key]) and isinstance(value, Mapping):
            yield from _unknown(value, known[key], f"{prefix}{key}.")


def check(
    values: Values, choices: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> None:
    """Refuse plain values that no run can start with, all of them in one message.

    `choices` has the option chosen for each config group, `overrides` what was typed.
    """
    lr, epochs, tolerance, seed = (values[key] for key in ("lr", "epochs", "tolerance", "seed"))
    batch, share, unseen = (values[k] for k in ("batch_size", "validation", "validation_data"))
    room, points = values["record"]["most_bytes"], values["tracking"]["points"]
    largest = float(np.finfo(values["dtype"]).max)
    size = f"at most {largest:.2g} in {values['dtype']}"
    rules = {
        "lr": (0 < lr <= largest, f"a finite number above 0, {size}"),
        "epochs": (1 <= epochs <= sys.maxsize, f"a whole number of 1 or more, up to {sys.maxsize}"),
        "tolerance": (0 <= tolerance < math.inf, "0 (never stop early) or a finite number above"),
        "seed": (0 <= seed < 2**63, f"a whole number of 0 or more, up to {2**63 - 1}"),
        "batch_size": (batch is None or batch >= 1, "1 or more samples, or null for all at once"),
        "shuffle": (_is_one_of(values["shuffle"], SHUFFLES), "epoch, replacement or false"),
        "drop_last": (
            batch is not None or not values["drop_last"],
            "false where all samples are one batch; batch_size=... makes several",
        ),
        "validation": (
            share is None or 0 <= share < 1,
            "a share of the samples from 0 to below 1, or null for none",
        ),
        "split_seed": (
            not share or 0 <= values["split_seed"] <= LARGEST_SEED,
            f"a whole number of 0 or more, up to {LARGEST_SEED}, for a share for validation",
        ),
        "print_every": (values["print_every"] >= 0, "0 (no lines) or a number of epochs"),
        "record.most_bytes": (room >= 0, "0 (never all parameters of every step) or more bytes"),
        "tracking.points": (
            points is None or points >= LEAST_POINTS,
            f"{LEAST_POINTS} or more, or null for all",
        ),
    }
    told = dict(leaves(values))
    faults = [
        f"{key}: expected {expected}, got {told[key]}"
        for key, (holds, expected) in rules.items()
        if not holds
    ]
    for text in overrides:
        key = text.lstrip("+~").partition("=")[0]
        if key in OF_DATASET:
            faults.append(f"{text}: dataset.{key.partition('.')[2]} is for both")
    if share and unseen is not None:
        faults.append(
            "validation: a share, and validation_data as well: one of both, the other null"
        )
    faults += _number_faults(values, largest, said=not rules["lr"][0])
    faults += tracking_faults(values["tracking"], (choices or {}).get("tracking"))
    if faults:
        raise ConfigError("\n".join(faults))


def _number_faults(values: Values, largest: float, *, said: bool) -> Iterator[str]:
    """What is wrong with numbers that the run's dtype cannot hold; `said`: that of lr is told.

    The tolerance is not among them, for it is compared in float64; nor is a dataset's number,
    with which float64 is computed before the samples are rounded to the dtype.
    """
    size = f"at most {largest:.2g} in {values['dtype']}"
    least = float(np.finfo(values["dtype"]).smallest_subnormal)
    nodes = {"lr": values["lr"], **{part: values[part] for part in ("optimizer", "loss", "model")}}
    for key, value in leaves(nodes):
        numbers = list(_numbers(value))
        follows = key == "optimizer.lr" and (said or value == values["lr"])
        if follows or (key == "lr" and said):
            continue
        if key.startswith("optimizer.") and not all(abs(one) <= largest for one in numbers):
            yield f"{key}: expected finite numbers, {size}, got {value}"
        elif any(0 < abs(one) <= least / 2 for one in numbers):  # the half is rounded to even
            kind = values["dtype"]
            yield f"{key}: expected {least:.2g} or more, for less is 0 in {kind}, got {value}"
    lr, betas = values["optimizer"].get("lr"), values["optimizer"].get("betas")
    if not (is_number(lr) and isinstance(betas, list) and any(map(is_number, betas[:1]))):
        return
    # Adam and its kin begin with a step of lr / (1 - beta), to make up for means that begin at 0.
    if lr <= largest and 0 <= betas[0] < 1 and not lr / (1 - betas[0]) <= largest:
        yield (
            f"optimizer.lr: expected at most {largest * (1 - betas[0]):.2g} in {values['dtype']}, "
            f"for the first step is lr / (1 - {betas[0]}), got {lr}"
        )


def _is_one_of(value: Any, known: tuple[Any, ...]) -> bool:
    """Whether it is one of these words, or false: 0 is no word for it."""
    return any(value is one or (isinstance(value, str) and value == one) for one in known)


def _numbers(value: Any) -> Iterator[float]:
    """The value if it is a number, or those that a list holds."""
    if is_number(value):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, under its dotted name."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def targets(node: Any) -> Iterator[Any]:
    """What every `_target_` in the node names, nested ones as well."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
