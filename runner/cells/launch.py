"""A sweep as Hydra's sweepers see it: from overrides to what each cell returns."""

import math
import signal
from collections.abc import Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus, env_override
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from runner.cell import Cell
from runner.cells.carry_out import carry_out
from runner.cells.compose import compose
from runner.cells.same import refuse_the_same
from runner.config import ConfigError, Values
from runner.executor import Result
from runner.journal import JournalError
from runner.settings import faults as settings_faults
from runner.tracking.session import Settings, session

SWEPT_ALONE = ("tracking", "sweep", "report")
"""Nodes that are the whole sweep's: each of its cells has the same."""


def launch(
    loader: ConfigLoader, master: DictConfig, overrides: Sequence[Sequence[str]]
) -> list[JobReturn]:
    """Execute the sweep; its cells' results in their order, none for a dry run.

    Raises ConfigError before anything runs if a cell cannot, and SystemExit, with all that was
    recorded kept, if a signal stopped it.
    """
    cells = compose(loader, master, overrides)
    chosen = settings(cells)
    tracking = Settings(**cells[0].values["tracking"], **cells[0].values["report"])
    tracked = None if chosen["dry_run"] else session(tracking, len(cells))
    own: Any = OmegaConf.to_container(master.hydra.job.env_set)
    try:
        with env_override(own):  # as for each job alone
            ended = carry_out(cells, chosen, tracked)
    except JournalError as error:  # a full disk, say: a message, not a traceback
        raise CompactHydraException(str(error)) from error
    if ended.received:
        raise SystemExit(128 + signal.Signals[ended.received[0]])
    if ended.verified and ended.verified.different:
        raise SystemExit(1)
    return _returned(cells, overrides, ended.results) if tracked else []


def settings(cells: Sequence[Cell]) -> Values:
    """The sweep's own settings. Raises ConfigError where they are not one for all cells."""
    faults = [
        f"{node}: is one for the whole sweep, and cannot be swept"
        for node in SWEPT_ALONE
        if any(cell.values[node] != cells[0].values[node] for cell in cells)
    ]
    chosen: Values = cells[0].values["sweep"]
    faults += settings_faults(chosen)
    if cells[0].values["tracking"]["log_model"]:
        faults.append("tracking.log_model: expected false, for models are kept of lone runs")
    if faults:
        raise ConfigError("\n".join(faults))
    refuse_the_same(cells)
    return chosen


def _returned(
    cells: Sequence[Cell], overrides: Sequence[Sequence[str]], results: Sequence[Result]
) -> list[JobReturn]:
    """What Hydra's sweepers see: the final loss, infinite if it diverged."""
    by_cell = {r.cell: r for r in results}
    returned = []
    for number in range(len(cells)):
        r = by_cell.get(number)
        job = JobReturn(overrides=list(overrides[number]), task_name="runner")
        if r is None or r.outcome == "failed":
            job.status = JobStatus.FAILED
            why = r.reason if r else "not run: another cell failed before"
            job.return_value = CompactHydraException(why)
        else:
            job.status = JobStatus.COMPLETED
            job.return_value = math.inf if r.outcome == "diverged" else r.final_loss
        returned.append(job)
    return returned
