"""The loss of a module of PyTorch's as a function of its parameters."""

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from runner.base.arrays import Array
from runner.config.spec import problem_of
from runner.engine import parts
from runner.engine.draws import Draws
from runner.errors import ConfigError
from runner.model import network as networks
from runner.record.run import RecordedRun
from runner.report.problem import FittedProblem, matching, parts_of, problem_parts

DROPOUTS = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
MOST = 10**8
"""So many products, parameters times samples, a loss may take: of more samples, some are taken."""


def of_network(run: RecordedRun) -> FittedProblem:
    """Return what a run has fitted whose model is a module of PyTorch's. Raises ConfigError."""
    seed = run.config().get("seed", 0)
    return matching(run, {**problem_parts(run), "seed": seed}, network_problem)


@lru_cache(maxsize=4)
def network_problem(text: str, trust: bool) -> FittedProblem:
    """The problem of these parts, as JSON: see `runner.report.problem`.

    Statistics of a batch are those of all samples, and nothing is dropped.
    """
    with parts_of(text, trust=trust) as values:
        dtype = values["dtype"]
        data = Draws().dataset(problem_of(values))
        network, shape = parts.network(values["model"], values["seed"], dtype, "cpu", data)
        _, start = parts.network_start(values["model"], values["seed"], dtype, data, network)
        y = parts.torch_y(data, shape, "cpu")
        loss_of = parts.torch_loss(values["loss"], "cpu", y, shape, data)
    some = slice(None, None, -(-len(y) * start.size // MOST))
    x, y = torch.tensor(data.x[some]), y[some]
    samples = len(y) if len(y) < len(data.y) else None
    is_sum = values["loss"].get("reduction") == "sum"
    times = len(data.y) / len(y) if is_sum else 1.0
    network.train()
    for module in network.modules():
        if isinstance(module, DROPOUTS):
            module.eval()

    def loss(points: Array) -> Array:
        found = np.empty(len(points))
        try:
            with torch.no_grad():
                for number, point in enumerate(points):
                    networks.load(network, point.astype(dtype))
                    found[number] = times * loss_of(network(x), y)
        except Exception as error:  # of a module of somebody's
            said = f"{type(error).__name__}: {error}"
            raise ConfigError(f"the model's loss cannot be computed anew: {said}") from error
        return found

    return FittedProblem(loss, start.size, data, of=samples)
