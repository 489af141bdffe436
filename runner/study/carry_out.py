"""Runs what a study asks for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.base.overrides import key_of
from runner.config.cell import Cell
from runner.config.words import words as overrides
from runner.errors import ConfigError
from runner.study.found import Study
from runner.sweeps.composing import many_cells

QUIETLY = {"tracking": "off", "print_every": 0, "tolerance": 0, "dtype": "float64"}
"""What holds for experiments that say nothing else: journals alone, no stopping at a small loss."""

FIRST = 101
"""Of the seeds that a refusal proposes"""


def carry_out(
    study: Study, sweep: Callable[..., Any], words: Sequence[str] = ()
) -> Iterator[tuple[str, Any]]:
    """Run each experiment, with `words` for all of them, and yield its name and its sweep.

    `sweep` is `runner.sweep`. A seed reaches only the experiments that need seeds: the others draw
    nothing. Raises ConfigError for an experiment that cannot run, RuntimeError where a cell has
    failed, and, before any of them runs, ConfigError for one that has fewer seeds than its
    tolerances are for.
    """
    _check_seeds(study, words)
    for name, values in study.experiments.items():
        grid, settings = _asked(values, words)
        try:
            runs = sweep(*grid, **settings)
        except ConfigError as error:
            raise ConfigError(f"{study.name}, {name}: {error}") from error
        failed = [run for run in runs if run.outcome in ("failed", "interrupted")]
        if failed:
            raise RuntimeError(f"{study.name}, {name}: {failed[0].name}: {failed[0].reason}")
        yield name, runs


def _asked(values: Mapping[str, Any], words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the words and the keywords with which an experiment calls `runner.sweep`."""
    if "seeds" not in values:
        words = [word for word in words if key_of(word) != "seed"]
    typed = {key_of(word) for word in words}
    settings = {key: value for key, value in {**QUIETLY, **values}.items() if key not in typed}
    settings.pop("seeds", None)
    return [*settings.pop("words", []), *words], settings


def _check_seeds(study: Study, words: Sequence[str]) -> None:
    """Raise ConfigError where an experiment has fewer different seeds than it needs."""
    needs = {name: values.get("seeds", {}) for name, values in study.experiments.items()}
    most = max((count for needed in needs.values() for count in needed.values()), default=0)
    for name, needed in needs.items():
        place = f"{study.name}, {name}"
        cells = _cells(place, study.experiments[name], words) if needed else []
        for key, count in needed.items():
            seeds = sorted({_value(cell.values, key) for cell in cells}, key=str)
            if len(seeds) < count:
                shown = ", ".join(map(str, seeds))
                raise ConfigError(
                    place,
                    f"{key}: expected at least {count} different seeds, because its "
                    f"tolerances are for all of them together, got {len(seeds)}: {shown}; type "
                    f"'seed=range({FIRST},{FIRST + most})', or no seed for those of the study",
                )


def _cells(place: str, values: Mapping[str, Any], words: Sequence[str]) -> Sequence[Cell]:
    """Return the cells of an experiment, composed and not run."""
    grid, settings = _asked(values, words)
    try:
        return many_cells(overrides(grid, settings, swept=True).overrides, None).span
    except ConfigError as error:
        raise ConfigError(place, f"{error}") from error


def _value(values: Mapping[str, Any], key: str) -> Any:
    node: Any = values
    for name in key.split("."):
        node = node[name]
    return node
