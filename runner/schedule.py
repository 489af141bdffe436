"""Schedules by hand: the learning rate of each step, as `torch.optim.lr_scheduler` has it.

Each function takes the values of a schedule and returns a rule

    lr, state = rule(count, lr, first, loss, state)

that is pure. `count` is how many steps, or epochs, have been made, 0 before the first; `lr` the
learning rate of the last one, at 0 the same as `first`, the config's; `loss` what the last epoch
ended with. The state, the rule's own affair, starts as None. For a stack `lr`, `first` and `loss`
are arrays (cells,), and so may be the values that stand in OF_CELLS.

The operations are those of PyTorch's classes, in the same order, so the two are bit-identical.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from runner.errors import BadValue

Rule = Callable[[int, Any, Any, Any, Any], tuple[Any, Any]]


def constant() -> Rule:
    """The learning rate of the config at every step."""
    return _of_count(lambda count, lr, first: first)


def step_lr(*, step_size: int, gamma: float = 0.1) -> Rule:
    """`torch.optim.lr_scheduler.StepLR`: times gamma after each `step_size`."""
    _require(step_size=(step_size >= 1, "1 or more", step_size))
    return _of_count(lambda count, lr, first: lr if count % step_size else lr * gamma)


def exponential_lr(*, gamma: float) -> Rule:
    """`torch.optim.lr_scheduler.ExponentialLR`: times gamma after each."""
    return _of_count(lambda count, lr, first: lr * gamma)


def linear_lr(
    *, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5
) -> Rule:
    """`torch.optim.lr_scheduler.LinearLR`: from start_factor times the rate to end_factor times."""
    start, more = start_factor, end_factor - start_factor
    _require(
        start_factor=(np.all((start > 0) & (start <= 1)), "above 0, at most 1", start_factor),
        end_factor=(np.all((end_factor >= 0) & (end_factor <= 1)), "from 0 to 1", end_factor),
        total_iters=(total_iters >= 1, "1 or more", total_iters),
    )

    def next_lr(count: int, lr: Any, first: Any) -> Any:
        if count > total_iters:
            return lr
        return lr * (1.0 + more / (total_iters * start_factor + (count - 1) * more))

    return _of_count(next_lr, begin=lambda first: first * start_factor)


def cosine_annealing_lr(*, T_max: int, eta_min: float = 0.0) -> Rule:
    """`torch.optim.lr_scheduler.CosineAnnealingLR`: half a cosine wave from the rate to eta_min."""
    _require(T_max=(T_max >= 1, "1 or more", T_max))

    def next_lr(count: int, lr: Any, first: Any) -> Any:
        if (count - 1 - T_max) % (2 * T_max) == 0:
            return lr + (first - eta_min) * (1 - math.cos(math.pi / T_max)) / 2
        now, before = (1 + math.cos(math.pi * c / T_max) for c in (count, count - 1))
        return now / before * (lr - eta_min) + eta_min

    return _of_count(next_lr)


def one_cycle_lr(
    *,
    max_lr: float,
    total_steps: int,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = False,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Rule:
    """`torch.optim.lr_scheduler.OneCycleLR`: up to max_lr, then down to a small part of it."""
    _require(
        total_steps=(total_steps >= 1, "1 or more", total_steps),
        pct_start=(0 <= pct_start <= 1, "from 0 to 1", pct_start),
        anneal_strategy=(anneal_strategy in ("cos", "linear"), "cos or linear", anneal_strategy),
        cycle_momentum=(not cycle_momentum, "false by hand", cycle_momentum),
    )
    initial = max_lr / div_factor
    least = initial / final_div_factor
    warm = float(pct_start * total_steps) - 1
    phases = [(warm, initial, max_lr), (total_steps - 1, max_lr, least)]
    if three_phase:
        cool = float(2 * pct_start * total_steps) - 2
        phases[1:] = [(cool, max_lr, initial), (total_steps - 1, initial, least)]
    ends = [0.0, *(end for end, _, _ in phases)]
    is_long = all(ends[n] != ends[n + 1] for n in range(len(phases)))
    _require(pct_start=(is_long, "phases of a step or more: another share of the steps", pct_start))

    def lr_at(count: int) -> Any:
        if count > total_steps:
            raise BadValue("schedule.total_steps", f"{total_steps} steps are over")
        began = 0.0
        for number, (end, start_lr, end_lr) in enumerate(phases, 1):
            if count <= end or number == len(phases):
                done = (count - began) / (end - began)
                if anneal_strategy == "linear":
                    return (end_lr - start_lr) * done + start_lr
                return end_lr + (start_lr - end_lr) / 2.0 * (math.cos(math.pi * done) + 1)
            began = end
        raise AssertionError("the last phase has no end")

    return _of_count(lambda count, lr, first: lr_at(count), begin=lambda first: lr_at(0))


def range_test(*, to: float, total_steps: int) -> Rule:
    """From the rate to `to`, by the same factor at each step: the learning-rate range test.

    Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 3.3, here by the
    logarithm: the loss over the rate shows from where on it falls, and where it breaks.
    """
    _require(
        to=(np.all(np.isfinite(to) & (to > 0)), "above 0", to),
        total_steps=(total_steps >= 2, "2 or more", total_steps),
    )

    def next_lr(count: int, lr: Any, first: Any) -> Any:
        share = min(count, total_steps - 1) / (total_steps - 1)
        # As of an array, also of one number: Python's own powers round otherwise.
        made = first * np.power(np.atleast_1d(to / first), share)
        return made if isinstance(first, np.ndarray) else float(made[0])

    return _of_count(next_lr)


def reduce_lr_on_plateau(
    *,
    mode: str = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> Rule:
    """`torch.optim.lr_scheduler.ReduceLROnPlateau`: times factor once the loss stays where it is.

    That is for more than `patience` epochs. The loss is the validation data's where there are any.
    """
    _require(
        mode=(mode in ("min", "max"), "min or max", mode),
        threshold_mode=(threshold_mode in ("rel", "abs"), "rel or abs", threshold_mode),
        factor=(np.all(np.less(factor, 1)), "below 1", factor),
    )
    sign = 1.0 if mode == "min" else -1.0

    def is_better(loss: Any, best: Any) -> Any:
        if threshold_mode == "abs":
            return loss < best - threshold if sign > 0 else loss > best + threshold
        return loss < best * (1.0 - threshold) if sign > 0 else loss > best * (threshold + 1.0)

    def rule(count: int, lr: Any, first: Any, loss: Any, state: Any) -> tuple[Any, Any]:
        if count == 0:
            return first, (first * 0 + sign * math.inf, first * 0, first * 0)
        best, bad, cooling = state
        better = is_better(loss, best)
        best, bad = np.where(better, loss, best), np.where(better, 0, bad + 1)
        bad, cooling = np.where(cooling > 0, 0, bad), np.where(cooling > 0, cooling - 1, cooling)
        over = bad > patience
        less = np.maximum(lr * factor, min_lr)
        lr = np.where(over & (lr - less > eps), less, lr)
        return lr, (best, np.where(over, 0, bad), np.where(over, cooldown, cooling))

    return rule


def _of_count(
    next_lr: Callable[[int, Any, Any], Any], begin: Callable[[Any], Any] = lambda first: first
) -> Rule:
    """A rule that asks no loss and keeps nothing; it begins with `begin` of the config's rate."""

    def rule(count: int, lr: Any, first: Any, loss: Any, state: Any) -> tuple[Any, Any]:
        return begin(first) if count == 0 else next_lr(count, lr, first), state

    return rule


