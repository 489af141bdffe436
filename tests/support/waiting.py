"""Waiting for what another process does."""

import time

from runner.record.journal import summaries

PATIENCE = 600
"""Seconds until something counts as stuck: a busy machine may take a hundred times as long."""


def wait_for(what, of=None, said=lambda: "it does not come"):
    """What `what()` gives once that is true, or once the process `of` has ended.

    `said()` is what a test tells that has waited in vain.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        asked = time.monotonic()
        if (found := what()) or not (of is None or of.poll() is None):
            return found
        assert asked < deadline, said()
        time.sleep(max(0.02, time.monotonic() - asked))  # what is waited for needs a core too


def recorded_steps(folder):
    """Of each cell that a sweep in the folder has begun: the last step in its journal."""
    found = [run for path in folder.glob("mlruns/journal/*.db") for run in summaries(path).values()]
    return [run.steps for run in found if "cell" in run.start.tags]
