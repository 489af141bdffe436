"""What this project uses of Hydra that Hydra calls private: here, and nowhere else.

A version of Hydra without it is refused in one message; `test_hydra_inside.py` fails first.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.types import Override
from hydra.core.singleton import Singleton
from omegaconf import DictConfig
from omegaconf.basecontainer import BaseContainer

try:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.core_plugins import basic_sweeper, file_config_source
    from hydra._internal.utils import create_config_search_path

    _apply = ConfigLoaderImpl._apply_overrides_to_config
    _singletons: dict[Any, Any] = Singleton._instances
    _resolvers: dict[Any, Any] = BaseContainer._resolvers
except (AttributeError, ImportError) as error:
    raise ImportError(
        f"hydra-core {version('hydra-core')} with omegaconf {version('omegaconf')} is unlike those "
        f"that this was made for ({error}): pip install 'hydra-core>=1.3.2,<1.4' "
        "'omegaconf>=2.3,<2.4'"
    ) from error


def sweeper() -> Any:
    """The class of Hydra's own sweeper; asked for each time, as Hydra loads its plugins anew."""
    return basic_sweeper.BasicSweeper


def config_source() -> Any:
    """The class of a folder of configs."""
    return file_config_source.FileConfigSource


def apply(overrides: Sequence[Override], config: DictConfig) -> None:
    """Set values in a composed config, with the checks and messages of composing it anew."""
    _apply(list(overrides), config)


def search_path(folder: str) -> ConfigSearchPath:
    """Where Hydra looks for configs, for a program whose own are in that folder."""
    return create_config_search_path(folder)


def loader(path: ConfigSearchPath) -> ConfigLoader:
    """What composes configs from there."""
    return ConfigLoaderImpl(config_search_path=path)


@contextmanager
def kept(*without: type) -> Iterator[None]:
    """Put Hydra's singletons and OmegaConf's resolvers back afterwards; begin without some."""
    before = dict(_singletons), dict(_resolvers)
    try:
        for kind in without:
            _singletons.pop(kind, None)
        yield
    finally:
        for there, own in zip((_singletons, _resolvers), before, strict=True):
            there.clear()
            there.update(own)
