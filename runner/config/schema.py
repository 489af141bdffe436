"""The typed schema of a config, and its values as plain ones."""

import os
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.errors import ConfigError

Values = dict[str, Any]
"""A composed config, or a node of one, as plain Python values: every interpolation resolved."""

Gradient = Enum("Gradient", {"by_hand": "by_hand", "autograd": "autograd"})
Dtype = Enum("Dtype", {"float32": "float32", "float64": "float64"})
OnError = Enum("OnError", {"continue": "continue", "stop": "stop"})


@dataclass
class TrackingConfig:
    uri: str | None = MISSING
    experiment: str = MISSING
    live: bool = MISSING
    wait: bool = MISSING
    keep_journal: bool = MISSING
    points: int | None = MISSING
    log_model: bool = MISSING


@dataclass
class DeviceConfig:
    name: str = MISSING
    threads: int = 1  # of the CPU, also for NumPy


@dataclass
class SweepConfig:
    stack: Any = MISSING
    workers: int | None = MISSING
    dry_run: bool = MISSING
    resume: bool = MISSING
    verify: int = MISSING
    on_error: OnError = MISSING
    sampler: Any = MISSING
    samples: int | None = MISSING
    zip: Any = MISSING
    seed: int = MISSING
    batch: int | None = MISSING
    minimise: str = MISSING
    prune: Any = MISSING


@dataclass
class RecordConfig:
    most_bytes: int = MISSING


@dataclass
class CheckpointConfig:
    every: int | None = MISSING


@dataclass
class ReportConfig:
    pictures: bool | None = MISSING
    page: bool = MISSING


for _part in (
    *(TrackingConfig, DeviceConfig, SweepConfig),
    *(RecordConfig, CheckpointConfig, ReportConfig),
):
    # OmegaConf's messages to a user name the class: `Key 'x' not in 'Tracking'`.
    _part.__name__ = _part.__name__.removesuffix("Config")


@dataclass
class Config:
    """Types of the plain values. The parts name classes of anyone's, so `build` checks theirs."""

    dataset: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    schedule: dict[str, Any] = MISSING
    objective: dict[str, Any] = field(default_factory=dict)
    measure: dict[str, Any] = MISSING
    device: DeviceConfig = MISSING
    tracking: TrackingConfig = MISSING
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
    max_steps: int | None = MISSING
    patience: int | None = MISSING
    min_delta: float = MISSING
    clip: float | None = MISSING
    clip_value: float | None = MISSING
    seed: int = MISSING
    dtype: Dtype = MISSING
    print_every: int = MISSING
    sweep: SweepConfig = MISSING
    record: RecordConfig = MISSING
    checkpoint: CheckpointConfig = MISSING
    report: ReportConfig = MISSING


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


def followers(config: DictConfig) -> frozenset[str]:
    """Return the nodes of a config in which a value follows from that of `lr`."""
    texts = {str(key): str(raw) for key, raw in config.items_ex(resolve=False) if key != "lr"}
    certain = {key for key, text in texts.items() if "${lr}" in text}
    likely = {key for key in texts.keys() - certain if _NAMES_LR.search(texts[key])}
    if likely:  # as `${.lr}`, or through a resolver: what another lr changes, follows from it
        other = deepcopy(config)
        other.lr = 2 * config.lr
        certain |= {k for k in likely if plain_node(config[k]) != plain_node(other[k])}
    return frozenset(certain)


_NAMES_LR = re.compile(r"\$\{[^}]*\blr\b")


def _absent(node: Mapping[str, Any], kind: Any, prefix: str = "") -> Iterator[str]:
    """What is wrong where a value of the schema is not there: `~key` takes any out."""
    for one in fields(kind):
        if one.name not in node:
            yield f"{prefix}{one.name}: is needed, and cannot be deleted"
        elif is_dataclass(one.type) and not isinstance(node[one.name], Mapping):
            if node[one.name] != "???":
                yield f"{prefix}{one.name}: is needed, got {node[one.name]}"
        elif is_dataclass(one.type):
            yield from _absent(node[one.name], one.type, f"{prefix}{one.name}.")


def _unknown(node: Mapping[str, Any], kind: Any, prefix: str = "") -> Iterator[str]:
    """What is wrong with each key that the schema lacks: `+key=...` lets any in."""
    known = {one.name: one.type for one in fields(kind)}
    for key, value in node.items():
        if key not in known:
            yield f"{prefix}{key}: there is no such value, only {', '.join(known)}"
        elif is_dataclass(known[key]) and isinstance(value, Mapping):
            yield from _unknown(value, known[key], f"{prefix}{key}.")


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
