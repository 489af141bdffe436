"""Starting values that are those of another run: `model.initial=run:NAME`."""

import numpy as np

from runner.config.schema import Values
from runner.engine.program import SCALAR
from runner.errors import ConfigError
from runner.model import BY_HAND
from runner.record.column import PARAMETERS, tensor_edges
from runner.record.journals import Journals
from runner.record.run import RecordedRun

RUN, AFTER = "run:", "@"
LINEAR = {"w": "weight", "b": "bias"}
"""Names in a config for what is recorded under shorter ones."""


def pinned(values: Values) -> Values:
    """The config with the run that it names by its id, and the step after which it is.

    So it means the same however far that run goes on, or what is the latest by then. Raises
    ConfigError where there is no such run here, or it has none.
    """
    node = values["model"]
    if node is None:
        return values
    told = node.get("initial")
    if not (isinstance(told, str) and told.startswith(RUN)) or AFTER in told:
        return values
    run = _found(told.removeprefix(RUN))
    steps = run.trajectory().parameters[0]
    if not len(steps):
        raise ConfigError("model.initial", f"{run.name} has recorded no parameters")
    return {**values, "model": {**node, "initial": f"{RUN}{run.id}{AFTER}{steps[-1]}"}}


def resolved(node: Values) -> Values:
    """The model's node with the parameters themselves. Raises ConfigError."""
    told = node.get("initial")
    if not (isinstance(told, str) and told.startswith(RUN)):
        return node
    word, _, after = told.removeprefix(RUN).partition(AFTER)
    run = _found(word)
    trajectory = run.trajectory()
    column, (steps, values) = trajectory.column(PARAMETERS), trajectory.parameters
    if column is None or after not in map(str, steps.tolist()):
        raise ConfigError("model.initial", f"{run.name} has no parameters after step {after}")
    [vector] = values[steps == int(after)]
    parts = np.split(vector, tensor_edges(column.tensors))
    is_linear = node["_target_"] in BY_HAND and "w" in column.tensors and node["_target_"] != SCALAR
    names = [LINEAR.get(name, name) if is_linear else name for name in column.tensors]
    return {**node, "initial": {n: p.tolist() for n, p in zip(names, parts, strict=True)}}


def _found(word: str) -> RecordedRun:
    """The run of that id or name in the journals here."""
    found = Journals().found(word) if word else []
    if len(found) != 1:
        many = f"is the beginning of {len(found)} ids" if found else "no such run here"
        raise ConfigError("model.initial", f"{word!r}: {many}; a run's id or its name would do")
    return found[0]
