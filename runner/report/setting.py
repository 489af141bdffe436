"""Lines that differ in a seed alone, as one setting; and which settings can be ranked together."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from runner.base import seeds
from runner.record.differing import differing, is_of_the_problem, said
from runner.report.line import Line


class Setting(NamedTuple):
    """Lines that differ in a seed alone."""

    values: dict[str, str]
    """What was swept, but for the seeds"""
    lines: list[int]
    """Their indices in the comparison"""
    spread: seeds.Spread
    """Of what settings are ranked by"""
    problem: str = ""
    """Which data and which loss, where not all have the same: only within one they are ranked"""
    rank: int | None = None
    """Within its problem, from 1; None where no cell has ended in a number"""


def grouped(lines: Sequence[Line], swept: Sequence[str]) -> tuple[list[Setting], bool]:
    """The settings, the best of each problem first, and whether seeds draw different data."""
    others = [key for key in swept if not seeds.is_seed(key)]
    if len(others) < len(swept):
        together = seeds.settings([tuple(line.swept[key] for key in others) for line in lines])
    else:
        together = [[index] for index in range(len(lines))]
    draws = any(len({lines[index].data for index in own} - {""}) > 1 for own in together)
    problems = _problems(lines)
    found = []
    for own in together:
        spread = seeds.spread([lines[index].value(draws=draws) for index in own])
        values = {key: lines[own[0]].swept[key] for key in others}
        found.append(Setting(values, own, spread, problems[own[0]]))

    def rank(setting: Setting) -> tuple[Any, ...]:
        middle, own = setting.spread.middle, [lines[index] for index in setting.lines]
        epochs = float(np.median([line.epochs for line in own]))
        share = setting.spread.diverged / (setting.spread.cells or 1)
        finer = seeds.spread([line.excess for line in own]).middle  # where rounding has made ties
        return (
            *seeds.order_of(middle),
            share,
            *seeds.order_of(finer),
            epochs if math.isfinite(middle) else -epochs,
        )

    order = {problem: number for number, problem in enumerate(dict.fromkeys(problems))}
    found.sort(key=lambda setting: (order[setting.problem], *rank(setting)))
    ranks = dict.fromkeys(order, 0)
    ranked = []
    for setting in found:
        ranks[setting.problem] += 1
        own_rank = ranks[setting.problem] if setting.spread.cells else None
        ranked.append(setting._replace(rank=own_rank))
    return ranked, draws


def _problems(lines: Sequence[Line]) -> list[str]:
    """What each line fits, as far as they differ in it: data, but for seeds, and loss."""
    params = [{**line.swept, **(line.run.params if line.run else {})} for line in lines]
    known = [{k: v for k, v in own.items() if is_of_the_problem(k)} for own in params]
    # Of a cell that was not run, what it shares with the others is not told.
    usual = next((own for own, line in zip(known, lines, strict=True) if line.run), {})
    told = [own if line.run else {**usual, **own} for own, line in zip(known, lines, strict=True)]
    keys = differing(told)
    return [" ".join(said(key, own[key]) for key in keys if key in own) for own in told]
