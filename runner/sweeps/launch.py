"""A sweep as Hydra's sweepers see it: from overrides to what each cell returns."""

import math
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus, env_override
from omegaconf import DictConfig, OmegaConf

from runner.config.cell import Cell
from runner.config.composer import Composer
from runner.config.settings import VALIDATED
from runner.config.settings import faults as settings_faults
from runner.config.spec import SweepSpec
from runner.config.split import Split
from runner.engine.unused import refuse_unused
from runner.errors import ConfigError, RunnerError
from runner.sweeps.carry_out import EndedSweep, MakeExecutor, carry_out
from runner.sweeps.compose import compose, composed
from runner.sweeps.executors import Engine, Executor
from runner.sweeps.progress import Progress
from runner.sweeps.search import searched
from runner.sweeps.source import CellSource, all_at_once
from runner.tracking.session import Session, Settings, session

SWEPT_ALONE = ("tracking", "sweep", "report")
"""Nodes that are the whole sweep's: each of its cells has the same."""


def launch(
    loader: ConfigLoader,
    master: DictConfig,
    overrides: Sequence[Sequence[str]],
    engine: Engine | None = None,
) -> list[JobReturn]:
    """Execute the sweep; its cells' results in their order, none for a dry run.

    On other machines, if there is an engine for them. Raises ConfigError before anything runs if a
    cell cannot, and SystemExit, with all that was recorded kept, if a signal stopped it.
    """
    cells = compose(loader, master, overrides)
    returned = _carried_out(all_at_once(cells), master, engine)
    return _returned(cells, overrides, returned) if returned is not None else []


def search(
    loader: ConfigLoader,
    master: DictConfig,
    split: Split,
    most: int | None,
    engine: Engine | None = None,
) -> list[JobReturn]:
    """The same of cells that follow from what came of others; their results in their order."""
    if most is not None:
        raise ConfigError("hydra.sweeper.max_batch_size", "is sweep.batch where a search goes on")
    composer = Composer(loader, master, refuse_grids=True)
    compose = partial(composed, composer)
    made = searched(split, compose)
    ended = _carried_out(made, master, engine)
    if ended is None:
        return []
    return _returned(ended.cells, [cell.overrides for cell in ended.cells], ended)


def _carried_out(
    source: CellSource, master: DictConfig, engine: Engine | None
) -> EndedSweep | None:
    """How the sweep has ended; None for a dry run."""
    cells = source.span
    chosen = settings(cells)
    if engine and cells[0].spec.checkpoint.every:
        raise ConfigError("checkpoint.every", "expected null, for checkpoints stay on one machine")
    tracking = Settings.of(cells[0].spec)
    own: Any = OmegaConf.to_container(master.hydra.job.env_set)
    try:
        if engine and not chosen.dry_run:
            engine.check(cells)
        tracked = None if chosen.dry_run else session(tracking, source.most)
        make = _executors(engine, tracked) if engine and tracked else None
        with env_override(own):  # as for each job alone
            ended = carry_out(source, chosen, tracked, make)
    finally:
        if engine:
            engine.close()
    if ended.received:
        raise SystemExit(128 + signal.Signals[ended.received[0]])
    if ended.verified and ended.verified.different:
        raise SystemExit(1)
    return ended if tracked else None


def _executors(engine: Engine, tracked: Session) -> MakeExecutor:
    def made(received: Sequence[str], progress: Progress) -> Executor:
        return engine.executor(lambda: tracked.journal, received)

    return made


def settings(cells: Sequence[Cell]) -> SweepSpec:
    """The sweep's own settings. Raises ConfigError where they are not one for all cells."""
    faults = [
        f"{node}: is one for the whole sweep, and cannot be swept"
        for node in SWEPT_ALONE
        if any(cell.values[node] != cells[0].values[node] for cell in cells)
    ]
    chosen = cells[0].spec.sweep
    faults += map(str, settings_faults(chosen))
    validated = cells[0].spec.validation or cells[0].spec.validation_data
    if chosen.minimise == VALIDATED and not validated:
        faults.append(f"sweep.minimise={VALIDATED}: expected validation=..., of which it is")
    if cells[0].spec.tracking.log_model:
        faults.append("tracking.log_model: expected false, for models are kept of lone runs")
    if faults:
        raise ConfigError("\n".join(faults))
    refuse_unused(cells)
    return chosen


def _returned(
    cells: Sequence[Cell], overrides: Sequence[Sequence[str]], ended: EndedSweep
) -> list[JobReturn]:
    """What Hydra's sweepers see: the final loss, infinite if it diverged."""
    by_cell = {r.cell: r for r in ended.results}
    returned = []
    for number in range(len(cells)):
        r = by_cell.get(number)
        job = JobReturn(overrides=list(overrides[number]), task_name="runner")
        if r is None or r.outcome == "failed":
            job.status = JobStatus.FAILED
            why = r.reason if r else "not run: another cell failed before"
            job.return_value = RunnerError(why)
        else:
            job.status = JobStatus.COMPLETED
            job.return_value = math.inf if r.outcome == "diverged" else r.final_loss
        returned.append(job)
    return returned
