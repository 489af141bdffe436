"""Hydra for a call from Python: configs composed as by the command, and nothing left behind.

Hydra keeps what it knows in singletons. A program that uses Hydra itself has its own in them, so
they are as they were once a config is composed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from hydra.version import setbase
from omegaconf import open_dict

from runner.base.paths import CONF
from runner.base.signals import was_interrupted
from runner.config.cell import Cell, chosen
from runner.config.composer import Composer
from runner.config.hydra_inside import kept, loader, search_path
from runner.config.instead import settled
from runner.config.refused import message_with_place
from runner.config.schema import followers, plain, plain_node, register
from runner.config.split import split, with_their_options
from runner.engine.initial import pinned
from runner.errors import ConfigError
from runner.sweeps.compose import compose, composed
from runner.sweeps.search import searched
from runner.sweeps.source import CellSource, all_at_once

STACKS = "hydra_plugins.gradient_descent_runner.StackLauncher"


def one_cell(words: Sequence[str], config_dir: str | Path | None) -> Cell:
    """What `python -m runner WORDS` would run. Raises ConfigError with what that would print."""
    with _hydra(words, config_dir) as loader:
        config = loader.load_configuration("config", list(words), RunMode.RUN)
        HydraConfig.instance().set_config(config)  # where ${hydra:...} looks
        if config.hydra.mode is RunMode.MULTIRUN:
            raise ConfigError("a grid is a sweep: expected runner.sweep(...)")
        choices = dict(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
        values = pinned(settled(plain(config)))
        follows = followers(config)
        return Cell(values, chosen(choices, words), list(words), follows=follows)


def many_cells(words: Sequence[str], config_dir: str | Path | None) -> CellSource:
    """What `python -m runner -m WORDS` would run. Raises ConfigError, as `one_cell` does."""
    with _hydra(words, config_dir) as loader:
        words = with_their_options(words)
        master = loader.load_configuration("config", list(words), RunMode.MULTIRUN)
        if master.hydra.launcher.get("_target_") != STACKS:
            raise ConfigError("hydra/launcher: is for the command line: a call starts none")
        params = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
        parser = OverridesParser.create(config_loader=loader)
        made = split(parser.parse_overrides([*params, *words]), plain_node(master.sweep))
        if not made.how.is_search:
            return all_at_once(compose(loader, master, made.cells()))
        composer = Composer(loader, master, refuse_grids=True)

    def in_a_round(overrides: Sequence[Sequence[str]], among: Sequence[Cell]) -> list[Cell]:
        with _hydra(words, config_dir):
            return composed(composer, overrides, among)

    return searched(made, in_a_round)


@contextmanager
def _hydra(words: Sequence[str], config_dir: str | Path | None) -> Iterator[ConfigLoader]:
    """Hydra's loader, and every refusal of Hydra's as a ConfigError."""
    store = ConfigStore.instance()
    stored = deepcopy(store.repo)
    with kept(GlobalHydra, HydraConfig):
        try:
            setbase("1.3")
            setup_globals()
            register()
            yield _loader(config_dir)
        except ConfigError:
            raise
        except Exception as error:  # what Hydra raises is not always its own
            if was_interrupted(error):
                raise KeyboardInterrupt from error
            raise ConfigError(message_with_place(error, words)) from error
        finally:
            store.repo = stored


def _loader(config_dir: str | Path | None) -> ConfigLoader:
    path = search_path(str(CONF))
    if config_dir is not None:
        folder = Path(config_dir).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError("config_dir", f"{folder}: there is no such folder")
        first = SearchPathQuery(provider="schema")
        path.prepend(provider="command-line", path=f"file://{folder}", anchor=first)
    return loader(path)
