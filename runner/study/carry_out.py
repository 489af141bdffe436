"""Runs what a study asks for."""

from collections.abc import Iterator, Sequence
from typing import Any

import runner
from runner.config import ConfigError
from runner.study.found import Study

QUIETLY = {"tracking": "off", "print_every": 0, "tolerance": 0, "dtype": "float64"}
"""What holds for experiments that say nothing else: journals alone, no stopping at a small loss."""


def carry_out(study: Study, words: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """Each experiment by its name, once it has been run; `words` are told to all of them.

    Raises ConfigError for one that cannot run, and RuntimeError where a cell has failed.
    """
    typed = {word.lstrip("+~").partition("=")[0] for word in words}
    for name, values in study.experiments.items():
        own = {key: value for key, value in {**QUIETLY, **values}.items() if key not in typed}
        grid = own.pop("words", [])
        try:
            sweep = runner.sweep(*grid, *words, **own)
        except ConfigError as error:
            raise ConfigError(f"{study.name}, {name}: {error}") from error
        failed = [run for run in sweep if run.outcome in ("failed", "interrupted")]
        if failed:
            raise RuntimeError(f"{study.name}, {name}: {failed[0].name}: {failed[0].reason}")
        yield name, sweep
