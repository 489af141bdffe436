"""Engine parity: runs of one experiment through several loops, and how far they are apart."""

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from runner.base.arrays import Array
from runner.errors import ConfigError
from runner.record.run import RecordedRun
from runner.report.problem import is_plain

MOST_PAIRS = 8
SAME = (
    *("dataset", "validation", "split_seed", "loss", "dtype", "epochs", "tolerance", "seed"),
    *("batch_size", "shuffle", "drop_last"),
)
"""What runs have in common that should take the same steps, beside optimizer and start."""
ORDER = ("numpy", "autograd", "optimizer", "module")


class Pair(NamedTuple):
    """Two loops, at each epoch that both have taken."""

    name: str
    epochs: Array
    """(steps,): fractions, within an epoch of several steps"""
    parameters: Array
    """(steps,): the largest absolute difference of a parameter"""
    loss: Array
    """(steps,): the absolute difference of the loss; NaN at the start"""
    relative: float
    """The largest difference of a parameter, by the largest magnitude of one"""


class Parity(NamedTuple):
    pairs: list[Pair]
    left_out: int


def parity(runs: Sequence[RecordedRun]) -> Parity:
    """Each loop against the one before it, for runs that differ in their loop alone."""
    alike: dict[str, dict[str, RecordedRun]] = {}
    if len({run.tags.get("loop") for run in runs}) < 2:
        return Parity([], 0)
    for run in runs:
        with suppress(ConfigError):  # a foreign config that is not plain data
            alike.setdefault(_experiment(run), {}).setdefault(run.tags.get("loop", ""), run)
    several = [by_loop for by_loop in alike.values() if len(by_loop) > 1]
    chains = [[loop[name] for name in ORDER if name in loop] for loop in several]
    neighbours = [pair for chain in chains for pair in pairwise(chain)]
    named = len(several) > 1
    pairs = [_pair(*two, named=named) for two in neighbours[:MOST_PAIRS]]
    return Parity(pairs, len(neighbours) - len(pairs))


def _experiment(run: RecordedRun) -> str:
    """What runs have in common that should take the same steps, as text."""
    config = run.config()
    optimizer = config.get("optimizer")
    if optimizer and is_plain(optimizer):
        optimizer = {"plain descent": optimizer.get("lr")}
    parameters = run.trajectory().parameters[1]
    start = parameters[0].tolist() if len(parameters) else None
    same = {key: config.get(key) for key in SAME}
    return json.dumps([same, optimizer, start], sort_keys=True)


def _pair(one: RecordedRun, other: RecordedRun, *, named: bool) -> Pair:
    a, b = one.trajectory(), other.trajectory()
    steps, here, there = np.intersect1d(a.parameters[0], b.parameters[0], return_indices=True)
    w, v = a.parameters[1][here].astype(np.float64), b.parameters[1][there].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(w - v).max(axis=1)
        loss = np.abs(a.step_losses[steps] - b.step_losses[steps])
    name = f"{one.tags['loop']} and {other.tags['loop']}"
    return Pair(
        f"{name}: {one.name}" if named else name,
        steps / a.epoch_steps,
        apart,
        loss,
        float(apart.max() / (np.abs(w).max() or 1.0)),
    )
