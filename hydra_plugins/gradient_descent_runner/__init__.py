"""What Hydra finds by itself: the sweeper and the launcher of this project.

Hydra imports this for every command, so what they do is imported only when they do it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StackLauncher(Launcher):
    """Executes all cells of a sweep at once: see `runner.sweep.launch`."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """The cells' results in their order; that of one that failed raises when it is asked."""
        setup_globals()
        from runner.sweep.launch import launch

        return launch(self.hydra_context.config_loader, self.config, job_overrides)


class CellSweeper(BasicSweeper):
    """Hydra's own sweeper, without composing every cell twice for `StackLauncher`."""

    def sweep(self, arguments: list[str]) -> Any:
        """What the launcher returns for each batch. Ends with status 1 if a cell failed."""
        if not isinstance(self.launcher, StackLauncher):
            return super().sweep(arguments)
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        self.overrides = self.split_arguments(overrides, self.max_batch_size)
        returns, first = [], 0
        while not self.is_done():
            batch = self.get_job_batch()
            returns.append(self.launcher.launch(batch, initial_job_idx=first))
            first += len(batch)
        if any(job.status.name == "FAILED" for jobs in returns for job in jobs):
            sys.exit(1)  # the table has said why
        return returns


@dataclass
class StackLauncherConf:
    _target_: str = "hydra_plugins.gradient_descent_runner.StackLauncher"


@dataclass
class CellSweeperConf:
    _target_: str = "hydra_plugins.gradient_descent_runner.CellSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


store = ConfigStore.instance().store
store(group="hydra/launcher", name="stacks", node=StackLauncherConf, provider="runner")
store(group="hydra/sweeper", name="cells", node=CellSweeperConf, provider="runner")
