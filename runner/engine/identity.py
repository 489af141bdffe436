"""What a run is known by: its name, its params, and the code and libraries that made it."""

import getpass
import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runner.base import project
from runner.base.caller import source
from runner.base.overrides import without_tracking
from runner.base.paths import PACKAGE
from runner.config import run_name
from runner.config.cell import NOT_THE_EXPERIMENT, Cell
from runner.config.instead import OF_SAMPLES, USUAL
from runner.config.schema import Values, leaves
from runner.dataset.samples import Dataset
from runner.engine.dataset_input import dataset_input
from runner.engine.experiment import Experiment
from runner.engine.stop import most_steps
from runner.record.column import EPOCH_END, GRADIENT_NORM, LOSS, MEASURES_TAG, NORMS, PARAMETERS
from runner.record.journal import Start

HOW = ("record", "checkpoint", "print_every")
"""Nodes of a config that a run that goes on takes over."""

DATA = "dataset.digest"  # the tag that tells a run's samples from others

LIBRARIES = ("hydra-core", "mlflow", "numpy", "torch")


def start(
    cell: Cell,
    made: Experiment,
    data: Dataset,
    store: str,
    tags: Mapping[str, str] | None = None,
) -> Start:
    """The beginning of the cell's run, for the store at that URI."""
    columns = [recorded.column for recorded in made.recorded]
    usual = (LOSS, GRADIENT_NORM, PARAMETERS, NORMS)
    measures = [
        vars(column) for column in columns if column.role not in usual or column.every == EPOCH_END
    ]
    own = {MEASURES_TAG: json.dumps(measures)} if measures else {}
    return Start(
        name=name(cell),
        store=store,
        experiment=cell.spec.tracking.experiment,
        params=params(cell),
        tags={"loop": made.loop, DATA: data.digest, **own, **_tags(cell), **(tags or {})},
        config=defining(cell.values),
        tensors=made.tensors,
        columns=[vars(column) for column in columns],
        points=cell.spec.tracking.points,
        steps=most_steps(cell.spec.epochs, len(made.batches.sizes), cell.spec.max_steps),
        how={
            **{key: cell.values[key] for key in HOW},
            "log_model": cell.spec.tracking.log_model,
        },
        dataset=dataset_input(cell, data),
    )


def defining(values: Values) -> Values:
    """The part of a config that defines the experiment."""
    return {key: value for key, value in values.items() if key not in NOT_THE_EXPERIMENT}


def params(cell: Cell) -> dict[str, str]:
    """Every leaf under its dotted name, and under a group's own name the option chosen."""
    chosen = {
        group: str(option)
        for group, option in cell.choices.items()
        if option is not None and group not in NOT_THE_EXPERIMENT and "/" not in group
    }
    empty = (*USUAL, *OF_SAMPLES) if cell.choices.get("objective") else ()
    told = {key: value for key, value in cell.values.items() if key not in empty}
    return {**chosen, **{key: str(value) for key, value in leaves(defining(told))}}


def name(cell: Cell) -> str:
    """The run's name: see `runner.config.run_name`."""
    return cell.name or run_name.of_lone_run(cell)


def _tags(cell: Cell) -> dict[str, str]:
    return {"overrides": " ".join(without_tracking(cell.overrides)), **surroundings()}


def surroundings() -> dict[str, str]:
    """The project's git commit, the versions of what runs, and what MLflow's UI shows."""
    commit = git_commit(project.folder())
    theirs = {"git_commit": commit, "mlflow.source.git.commit": commit[:40]} if commit else {}
    return {"mlflow.source.name": source(), **theirs, **_of_this_process()}


@cache
def _of_this_process() -> dict[str, str]:
    return {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "version.python": platform.python_version(),
        **{f"version.{library}": version(library) for library in LIBRARIES},
        **_own_version(),
    }


def git_commit(folder: Path) -> str | None:
    """The commit of the code there, `-dirty` after it if changed; None outside a checkout."""
    roots = (place for place in (folder, *folder.parents) if (place / ".git").exists())
    root = next(roots, None)
    return None if root is None else _commit_of(root)


@cache
def _commit_of(root: Path) -> str | None:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no commit yet
        return None
    return found.stdout.strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return "unknown"


def _own_version() -> dict[str, str]:
    """That of this code; its commit as well, where it is a checkout."""
    commit = git_commit(PACKAGE) if (PACKAGE.parent / ".git").exists() else None
    own = {"version.runner.commit": commit} if commit else {}
    try:
        return {"version.runner": version("gradient-descent-runner"), **own}
    except PackageNotFoundError:  # run from a folder without being installed
        return own
