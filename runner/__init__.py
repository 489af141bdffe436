"""Compose an experiment from named parts, run the loop that matches, keep the whole trajectory.

    import runner

    run = runner.run("optimizer=sgd", lr=0.1)
    run.outcome, run.final_loss, run.trajectory      # a DataFrame, a row for each step
    sweep = runner.sweep("optimizer=sgd,adam", lr=[0.01, 0.1], seed=range(20))
    sweep.cells, sweep.best, sweep[3].trajectory     # and sweep.report(), a page
    runner.load("latest")

The command line is `python -m runner`: see `runner.cli.command`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.base.moved import Moved
from runner.base.signals import end_while_loading

if TYPE_CHECKING:
    from runner.errors import ConfigError as ConfigError
    from runner.errors import JournalError as JournalError
    from runner.errors import NotFound as NotFound
    from runner.errors import RunnerError as RunnerError
    from runner.errors import SourceError as SourceError
    from runner.results import Run as Run
    from runner.results import Sweep as Sweep

_ERRORS = ("ConfigError", "JournalError", "NotFound", "RunnerError", "SourceError")

__all__ = [*_ERRORS, "Run", "Sweep", "finish", "load", "run", "sweep"]

sys.meta_path.append(Moved())

MODULE = [*sys.orig_argv, "-m", ""][[*sys.orig_argv, "-m"].index("-m") + 1]
"""What `python -m` was asked to start; empty where it was not."""

if sys.argv[:1] == ["-m"] and MODULE.partition(".")[0] == __name__:  # Python looks for it now
    end_while_loading()  # until `runner.cli.entry` takes over, once all is imported

_WHERE = {
    **dict.fromkeys(_ERRORS, "runner.errors"),
    "Run": "runner.results",
    "Sweep": "runner.results",
}
"""What is imported when it is first asked for: nobody waits for what he does not use."""


def run(
    *words: str, config_dir: str | Path | None = None, verbose: bool = False, **values: Any
) -> Run:
    """Execute one run and record it, as `python -m runner WORDS` does.

    `words` are those of the command line, `"optimizer=sgd"` say, and `values` the same as
    keywords: `lr=0.1`. For a dataset, model, loss or optimizer an object may stand: `(x, y)` or a
    function that returns it; a `torch.nn.Module`, of which each run trains a copy; a function of
    (prediction, y); a class of optimizers, or a function of the parameters that makes one.
    `config_dir` is a folder of configs of your own.

    It prints nothing unless it is `verbose`, and leaves Hydra, the random numbers and the signal
    handlers of the caller as they were. What is recorded is published into MLflow in the
    background: `finish` waits for that. Calls from several threads wait for one another.

    Raises ConfigError, with what the command line would print, before anything is recorded;
    whatever a part raises, and KeyboardInterrupt, once the run is recorded as failed or
    interrupted.
    """
    from runner import api

    return api.run(words, config_dir, values, verbose=verbose)


def sweep(
    *words: str, config_dir: str | Path | None = None, verbose: bool = False, **values: Any
) -> Sweep:
    """Execute a run for each combination, as `python -m runner -m WORDS` does.

    As `run`, but that the words may have commas in them, `"optimizer=sgd,adam"`, and that a value
    may be a list or a range of those to sweep: `lr=[0.01, 0.1]`, `seed=range(20)`. (Of a dataset,
    a tuple is one: `(x, y)`.)

    Cells that fail fail alone, and are warned of. It runs in this process unless `sweep.workers=2`
    or more is among the words.
    """
    from runner import api

    return api.sweep(words, config_dir, values, verbose=verbose)


def load(word: str, uri: str | None = None, *, trust: bool = False) -> Run | Sweep:
    """The run or the sweep of that name or id, or the `latest`: from the journals or MLflow.

    With a `uri`, only that MLflow store is asked. `trust` lets a report build whatever a config
    from a store, or from a journal that was copied here, names. Raises NotFound.
    """
    from runner import api

    return api.load(word, uri, trust=trust)


def finish() -> str:
    """Wait until all that this process has recorded is in MLflow; what became of it, in words."""
    from runner import api

    return api.finish()


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'runner' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)
