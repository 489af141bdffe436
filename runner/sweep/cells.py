"""From the overrides of a sweep to its cells: composed once for each choice of parts.

Hydra takes a tenth of a second to compose a config. Cells that choose the same options differ in
plain values only, and those are applied to the one composed config by Hydra's own function: the
same types, the same checks, the same messages.
"""

import re
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from runner.cell import Cell
from runner.config import ConfigError, Values, plain

FROM_ENVIRONMENT = re.compile(r"\$\{(oc|runner)\.env:[^$]*\}")

REFERENCE = re.compile(r"\$\{([a-z_]+)\}")

PARTS = {"dataset", "model", "loss", "optimizer"}
"""Nodes that take a value of any type as it is."""

NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?(e[-+]?[0-9]{1,3})?")
"""A number as Hydra's grammar has it, and as the values of a sweep are written."""

SHOWN = 5
"""So many bad cells are told one by one."""


class Composer:
    """Makes the cells of one sweep."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._parser = OverridesParser.create(config_loader=loader)
        self._parsed: dict[str, Override] = {}
        self._composed: dict[Hashable, _Composed] = {}
        self._is_group = cache(self._asked_is_group)

    def cell(self, overrides: Sequence[str]) -> Cell:
        """The cell that Hydra would have composed. Raises what Hydra raises, and ConfigError."""
        parsed = [self._parse(text) for text in overrides]
        applied = [one for one in parsed if self._is_plain(one)]
        rest = [one for one in parsed if not self._is_plain(one)]
        # A value that adds, deletes or merges may touch what a plain one sets: Hydra keeps order.
        if any(not self._is_part(one) for one in rest):
            applied, rest = [], parsed
        # Each cell of one composed config sets the same keys, so nothing is left of another's.
        key = (*(one.input_line for one in rest), None, *(one.key_or_group for one in applied))
        if key not in self._composed:
            self._composed[key] = self._compose([str(one.input_line) for one in rest])
        composed = self._composed[key]
        if composed.asks_hydra and applied:  # what it is told depends on every override
            composed, applied = self._compose(list(overrides)), []
        ConfigLoaderImpl._apply_overrides_to_config(applied, composed.config)
        task = [str(one.input_line) for one in parsed if not one.is_hydra_override()]
        changed = {one.key_or_group.partition(".")[0] for one in applied}
        return Cell(composed.values(changed), composed.choices, task)

    def _parse(self, text: str) -> Override:
        """As Hydra parses it; of numbers, one for each key, for it takes a quarter of the time."""
        key, _, value = text.partition("=")
        if NUMBER.fullmatch(value):
            number = int(value) if value.lstrip("-").isdigit() else float(value)
            return replace(self._parsed_by_hydra(f"{key}=0"), _value=number, input_line=text)
        return self._parsed_by_hydra(text)

    def _parsed_by_hydra(self, text: str) -> Override:
        if text not in self._parsed:
            [self._parsed[text]] = self._parser.parse_overrides([text])
        return self._parsed[text]

    def _is_plain(self, one: Override) -> bool:
        """Whether it only sets a value that is there."""
        changes = one.is_add() or one.is_force_add() or one.is_delete()
        is_value = not isinstance(one.value(), dict)
        return is_value and not changes and not self._is_part(one) and one.package is None

    def _is_part(self, one: Override) -> bool:
        """Whether it chooses an option, or is for Hydra itself."""
        return one.is_hydra_override() or self._is_group(one.key_or_group)

    def _asked_is_group(self, key: str) -> bool:
        return bool(self._loader.get_group_options(key))

    def _compose(self, overrides: list[str]) -> "_Composed":
        config = self._loader.load_sweep_config(self._master, overrides)
        HydraConfig.instance().set_config(config)  # where ${hydra:...} looks
        choices = dict(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
        _settle_environment(config)
        return _Composed(config, choices)


class _Composed:
    """A config, to which the values of one cell after the other are applied."""

    def __init__(self, config: DictConfig, choices: dict[str, Any]) -> None:
        self.config, self.choices = config, choices
        self.asks_hydra = "${hydra:" in OmegaConf.to_yaml(config)
        self._first: Values | None = None
        self._follow: set[str] = set()  # nodes that may change with any other
        self._simply: Values = {}  # of those, the ones that `_followed` can resolve, unresolved

    def values(self, changed: set[str]) -> Values:
        """The plain values, now that those below these keys are changed. Raises ConfigError."""
        if self._first is not None:
            # The rest is as it was: to resolve all of it takes longer than all else for a cell.
            with suppress(OmegaConfBaseException):
                simply = self._simply.keys() - changed
                some = {key: _plain(self.config[key]) for key in changed | self._follow - simply}
                values = {**self._first, **some}
                return {**values, **{key: _followed(self._simply[key], values) for key in simply}}
        self._first = plain(self.config)
        nodes = self.config.items_ex(resolve=False)
        self._follow = {str(key) for key, raw in nodes if "${" in str(raw)}
        settled = {key: value for key, value in self._first.items() if key not in self._follow}
        for key in self._follow & PARTS:
            raw = OmegaConf.to_container(self.config[key])
            with suppress(KeyError):
                _followed(raw, settled)
                self._simply[key] = raw
        return self._first


def _plain(node: Any) -> Any:
    """The node as `plain` has it. Raises OmegaConfBaseException where one has no value."""
    if OmegaConf.is_config(node):
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True, enum_to_str=True)
    return node.name if isinstance(node, Enum) else node


def _followed(node: Any, values: Values) -> Any:
    """The node with `${lr}` replaced by the value of lr: OmegaConf parses it anew for each cell.

    Raises KeyError for any other interpolation, and where there is no such value.
    """
    if isinstance(node, dict):
        return {key: _followed(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_followed(value, values) for value in node]
    if isinstance(node, str) and "${" in node:
        found = REFERENCE.fullmatch(node)
        return values[found[1] if found else node]
    return node


def _settle_environment(node: DictConfig) -> None:
    """Put what the environment says in its place: asking again takes as long as all the rest."""
    for key, raw in list(node.items_ex(resolve=False)):
        if isinstance(raw, DictConfig):
            _settle_environment(raw)
        elif isinstance(raw, str) and FROM_ENVIRONMENT.fullmatch(raw):
            node[key] = node[key]


def compose(loader: ConfigLoader, master: DictConfig, sweep: Sequence[Sequence[str]]) -> list[Cell]:
    """All cells of the sweep. Raises ConfigError that names the bad ones, each by its overrides."""
    composer = Composer(loader, master)
    made, faults = [], []
    for overrides in sweep:
        try:
            made.append(composer.cell(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            faults.append((overrides, _told(error)))
    refuse(faults)
    return made


def refuse(faults: Sequence[tuple[Sequence[str], str]]) -> None:
    """Raise ConfigError for those cells, if there are any: overrides, and what is wrong."""
    if not faults:
        return
    shown = [f"{_shown(overrides)}\n  {fault}" for overrides, fault in faults[:SHOWN]]
    more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    count = "1 cell" if len(faults) == 1 else f"{len(faults)} cells"
    raise ConfigError("\n".join([f"{count} of the sweep cannot run:", *shown, *more]))


def _shown(overrides: Sequence[str]) -> str:
    """The overrides, less those of tracking: its URI may hold a password."""
    return " ".join(text for text in overrides if not text.lstrip("+~").startswith("tracking"))


def _told(error: BaseException) -> str:
    """The message, and that of its cause, where Hydra and OmegaConf say what is wrong."""
    lines = str(error).strip().splitlines()
    if error.__cause__ is not None:
        lines += str(error.__cause__).strip().splitlines()
    return "\n  ".join(line.rstrip() for line in lines if line.strip())
