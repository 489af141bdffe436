"""What `python -m runner` does: Hydra composes the config, each job is a run."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from runner.cell import Cell
from runner.config import plain, register
from runner.journal import JournalError
from runner.run import run

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())

register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> float:
    """Execute the run that the config describes."""
    hydra_config = HydraConfig.get()
    # Hydra has written all overrides there, a password in tracking.uri among them. What belongs
    # to a run is in its tags.
    Path(hydra_config.sweep.dir, "multirun.yaml").unlink(missing_ok=True)
    try:
        return run(Cell(plain(config), hydra_config.runtime.choices, hydra_config.overrides.task))
    except JournalError as error:  # a full disk, say: a message, not a traceback
        raise CompactHydraException(str(error)) from error
