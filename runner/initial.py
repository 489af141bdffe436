"""Starting values that are the end of another run: `model.initial=run:NAME`."""

import numpy as np

from runner.column import PARAMETERS, tensor_edges
from runner.config import ConfigError, Values
from runner.model import BY_HAND
from runner.recorded.journals import Journals

RUN = "run:"
SCALAR = "runner.model.Scalar"
LINEAR = {"w": "weight", "b": "bias"}
"""Names in a config for what is recorded under shorter ones."""


def resolved(node: Values) -> Values:
    """The model's node with the last parameters of the run that its `initial` names, if it does.

    Raises ConfigError where there is no such run here, or it has none.
    """
    told = node.get("initial")
    if not (isinstance(told, str) and told.startswith(RUN)):
        return node
    word = told.removeprefix(RUN)
    found = Journals().found(word)
    if len(found) != 1:
        many = f"is the beginning of {len(found)} ids" if found else "no such run here"
        raise ConfigError(f"model.initial: {word}: {many}; a run's id or its name would do")
    [run] = found
    trajectory = run.trajectory()
    column, (_, values) = trajectory.column(PARAMETERS), trajectory.parameters
    if column is None or not len(values):
        raise ConfigError(f"model.initial: {run.name} has recorded no parameters")
    parts = np.split(values[-1], tensor_edges(column.tensors))
    is_linear = node["_target_"] in BY_HAND and "w" in column.tensors and node["_target_"] != SCALAR
    names = [LINEAR.get(name, name) if is_linear else name for name in column.tensors]
    return {**node, "initial": {n: p.tolist() for n, p in zip(names, parts, strict=True)}}
