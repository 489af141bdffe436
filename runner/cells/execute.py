"""Executes the units of a plan: in this process, or in a pool of them."""

import os
from collections.abc import Sequence

from runner.cells.pool import Pool
from runner.cells.progress import Progress
from runner.cells.result import Result
from runner.cells.work import Work, do
from runner.tracking.session import Session

WORTH_A_POOL = 8.0  # seconds in this process; its start costs about three


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def execute(
    works: Sequence[Work],
    session: Session,
    workers: int | None,
    received: Sequence[str],
    progress: Progress,
    *,
    stop_at_failure: bool,
) -> None:
    """Execute the units until all are done, it is stopped, or one fails and that is asked.

    With `workers` None, units run here until that is seen to take long, and then in a process for
    each core. Raises JournalError where nothing can be recorded any more.
    """
    failed = False

    def tell(result: Result) -> None:
        nonlocal failed
        failed |= result.outcome == "failed"
        progress.tell(result)

    def over() -> str:
        """What has ended it, if anything has."""
        if received:
            return received[0]
        return "the failure of another cell" if failed and stop_at_failure else ""

    left = list(works)
    if workers is None or workers == 1 or len(left) == 1:
        while left and not over():
            if workers is None and len(left) > 1 and _is_long(progress):
                break
            do(left.pop(0), session.journal, received, tell)
            progress.unit_is_done()
    if left and not over():
        needs_torch = any(c.values["gradient"] == "autograd" for w in left for c in w.cells)
        pool = Pool(min(workers or cores(), len(left)), session.path, torch=needs_torch)
        pool.run(left, over, tell, progress.unit_is_done)


def _is_long(progress: Progress) -> bool:
    """Whether what is left takes longer here than a pool and its start."""
    return cores() > 1 and progress.seconds_left() > WORTH_A_POOL
