"""Where it breaks: a value over one number that was swept, or over two."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from runner.base.seeds import is_seed
from runner.base.text import number_of
from runner.report import figures_overall
from runner.report.comparison import Comparison

FILLED = 3
"""A map has a cell in one of so many places, at least"""


def breaks(compared: Comparison, made: dict[str, Any]) -> dict[str, Any] | None:
    """A value over what was swept and is a number: over one of them, or over two."""
    numbers = [key for key in compared.swept if not is_seed(key) and _is_numeric(compared, key)]
    if not numbers:
        return None
    numbers.sort(key=lambda key: key.rpartition(".")[2] != "lr")
    are_samples = len(numbers) > 1 and _are_samples(compared, numbers)
    is_map = len(numbers) > 1 and not are_samples
    plot = "heat" if is_map else "sensitivity"
    draw = figures_overall.heat_map if is_map else figures_overall.sensitivity
    made[plot] = draw(plot)
    values = [compared.by, *({"final loss", "excess loss"} - {compared.by})]
    values += ["epochs to tolerance"] if any(line.reached for line in compared.lines) else []
    values += ["outcome"] if plot == "heat" else []
    return {
        "plot": plot,
        "numbers": numbers,
        "choices": values,
        "words": list(_of_breaks(compared, numbers, plot, are_samples=are_samples)),
        "samples": numbers if are_samples else None,
    }


def _are_samples(compared: Comparison, numbers: Sequence[str]) -> bool:
    """Whether so few of all pairs occur that a map of them would be empty."""
    first, second = ([line.swept[key] for line in compared.lines] for key in numbers[:2])
    pairs = set(zip(first, second, strict=True))
    return FILLED * len(pairs) < len(set(first)) * len(set(second))


def _is_numeric(compared: Comparison, key: str) -> bool:
    numbers = {number_of(line.swept[key]) for line in compared.lines}
    return None not in numbers and len(numbers) > 1


def _of_breaks(
    compared: Comparison, numbers: Sequence[str], plot: str, *, are_samples: bool
) -> Iterator[str]:
    if any(line.outcome == "diverged" for line in compared.lines):
        if plot == "heat":
            yield "Hatched is where half of the cells, or more, have diverged."
        else:
            yield "A cross at the top edge is a cell that diverged."
    if compared.seeded:
        yield "A value is the median over the seeds; what diverged is infinite."
    edges = [line.edge for line in compared.lines if line.edge is not None]
    if edges and any(key.rpartition(".")[2] == "lr" for key in numbers):
        low, high = min(edges), max(edges)
        said = f"{low:.6g}" if math.isclose(low, high) else f"{low:.6g} to {high:.6g}"
        # Of samples each has its own.
        line = "Not drawn is" if are_samples else "The dashed line is"
        yield (
            f"{line} the stability edge, from which on SGD moves away from the minimum: "
            f"2 / lambda_max of the loss's Hessian for plain descent, farther with momentum. It is "
            f"at {said}; other optimizers have none that is known."
        )
