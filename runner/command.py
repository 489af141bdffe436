"""What `python -m runner` does: Hydra composes the config, each job is a run."""

import re
import sys
from collections.abc import Sequence
from contextlib import chdir, suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from runner import project
from runner.cell import Cell
from runner.config import plain, register
from runner.console import harmless
from runner.journal import JournalError
from runner.run import run

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())

NO_NAME = re.compile(r"(\w+)=(null|true|false|[-+]?[\d.][\d.e+-]*)", re.IGNORECASE)

project.folder()  # in a process of a launcher of Hydra's, before a job changes it
register()


def check_choices(typed: Sequence[str]) -> None:
    """Exit where a config group is given no name: Hydra has nothing but a traceback for that."""
    for word in typed:
        found = NO_NAME.fullmatch(word)
        if found and (CONF / found[1]).is_dir():
            options = ", ".join(sorted(path.stem for path in (CONF / found[1]).glob("*.yaml")))
            sys.exit(f"{found[1]}: expected the name of an option, got {found[2]}: {options}")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> float:
    """Execute the run that the config describes."""
    hydra_config = HydraConfig.get()
    # Hydra has written all overrides there, a password in tracking.uri among them. What belongs
    # to a run is in its tags.
    with suppress(OSError):  # there is none, as a rule
        Path(project.folder(), hydra_config.sweep.dir, "multirun.yaml").unlink()
    try:
        with chdir("."):  # the next job begins where this one did
            cell = Cell(plain(config), hydra_config.runtime.choices, hydra_config.overrides.task)
            return run(cell)
    except JournalError as error:  # a full disk, say: a message, not a traceback
        raise CompactHydraException(str(error)) from error
    except Exception as error:
        harmless(error)  # before Hydra shows it
        raise
