"""What each key of a config may be (lr, epochs, seed, ...); all that is wrong, in one message."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from runner.base.address import tracking_faults
from runner.base.overrides import key_of
from runner.config import instead
from runner.config.cell import Cell
from runner.config.schema import is_number, leaves
from runner.config.spec import Checked, Spec
from runner.dataset.prepare import KEYS
from runner.dataset.split import LARGEST_SEED
from runner.engine.measured import faults as measured_faults
from runner.errors import ConfigError
from runner.record.spacing import LEAST_POINTS

MOST_THREADS = 256
SHUFFLES = ("epoch", "replacement", False)

OF_DATASET = {f"validation_data.{key}" for key in KEYS}


def checked(cell: Cell) -> Checked:
    """Return the cell's spec; refuse what no run can start with, all of it in one message.

    Raises ConfigError.
    """
    spec = cell.spec
    if faults := list(_part_faults(spec)):  # the others ask the parts
        raise ConfigError("\n".join(faults))
    told, rules = dict(leaves(cell.values)), _rules(spec)
    faults = [
        f"{key}: expected {expected}, got {told[key]}"
        for key, (holds, expected) in rules.items()
        if not holds
    ]
    for text in cell.overrides:
        key = key_of(text)
        if key in OF_DATASET:
            faults.append(f"{text}: dataset.{key.partition('.')[2]} is for both")
    if spec.validation and spec.validation_data is not None:
        faults.append(
            "validation: a share, and validation_data as well: one of both, the other null"
        )
    if spec.clip is not None and spec.clip_value is not None:
        faults.append("clip: a norm, and clip_value as well: one of both, the other null")
    if spec.checkpoint.every and not spec.tracking.keep_journal:
        faults.append("checkpoint.every: is of use with the journal: tracking.keep_journal=true")
    if spec.min_delta and spec.patience is None:
        faults.append("min_delta: is for patience, which is null: set patience=..., or 0 here")
    faults += instead.faults(cell.values, cell.overrides)
    faults += measured_faults(spec.measure)
    faults += _number_faults(spec, said=not rules["lr"][0])
    faults += tracking_faults(cell.values["tracking"], cell.choices.get("tracking"))
    if faults:
        raise ConfigError("\n".join(faults))
    return Checked(spec)


def _rules(spec: Spec) -> dict[str, tuple[bool, str]]:
    """Return for each plain value whether it can be, and what would be right."""
    largest = float(np.finfo(spec.dtype).max)
    size = f"at most {largest:.2g} in {spec.dtype}"
    steps, patience, batch = spec.max_steps, spec.patience, spec.batch_size
    share, every, points = spec.validation, spec.checkpoint.every, spec.tracking.points
    norm, each = spec.clip, spec.clip_value
    return {
        "lr": (0 < spec.lr <= largest, f"a finite number above 0, {size}"),
        "epochs": (
            1 <= spec.epochs <= sys.maxsize,
            f"a whole number of 1 or more, up to {sys.maxsize}",
        ),
        "tolerance": (
            0 <= spec.tolerance < math.inf,
            "0 (never stop early) or a finite number above",
        ),
        "max_steps": (steps is None or 1 <= steps <= sys.maxsize, "1 or more, or null for any"),
        "patience": (patience is None or patience >= 1, "1 or more epochs, or null for any"),
        "min_delta": (0 <= spec.min_delta < math.inf, "0 or a finite number above"),
        "clip": (
            norm is None or 0 < norm <= largest,
            f"a finite number above 0, {size}, or null",
        ),
        "clip_value": (
            each is None or 0 < each <= largest,
            f"a finite number above 0, {size}, or null",
        ),
        "device.threads": (
            1 <= spec.device.threads <= MOST_THREADS,
            f"1 to {MOST_THREADS} threads of the CPU",
        ),
        "seed": (0 <= spec.seed < 2**63, f"a whole number of 0 or more, up to {2**63 - 1}"),
        "batch_size": (batch is None or batch >= 1, "1 or more samples, or null for all at once"),
        "shuffle": (_is_one_of(spec.shuffle, SHUFFLES), "epoch, replacement or false"),
        "drop_last": (
            batch is not None or not spec.drop_last,
            "false where all samples are one batch; batch_size=... makes several",
        ),
        "validation": (
            share is None or 0 <= share < 1,
            "a share of the samples from 0 to below 1, or null for none",
        ),
        "split_seed": (
            not share or 0 <= spec.split_seed <= LARGEST_SEED,
            f"a whole number of 0 or more, up to {LARGEST_SEED}, for a share for validation",
        ),
        "print_every": (spec.print_every >= 0, "0 (no lines) or a number of epochs"),
        "checkpoint.every": (every is None or every >= 1, "1 or more steps, or null for none"),
        "record.most_bytes": (
            spec.record.most_bytes >= 0,
            "0 (never all parameters of every step) or more bytes",
        ),
        "tracking.points": (
            points is None or points >= LEAST_POINTS,
            f"{LEAST_POINTS} or more, or null for all",
        ),
    }


PARTS = ("dataset", "validation_data", "model", "loss", "objective", "optimizer", "schedule")


def _part_faults(spec: Spec) -> Iterator[str]:
    """Yield a fault for each part that names nothing to build."""
    for part in PARTS:
        node = getattr(spec, part)
        if node is None or (part == "objective" and not node):
            continue
        if not isinstance(node, Mapping):
            yield f"{part}: expected a node with _target_, got {node}"
            continue
        name = node.get("_target_")
        if not isinstance(name, str) or not name.strip():
            holds = f"got {name}" if "_target_" in node else f"and there is {_listed(node)}"
            yield (
                f"{part}._target_: expected the name of a class or function, {holds}; in an "
                f"option's file _target_ is the first key, not one below {part}:"
            )


def _listed(node: Mapping[str, Any]) -> str:
    return f"only {', '.join(node)}" if node else "nothing"


def _number_faults(spec: Spec, *, said: bool) -> Iterator[str]:
    """What is wrong with numbers that the run's dtype cannot hold; `said`: that of lr is told.

    The tolerance is not among them, for it is compared in float64; nor is a dataset's number,
    with which float64 is computed before the samples are rounded to the dtype.
    """
    largest = float(np.finfo(spec.dtype).max)
    size = f"at most {largest:.2g} in {spec.dtype}"
    least = float(np.finfo(spec.dtype).smallest_subnormal)
    nodes = {"lr": spec.lr, "optimizer": spec.optimizer, "schedule": spec.schedule}
    nodes |= {"loss": spec.loss, "model": spec.model, "objective": spec.objective}
    for key, value in leaves(nodes):
        numbers = list(_numbers(value))
        follows = key == "optimizer.lr" and (said or value == spec.lr)
        if follows or (key == "lr" and said):
            continue
        is_bounded = key.startswith(("optimizer.", "schedule."))
        if is_bounded and not all(abs(one) <= largest for one in numbers):
            yield f"{key}: expected finite numbers, {size}, got {value}"
        elif not key.startswith("schedule.") and any(
            0 < abs(one) <= least / 2 for one in numbers
        ):  # the half is rounded to even
            kind = spec.dtype
            yield f"{key}: expected {least:.2g} or more, for less is 0 in {kind}, got {value}"
    lr: Any = spec.optimizer.get("lr")
    betas = spec.optimizer.get("betas")
    if not (is_number(lr) and isinstance(betas, list) and any(map(is_number, betas[:1]))):
        return
    # Adam and its kin begin with a step of lr / (1 - beta), to make up for means that begin at 0.
    if lr <= largest and 0 <= betas[0] < 1 and not lr / (1 - betas[0]) <= largest:
        yield (
            f"optimizer.lr: expected at most {largest * (1 - betas[0]):.2g} in {spec.dtype}, "
            f"for the first step is lr / (1 - {betas[0]}), got {lr}"
        )


def _is_one_of(value: Any, known: tuple[Any, ...]) -> bool:
    """Whether it is one of these words, or false: 0 is no word for it."""
    return any(value is one or (isinstance(value, str) and value == one) for one in known)


def _numbers(value: Any) -> Iterator[float]:
    """The value if it is a number, or those that a list or a mapping holds."""
    if is_number(value):
        yield value
    elif isinstance(value, list | Mapping):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(one)
