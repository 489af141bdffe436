"""The settings of a sweep: what each may be, and where there is no sweep to set."""

from collections.abc import Iterator

from runner.config.schema import Values
from runner.config.spec import SweepSpec
from runner.errors import ConfigError

VALIDATED = "final_val_loss"

DEFAULTS: Values = {
    "stack": "auto",
    "workers": None,
    "dry_run": False,
    "resume": False,
    "verify": 0,
    "on_error": "continue",
    "sampler": "grid",
    "samples": None,
    "zip": None,
    "seed": 0,
    "batch": None,
    "minimise": "final_loss",
    "prune": None,
}
"""Those of `conf/config.yaml`."""

SAMPLERS = ("grid", "random", "sobol")
WHICH_CELLS = ("sampler", "samples", "zip", "seed")
"""Those that say which cells there are, whoever carries them out: see `runner.config.sample`."""
MINIMISED = ("final_loss", "best_loss", VALIDATED, "epochs_run")
"""What a run has at its end, and a search can look for the least of"""


def faults(settings: SweepSpec) -> Iterator[ConfigError]:
    """Yield what is wrong with the settings of a sweep."""
    stack, workers, count = settings.stack, settings.workers, settings.verify
    if stack != "auto" and not isinstance(stack, bool):
        yield ConfigError("sweep.stack", expected="auto, true or false", got=repr(stack))
    if workers is not None and workers < 1:
        yield ConfigError("sweep.workers", expected="1 or more, or null", got=workers)
    if count < 0:
        yield ConfigError("sweep.verify", expected="0 or a number of cells", got=count)
    wanted, prune = settings.minimise, settings.prune
    if wanted not in MINIMISED:
        expected = f"one of {', '.join(MINIMISED)}"
        yield ConfigError("sweep.minimise", expected=expected, got=wanted)
    if prune not in (None, "median"):
        yield ConfigError("sweep.prune", expected="median or null", got=prune)
    elif prune and wanted == "epochs_run":
        yield ConfigError(
            "sweep.prune", "expected a loss to be minimised, for it compares epochs by it"
        )
    elif not prune and wanted != "final_loss" and settings.sampler in SAMPLERS:
        yield ConfigError(
            "sweep.minimise", "is of a search, or of sweep.prune: sweep.sampler=tpe, say"
        )
    elif prune and settings.stack is False:
        yield ConfigError(
            "sweep.prune", "compares the cells of a stack, and sweep.stack=false makes none"
        )


def check_alone(settings: SweepSpec, *, is_swept: bool) -> None:
    """Refuse settings of a sweep that a job alone cannot honour: any but the default.

    `is_swept`: the job is one of a sweep that another launcher carries out, which cannot print
    its plan either; a run by itself can. Raises ConfigError.
    """
    wrong = list(faults(settings))
    named = {fault.key for fault in wrong}
    for key, default in DEFAULTS.items():
        always = WHICH_CELLS if is_swept else ("dry_run",)
        is_honoured = getattr(settings, key) == default or key in always
        if is_honoured or f"sweep.{key}" in named:
            continue
        if is_swept:
            why = "only hydra/launcher=stacks, the default, can honour it"
        else:
            why = "is for a sweep, and this is a single run: add -m, or leave it"
        wrong.append(ConfigError(f"sweep.{key}", why))
    if wrong:
        raise ConfigError("\n".join(map(str, wrong)))
