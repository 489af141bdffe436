"""What Hydra finds by itself: sweeper, launcher and search path of this project.

Hydra imports this for every command, so what they do is imported only when they do it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from runner.base.paths import CONF
from runner.config.hydra_inside import config_source, sweeper


class ShippedRoot(config_source()):  # type: ignore[misc]
    """`conf/config.yaml` and what else lies beside the groups in a folder, without the groups."""

    @staticmethod
    def scheme() -> str:
        return "root"

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        return "/" not in config_path and super().is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return [] if config_path else super().list(config_path, results_filter)


class UsersFolderFirst(SearchPathPlugin):
    """Has Hydra look into the folder that `--config-dir` names before the shipped groups.

    The root config stays the shipped one: a user's folder may hold a `config.yaml` of another
    program. Hydra inserts a user's folder before what the provider `schema` gives.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for element in search_path.get_path():
            if element.provider == "main" and element.path == str(CONF):
                element.provider = "schema"
                search_path.prepend("main", f"root://{CONF}", "schema")
                return


class StackLauncher(Launcher):
    """Executes all cells of a sweep at once: see `runner.sweeps.launch`."""

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
        from runner.sweeps.launch import launch

        loader = self.hydra_context.config_loader
        return launch(loader, self.config, job_overrides, self.engine())

    def search(self, split: Any, most: int | None) -> Sequence[JobReturn]:
        """The same of cells that follow from what came of others; `most`: in a batch."""
        setup_globals()
        from runner.sweeps.launch import search

        return search(self.hydra_context.config_loader, self.config, split, most, self.engine())

    def engine(self) -> Any:
        """What carries out the units, if not this machine."""
        return None


class RayLauncher(StackLauncher):
    """The same on Ray: see `runner.sweeps.executors.on_ray`."""

    def __init__(self, **cluster: Any) -> None:
        self._cluster = cluster

    def engine(self) -> Any:
        from runner.sweeps.executors.on_ray import OnRay
        from runner.sweeps.executors.ray_cluster import Cluster

        return OnRay(Cluster(**self._cluster))


class SlurmLauncher(StackLauncher):
    """The same as jobs of SLURM: see `runner.sweeps.executors.on_slurm`."""

    def __init__(self, cluster: str, jobs: int, **parameters: Any) -> None:
        self._jobs = cluster, jobs, parameters

    def engine(self) -> Any:
        from runner.sweeps.executors.on_slurm import Jobs, OnSlurm

        return OnSlurm(Jobs(*self._jobs))


class CellSweeper(sweeper()):  # type: ignore[misc]
    """Hydra's own sweeper, without composing every cell twice for `StackLauncher`.

    And with each cell made of what its lone run would be made of, in the same order.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """What the launcher returns for each batch. Ends with status 1 if a cell failed."""
        assert self.hydra_context is not None
        assert self.config is not None
        from runner.config.schema import plain_node
        from runner.config.settings import check_alone
        from runner.config.spec import SweepSpec
        from runner.config.split import batches, split

        chosen = plain_node(self.config.sweep)
        if not isinstance(self.launcher, StackLauncher):
            check_alone(SweepSpec(**chosen), is_swept=True)
            self.split_arguments = lambda own, most: batches(split(own, chosen).cells(), most)
            return super().sweep(arguments)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        made = split(overrides, chosen)
        if made.how.is_search:
            returns = [self.launcher.search(made, self.max_batch_size)]
        else:
            returns = [
                self.launcher.launch(batch, initial_job_idx=0)
                for batch in batches(made.cells(), self.max_batch_size)
            ]
        if any(job.status.name == "FAILED" for jobs in returns for job in jobs):
            sys.exit(1)  # the table has said why
        return returns


@dataclass
class StackLauncherConf:
    _target_: str = "hydra_plugins.gradient_descent_runner.StackLauncher"


@dataclass
class RayLauncherConf:
    _target_: str = "hydra_plugins.gradient_descent_runner.RayLauncher"
    address: str | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    memory: int | None = None
    max_retries: int = 3
    runtime_env: Any = None


@dataclass
class SlurmLauncherConf:
    _target_: str = "hydra_plugins.gradient_descent_runner.SlurmLauncher"
    cluster: str = "slurm"
    jobs: int = 100
    name: str = "gradient-descent"
    timeout_min: int = 60
    cpus_per_task: int = 1
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    array_parallelism: int = 256
    setup: list[str] | None = None
    additional_parameters: Any = None


@dataclass
class CellSweeperConf:
    _target_: str = "hydra_plugins.gradient_descent_runner.CellSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


store = ConfigStore.instance().store
store(group="hydra/launcher", name="stacks", node=StackLauncherConf, provider="runner")
store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="runner")
store(group="hydra/launcher", name="slurm", node=SlurmLauncherConf, provider="runner")
store(group="hydra/sweeper", name="cells", node=CellSweeperConf, provider="runner")
