"""Optuna's samplers by name: a search that learns where to look next."""

import inspect
import warnings
from typing import Any

from runner.config.settings import SAMPLERS
from runner.errors import ConfigError

NOT_BY_ROUNDS = ("bruteforce",)
"""What ends a study by itself, and is a grid"""
INSTALL = "pip install 'gradient-descent-runner[search]'"


def sampler(name: str, seed: int) -> Any:
    """Optuna's sampler of that name, `tpe` for `TPESampler`. Raises ConfigError."""
    own = ", ".join(SAMPLERS)
    try:
        from optuna import samplers
        from optuna.exceptions import ExperimentalWarning
    except ImportError:
        also = f"or with Optuna ({INSTALL}) tpe, cmaes, gp and others"
        raise ConfigError("sweep.sampler", f"expected one of {own}, {also}; got {name}") from None
    there = {
        known.removesuffix("Sampler").lower(): made
        for known in samplers.__all__
        if known.endswith("Sampler") and _needs_a_seed_alone(made := getattr(samplers, known))
    }
    there = {key: made for key, made in there.items() if key not in (*SAMPLERS, *NOT_BY_ROUNDS)}
    if name not in there:
        known = ", ".join([own, *sorted(there)])
        raise ConfigError("sweep.sampler", f"expected one of {known}; got {name}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # of samplers as old as Optuna 3
            return there[name](seed=seed)
    except ImportError as error:  # of what it alone needs
        raise ConfigError(f"sweep.sampler={name}: {error}; {INSTALL}") from error


def _needs_a_seed_alone(made: Any) -> bool:
    takes = inspect.signature(made).parameters
    needed = [one for one in takes.values() if one.default is one.empty]
    return "seed" in takes and not needed and not inspect.isabstract(made)