def _require(**values: tuple[Any, str, Any]) -> None:
    for name, (holds, expected, got) in values.items():
        if not holds:
            raise BadValue(name, expected=f"{expected}", got=got)


ASK_LOSS: set[Callable[..., Any]] = {reduce_lr_on_plateau}
"""Schedules whose rule looks at the loss, which there is at the end of an epoch."""

OF_CELLS = {
    *("gamma", "start_factor", "end_factor", "eta_min", "max_lr", "div_factor"),
    *("final_div_factor", "factor", "threshold", "min_lr", "eps", "to"),
}
"""Values with which a rule only calculates: each cell of a stack may have its own."""

BY_HAND: dict[str, Callable[..., Rule]] = {
    "torch.optim.lr_scheduler.StepLR": step_lr,
    "torch.optim.lr_scheduler.ExponentialLR": exponential_lr,
    "torch.optim.lr_scheduler.LinearLR": linear_lr,
    "torch.optim.lr_scheduler.CosineAnnealingLR": cosine_annealing_lr,
    "torch.optim.lr_scheduler.OneCycleLR": one_cycle_lr,
    "torch.optim.lr_scheduler.ReduceLROnPlateau": reduce_lr_on_plateau,
    "runner.schedule.range_test": range_test,
}
"""The rule by hand for each class of PyTorch's that has one; and one that no class there is."""
