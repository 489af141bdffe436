"""From the overrides of a sweep to its cells, each with a name of its own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from runner.config.cell import Cell
from runner.config.composer import Composer
from runner.config.refused import message
from runner.config.run_name import within_sweep
from runner.engine.initial import pinned
from runner.engine.unused import shown
from runner.errors import ConfigError

SHOWN = 5
"""So many bad cells are told one by one."""


def compose(loader: ConfigLoader, master: DictConfig, sweep: Sequence[Sequence[str]]) -> list[Cell]:
    """All cells of the sweep. Raises ConfigError that names the bad ones, each by its overrides."""
    if not sweep:
        raise ConfigError("the sweep has no cells: expected one value or more for each key")
    return composed(Composer(loader, master, refuse_grids=True), sweep)


def composed(
    composer: Composer, sweep: Sequence[Sequence[str]], among: Sequence[Cell] = ()
) -> list[Cell]:
    """The cells with these overrides, named as some that are `among` others. Raises ConfigError."""
    made, faults = [], []
    for overrides in sweep:
        try:
            made.append(composer.cell(overrides))
        except Exception as error:  # Hydra and OmegaConf raise what Python raises, now and then
            faults.append((overrides, message(error).replace("\n", "\n  ")))
    refuse(faults)
    made = _pinned(made)
    names = within_sweep(made, among)
    return [replace(cell, name=name) for cell, name in zip(made, names, strict=True)]


def _pinned(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with runs that they begin from by id: each name is looked up once."""
    known: dict[str, Any] = {}
    made = []
    for cell in cells:
        told = (cell.values["model"] or {}).get("initial")
        if not isinstance(told, str):
            made.append(cell)
            continue
        if told not in known:
            known[told] = pinned(cell.values)["model"]["initial"]
        model = {**cell.values["model"], "initial": known[told]}
        made.append(replace(cell, values={**cell.values, "model": model}))
    return made


def refuse(faults: Sequence[tuple[Sequence[str], str]]) -> None:
    """Raise ConfigError for those cells, if there are any: overrides, and what is wrong."""
    if not faults:
        return
    told = [f"{shown(overrides)}\n  {fault}" for overrides, fault in faults[:SHOWN]]
    more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    count = "1 cell" if len(faults) == 1 else f"{len(faults)} cells"
    raise ConfigError("\n".join([f"{count} of the sweep cannot run:", *told, *more]))
