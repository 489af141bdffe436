"""What earlier sweeps have done, as their journals tell: no tracking server is asked."""

from typing import NamedTuple

from runner.fingerprint import TAG
from runner.journal import End, ends, paths

DONE = ("converged", "stopped_early", "exhausted", "diverged")
"""Outcomes that would come out the same again."""


class Done(NamedTuple):
    """A run that needs not be done again."""

    run: str
    end: End


def done(store: str, experiment: str, *, pruned: bool = False) -> dict[str, Done]:
    """By fingerprint, every finished run in a journal that was for that place in MLflow.

    `pruned`: those that were given up are as good as finished.

    Raises JournalUnavailable.
    """
    return {
        start.tags[TAG]: Done(run, end)
        for path in paths()
        for run, start, end in ends(path)
        if TAG in start.tags
        and (start.store, start.experiment) == (store, experiment)
        and end.outcome in (DONE if not pruned else (*DONE, "pruned"))
    }
