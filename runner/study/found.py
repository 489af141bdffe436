"""Which studies there are, and what each is."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from runner.base.failure import said
from runner.base.paths import CONF
from runner.errors import ConfigError
from runner.study.claim import Findings

KEYS = ("theory", "experiments", "common")

Runs = Mapping[str, Any]
"""By experiment, its `runner.results.Sweep`"""


class Study(NamedTuple):
    """A study that can be run."""

    name: str
    title: str
    """In a line"""
    text: str
    """Half a page, paragraphs apart by an empty line: what the result is, and where it is from"""
    experiments: Mapping[str, Mapping[str, Any]]
    """By name, what `runner.sweep` gets, and under `seeds` how many values of which keys"""
    check: Callable[[Runs, Mapping[str, Any]], Findings]
    """From what was run, and the config's other values"""
    values: Mapping[str, Any]


def folders(own: Path | None) -> list[Path]:
    """Where studies are looked for; first in one's own folder."""
    return [*([own] if own else []), CONF / "study"]


def names(own: Path | None = None) -> list[str]:
    """Of all studies. Raises ConfigError where there is no such folder."""
    if own is not None and not own.is_dir():
        raise ConfigError(f"--dir: {own}: there is no such folder")
    return sorted({path.stem for folder in folders(own) for path in folder.glob("*.yaml")})


def find(name: str, own: Path | None = None) -> Study:
    """The study of that name. Raises ConfigError."""
    known = names(own)
    paths = [folder / f"{name}.yaml" for folder in folders(own)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ConfigError(name, f"no such study; there are {', '.join(known)}")
    try:
        node: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OmegaConfBaseException, YAMLError, OSError) as error:
        raise ConfigError(path, f"{said(error)}") from error
    if not isinstance(node, dict) or not isinstance(node.get("experiments"), dict):
        raise ConfigError(path, "expected theory: MODULE and experiments: {NAME: {...}}")
    module = _theory(path, node.get("theory"))
    title, _, text = inspect.cleandoc(module.__doc__ or name).partition("\n\n")
    experiments = {
        key: {**node.get("common", {}), **(values or {})}
        for key, values in node["experiments"].items()
    }
    for key, values in experiments.items():
        _check_needed(f"{path}: experiments.{key}.seeds", values.get("seeds", {}))
    own_values = {key: value for key, value in node.items() if key not in KEYS}
    return Study(name, " ".join(title.split()), text, experiments, module.check, own_values)


def findings(study: Study, runs: Runs) -> Findings:
    """What its theory makes of the runs. Raises ConfigError for a theory that makes nothing."""
    try:
        made = study.check(runs, study.values)
    except Exception as error:  # whatever somebody's module raises
        known = ", ".join(runs)
        raise ConfigError(
            f"{study.name}: its theory raised {type(error).__name__}: {error}; "
            f"the experiments are {known}"
        ) from error
    if not isinstance(made, Findings):
        kind = type(made).__name__
        raise ConfigError(f"{study.name}: expected check to return Findings, got {kind}")
    return made


def _check_needed(place: str, seeds: Any) -> None:
    """Raise ConfigError unless `seeds` says of keys how many values each needs."""
    is_mapping = isinstance(seeds, dict) and all(isinstance(key, str) for key in seeds)
    if not is_mapping or not all(type(count) is int and count > 0 for count in seeds.values()):
        raise ConfigError(place, expected="{KEY: HOW MANY}, {seed: 8} say", got=seeds)


def _theory(path: Path, name: Any) -> Any:
    if not isinstance(name, str):
        raise ConfigError(path, f"theory: expected the name of a module, got {name}")
    try:
        module = importlib.import_module(name)
    except Exception as error:  # whatever somebody's module raises
        raise ConfigError(path, f"theory: {name} cannot be loaded: {said(error)}") from error
    if not callable(getattr(module, "check", None)):
        raise ConfigError(path, f"theory: {name} has no function check(runs, values)")
    return module
