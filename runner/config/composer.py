"""From overrides to a cell: composed once for each choice of parts.

Hydra takes a tenth of a second to compose a config. Cells that choose the same options differ in
plain values only, and those are applied to the one composed config by Hydra's own function: the
same types, the same checks, the same messages.
"""

import re
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from runner.config.cell import Cell, chosen
from runner.config.hydra_inside import apply
from runner.config.instead import settled
from runner.config.refused import nameless
from runner.config.schema import Values, followers, plain, plain_node
from runner.errors import ConfigError

FROM_ENVIRONMENT = re.compile(r"\$\{(oc|runner)\.env:[^$]*\}")

ASKS_HYDRA = re.compile(r"\$\{\s*hydra\s*:")

REFERENCE = re.compile(r"\$\{([a-z_]+)\}")

PARTS = {"dataset", "model", "loss", "objective", "optimizer"}
"""Nodes that take a value of any type as it is."""

ALIKE = {"split_seed"}
"""Values of the type of what they follow, unless somebody has them follow another."""

NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?(e[-+]?[0-9]{1,3})?")
"""A number as Hydra's grammar has it, and as the values of a sweep are written."""


class Composer:
    """Makes the cells of one sweep."""

    def __init__(
        self, loader: ConfigLoader, master: DictConfig, *, refuse_grids: bool = False
    ) -> None:
        self._refuse_grids = refuse_grids
        self._loader = loader
        self._master = master
        self._parser = OverridesParser.create(config_loader=loader)
        self._parsed: dict[str, Override] = {}
        self._composed: dict[Hashable, _Composed] = {}
        self._is_group = cache(self._asked_is_group)

    def cell(self, overrides: Sequence[str]) -> Cell:
        """The cell that Hydra would have composed. Raises what Hydra raises, and ConfigError."""
        parsed = [self._parse(text) for text in overrides]
        if faults := [fault for one in parsed if (fault := self._fault(one))]:
            raise ConfigError("\n".join(faults))
        applied, rest = self._divided(parsed)
        # Each cell of one composed config sets the same keys to values of the same kinds, so
        # nothing is left of another's.
        kinds = ((one.key_or_group, _kind(one.value())) for one in applied)
        key = (*(one.input_line for one in rest), None, *kinds)
        if key not in self._composed:
            self._composed[key] = self._compose([str(one.input_line) for one in rest])
        composed = self._composed[key]
        if composed.asks_hydra and applied:  # what it is told depends on every override
            composed, applied = self._compose(list(overrides)), []
        apply(applied, composed.config)
        task = [str(one.input_line) for one in parsed if not one.is_hydra_override()]
        changed = {one.key_or_group.partition(".")[0] for one in applied}
        values, choices = composed.values(changed), chosen(composed.choices, task)
        return Cell(values, choices, task, follows=composed.follows)

    def _divided(self, parsed: Sequence[Override]) -> tuple[list[Override], list[Override]]:
        """Those that only set a value, to be applied to what Hydra composes of the others.

        None are where that could make a difference: Hydra takes options first and then all others
        in their order, so those that set values must touch nothing that another one touches.
        """
        applied = [one for one in parsed if self._is_plain(one)]
        rest = [one for one in parsed if not self._is_plain(one)]
        changes = [one for one in rest if not self._is_part(one)]
        compares = any(one.is_delete() and one.value() is not None for one in changes)
        asks_hydra = any(ASKS_HYDRA.search(str(one.input_line)) for one in parsed)
        if compares or asks_hydra or _meet(applied, changes):
            return [], list(parsed)
        return applied, rest

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

    def _fault(self, one: Override) -> str | None:
        return nameless(one, self._loader) if self._is_part(one) else None

    def _is_plain(self, one: Override) -> bool:
        """Whether it only sets a value that is there."""
        changes = one.is_add() or one.is_force_add() or one.is_delete()
        is_value = not isinstance(one.value(), dict)
        return is_value and not changes and not self._is_part(one) and one.package is None

    def _is_part(self, one: Override) -> bool:
        """Whether it chooses an option, or is for Hydra itself: the order does not matter."""
        if one.is_hydra_override():
            return True
        # What Hydra merges is no option, wherever it is merged into.
        return not isinstance(one.value(), dict) and self._is_group(one.key_or_group)

    def _asked_is_group(self, key: str) -> bool:
        hydra = self._master.hydra
        if not hydra.searchpath:
            return bool(self._loader.get_group_options(key, results_filter=None))
        own = [str(text) for text in hydra.overrides.hydra]
        name = hydra.job.config_name
        return bool(self._loader.get_group_options(key, None, config_name=name, overrides=own))

    def _compose(self, overrides: list[str]) -> "_Composed":
        config = self._loader.load_sweep_config(self._master, overrides)
        HydraConfig.instance().set_config(config)  # where ${hydra:...} looks
        if self._refuse_grids and config.hydra.sweeper != self._master.hydra.sweeper:
            raise ConfigError("hydra.sweeper", "an option sets a sweep of its own, within a sweep")
        choices = dict(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
        _settle_environment(config)
        return _Composed(config, choices)


class _Composed:
    """A config, to which the values of one cell after the other are applied."""

    def __init__(self, config: DictConfig, choices: dict[str, Any]) -> None:
        self.config, self.choices = config, choices
        self.asks_hydra = bool(ASKS_HYDRA.search(OmegaConf.to_yaml(config)))
        self.follows: frozenset[str] = frozenset()
        self._first: Values | None = None
        self._follow: set[str] = set()  # nodes that may change with any other
        self._simply: Values = {}  # of those, the ones that `_followed` can resolve, unresolved

    def values(self, changed: set[str]) -> Values:
        """The plain values, now that those below these keys are changed. Raises ConfigError."""
        return settled(self._settling(changed))

    def _settling(self, changed: set[str]) -> Values:
        if self._first is not None:
            # The rest is as it was: to resolve all of it takes longer than all else for a cell.
            with suppress(OmegaConfBaseException):
                simply = self._simply.keys() - changed
                some = {
                    key: plain_node(self.config[key]) for key in changed | self._follow - simply
                }
                values = {**self._first, **some}
                return {**values, **{key: _followed(self._simply[key], values) for key in simply}}
        self._first = plain(self.config)
        self.follows = followers(self.config)
        nodes = {str(key): raw for key, raw in self.config.items_ex(resolve=False)}
        self._follow = {key for key, raw in nodes.items() if "${" in str(raw)}
        settled = {key: value for key, value in self._first.items() if key not in self._follow}
        for key in self._follow & {*PARTS, *ALIKE}:
            raw = OmegaConf.to_container(self.config[key]) if key in PARTS else nodes[key]
            with suppress(KeyError):
                _followed(raw, settled)
                self._simply[key] = raw
        return self._first


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
            if not OmegaConf.is_missing(node, key) and node[key] is not None:
                _settle_environment(raw)
        elif isinstance(raw, str) and FROM_ENVIRONMENT.fullmatch(raw):
            node[key] = node[key]


def _kind(value: Any) -> str:
    """What a node becomes that is set to the value: OmegaConf merges a list into what is there."""
    if isinstance(value, str) and "${" in value:
        return "interpolation"
    return "list" if isinstance(value, list) else "nothing" if value is None else "value"


def _meet(applied: Sequence[Override], changes: Sequence[Override]) -> bool:
    """Whether one that is applied sets what, or something in what, another one changes."""
    keys = [(f"{one.key_or_group}.", _kind(one.value())) for one in applied]
    others = [f"{one.key_or_group}." for one in changes]
    for number, (key, kind) in enumerate(keys):
        if any(key.startswith(other) or other.startswith(key) for other in others):
            return True
        for other, its_kind in keys[:number]:
            if key == other and kind == its_kind == "value":
                continue  # the later one holds, whatever was there
            if key.startswith(other) or other.startswith(key):
                return True
    return False
