"""What no run can start with: plain values that are wrong, all of them in one message."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from runner.base.address import tracking_faults
from runner.base.overrides import key_of
from runner.config import instead
from runner.config.schema import Values, is_number, leaves
from runner.dataset.prepare import KEYS
from runner.dataset.split import LARGEST_SEED
from runner.engine.measured import faults as measured_faults
from runner.errors import ConfigError
from runner.record.spacing import LEAST_POINTS

MOST_THREADS = 256
SHUFFLES = ("epoch", "replacement", False)

OF_DATASET = {f"validation_data.{key}" for key in KEYS}


def check(
    values: Values, choices: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> None:
    """Refuse plain values that no run can start with, all of them in one message.

    `choices` has the option chosen for each config group, `overrides` what was typed.
    """
    lr, epochs, tolerance, seed = (values[key] for key in ("lr", "epochs", "tolerance", "seed"))
    batch, share, unseen = (values[k] for k in ("batch_size", "validation", "validation_data"))
    steps, patience, clip, each = (
        values[k] for k in ("max_steps", "patience", "clip", "clip_value")
    )
    room, points = values["record"]["most_bytes"], values["tracking"]["points"]
    largest = float(np.finfo(values["dtype"]).max)
    size = f"at most {largest:.2g} in {values['dtype']}"
    rules = {
        "lr": (0 < lr <= largest, f"a finite number above 0, {size}"),
        "epochs": (1 <= epochs <= sys.maxsize, f"a whole number of 1 or more, up to {sys.maxsize}"),
        "tolerance": (0 <= tolerance < math.inf, "0 (never stop early) or a finite number above"),
        "max_steps": (steps is None or 1 <= steps <= sys.maxsize, "1 or more, or null for any"),
        "patience": (patience is None or patience >= 1, "1 or more epochs, or null for any"),
        "min_delta": (0 <= values["min_delta"] < math.inf, "0 or a finite number above"),
        "clip": (clip is None or 0 < clip <= largest, f"a finite number above 0, {size}, or null"),
        "clip_value": (
            each is None or 0 < each <= largest,
            f"a finite number above 0, {size}, or null",
        ),
        "device.threads": (
            1 <= values["device"].get("threads", 1) <= MOST_THREADS,
            f"1 to {MOST_THREADS} threads of the CPU",
        ),
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
        "checkpoint.every": (
            values["checkpoint"]["every"] is None or values["checkpoint"]["every"] >= 1,
            "1 or more steps, or null for none",
        ),
        "record.most_bytes": (room >= 0, "0 (never all parameters of every step) or more bytes"),
        "tracking.points": (
            points is None or points >= LEAST_POINTS,
            f"{LEAST_POINTS} or more, or null for all",
        ),
    }
    told = dict(leaves(values))
    faults = list(_part_faults(values))
    if faults:  # the others ask the parts
        raise ConfigError("\n".join(faults))
    faults = [
        f"{key}: expected {expected}, got {told[key]}"
        for key, (holds, expected) in rules.items()
        if not holds
    ]
    for text in overrides:
        key = key_of(text)
        if key in OF_DATASET:
            faults.append(f"{text}: dataset.{key.partition('.')[2]} is for both")
    if share and unseen is not None:
        faults.append(
            "validation: a share, and validation_data as well: one of both, the other null"
        )
    if clip is not None and each is not None:
        faults.append("clip: a norm, and clip_value as well: one of both, the other null")
    if values["checkpoint"]["every"] and not values["tracking"]["keep_journal"]:
        faults.append("checkpoint.every: is of use with the journal: tracking.keep_journal=true")
    if values["min_delta"] and patience is None:
        faults.append("min_delta: is for patience, which is null: set patience=..., or 0 here")
    faults += instead.faults(values, overrides)
    faults += measured_faults(values["measure"])
    faults += _number_faults(values, largest, said=not rules["lr"][0])
    faults += tracking_faults(values["tracking"], (choices or {}).get("tracking"))
    if faults:
        raise ConfigError("\n".join(faults))


PARTS = ("dataset", "validation_data", "model", "loss", "objective", "optimizer", "schedule")


def _part_faults(values: Values) -> Iterator[str]:
    """Yield a fault for each part that names nothing to build."""
    for part in PARTS:
        node = values[part]
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


def _number_faults(values: Values, largest: float, *, said: bool) -> Iterator[str]:
    """What is wrong with numbers that the run's dtype cannot hold; `said`: that of lr is told.

    The tolerance is not among them, for it is compared in float64; nor is a dataset's number,
    with which float64 is computed before the samples are rounded to the dtype.
    """
    size = f"at most {largest:.2g} in {values['dtype']}"
    least = float(np.finfo(values["dtype"]).smallest_subnormal)
    nodes = {
        "lr": values["lr"],
        **{p: values[p] for p in ("optimizer", "schedule", "loss", "model", "objective")},
    }
    for key, value in leaves(nodes):
        numbers = list(_numbers(value))
        follows = key == "optimizer.lr" and (said or value == values["lr"])
        if follows or (key == "lr" and said):
            continue
        is_bounded = key.startswith(("optimizer.", "schedule."))
        if is_bounded and not all(abs(one) <= largest for one in numbers):
            yield f"{key}: expected finite numbers, {size}, got {value}"
        elif not key.startswith("schedule.") and any(
            0 < abs(one) <= least / 2 for one in numbers
        ):  # the half is rounded to even
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
    """The value if it is a number, or those that a list or a mapping holds."""
    if is_number(value):
        yield value
    elif isinstance(value, list | Mapping):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(one)
