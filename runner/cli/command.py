"""What `python -m runner` does: Hydra composes the config, each job is a run."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from types import TracebackType

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from runner.base import project
from runner.base.caller import rewritten
from runner.base.console import harmless
from runner.base.paths import CONF
from runner.cli.alone import run
from runner.cli.entry import FULL_ERROR
from runner.config.cell import Cell, chosen
from runner.config.instead import settled
from runner.config.refused import message_with_place
from runner.config.schema import followers, plain, register
from runner.config.settings import check_alone
from runner.engine.initial import pinned
from runner.errors import RunnerError, escaped

project.folder()  # in a process of a launcher of Hydra's, before a job changes it
register()


def main() -> None:
    """Carry out the command line; one message and exit status 1 for whatever cannot be composed.

    What a run itself raises is shown as Python shows it, from the run on. With HYDRA_FULL_ERROR=1
    in the environment, everything is raised as it is.
    """
    if os.environ.get(FULL_ERROR) == "1":
        _job()
        return
    try:
        with _raised_by_hydra():
            _job()
    except Exception as error:
        is_ours = isinstance(error, RunnerError)
        if is_ours or not (begun := _since_it_began(error)):
            message = message_with_place(error, sys.argv[1:])
            is_foreseen = is_ours or isinstance(error, HydraException)
            hint = "" if is_foreseen else f"\nSet {FULL_ERROR}=1 to see where."
            sys.exit(escaped(f"{message}{hint}"))
        harmless(error)
        traceback.print_exception(type(error), error, begun)
        sys.exit(f"\nSet the environment variable {FULL_ERROR}=1 for a complete stack trace.")


def _job() -> None:
    """Have Hydra carry out the command line, as it would itself but for `with_their_options`."""
    words = sys.argv[1:]
    if {"-m", "--multirun"} & {*words}:
        from runner.config.split import with_their_options

        words = with_their_options(words)
    with rewritten(words):
        job()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> float:
    """Execute the run that the config describes."""
    hydra_config = HydraConfig.get()
    # Hydra has written all overrides there, a password in tracking.uri among them. What belongs
    # to a run is in its tags.
    with suppress(OSError):  # there is none, as a rule
        Path(project.folder(), hydra_config.sweep.dir, "multirun.yaml").unlink()
    with chdir("."):  # the next job begins where this one did
        values, overrides = pinned(settled(plain(config))), hydra_config.overrides.task
        choices = chosen(hydra_config.runtime.choices, overrides)
        cell = Cell(values, choices, overrides, follows=followers(config))
        check_alone(cell.spec.sweep, is_swept=hydra_config.mode is RunMode.MULTIRUN)
        return run(cell)


@contextmanager
def _raised_by_hydra() -> Iterator[None]:
    """Have Hydra raise what it would print, by its own switch: it prints most as a traceback."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FULL_ERROR]
        else:
            os.environ[FULL_ERROR] = before


def _since_it_began(error: BaseException) -> TracebackType | None:
    """Return the traceback from where a run began, or its failure is raised; None without one."""
    began = {("runner.engine.drive", "execute"), ("runner.cli.alone", "raise_failure")}
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in began:
            return trace.tb_next
        trace = trace.tb_next
    return None
