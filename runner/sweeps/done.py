"""What earlier sweeps have done, as their journals tell: no tracking server is asked."""

from typing import NamedTuple

from runner.engine.fingerprint import TAG
from runner.record.journal import End, ends, paths

DONE = ("converged", "stopped_early", "exhausted", "diverged")
"""Outcomes that would come out the same again."""


class Done(NamedTuple):
    """A run that needs not be done again."""

    run: str
    end: End


def done(store: str, experiment: str, *, pruned: bool = False) -> dict[str, Done]:
    """By fingerprint, every finished run in a journal that was for that place in MLflow.

    A run by itself is one of them, unless it was taken further than its config says.
    `pruned`: those that were given up are as good as finished.

    Raises JournalUnavailable.
    """
    outcomes = DONE if not pruned else (*DONE, "pruned")
    finished: dict[str, Done] = {}
    tags: dict[str, str] = {}
    for path in paths():
        for run, start, end in ends(path):
            before = tags.pop(run, "")
            if before and finished[before].run == run:  # it has gone on since that end
                del finished[before]
            tag = {**start.tags, **end.tags}.get(TAG)
            is_there = (start.store, start.experiment) == (store, experiment)
            if tag and is_there and end.outcome in outcomes:
                finished[tag], tags[run] = Done(run, end), tag
    return finished
