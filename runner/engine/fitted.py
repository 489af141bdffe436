"""The fitted model as one of MLflow's, which needs nothing of this project to be loaded."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Buffer, Linear, Module

from runner.base.arrays import Array
from runner.dataset.samples import Dataset
from runner.engine.experiment import Experiment
from runner.model import network as networks

EXAMPLES = 5
"""So many samples are its input example."""


class Fitted(Module):
    """From features as a dataset has them, float64, to what the model makes of them."""

    def __init__(self, model: Module, data: Dataset) -> None:
        super().__init__()
        self.model, self.degree = model, data.degree
        self.dtype = getattr(torch, data.x.dtype.name)
        features = data.x.shape[1] // data.degree
        mean, deviation = data.scale or (np.zeros(features), np.ones(features))
        self.mean = Buffer(torch.tensor(mean, dtype=torch.float64))
        self.deviation = Buffer(torch.tensor(deviation, dtype=torch.float64))

    def forward(self, x: Tensor) -> Any:
        scaled = (x - self.mean) / self.deviation
        powers = [scaled**power for power in range(1, self.degree + 1)]
        return self.model(torch.cat(powers, dim=1).to(self.dtype))


def fitted(experiment: Experiment, data: Dataset, parameters: Array) -> Fitted:
    """The experiment's model with these parameters, (parameters,), on the CPU."""
    if experiment.network is not None:
        model = networks.copied(experiment.network).cpu()
    else:
        shape = experiment.tensors["w"]
        outputs = shape[0] if len(shape) > 1 else 1
        model = Linear(data.x.shape[1], outputs, bias="b" in experiment.tensors)
        model.to(getattr(torch, parameters.dtype.name))
    networks.load(model, parameters)
    return Fitted(model, data).eval()


def example(data: Dataset) -> Array:
    """Some samples, (samples, features), as the fitted model takes them."""
    first = data.x[:EXAMPLES, : data.x.shape[1] // data.degree].astype(np.float64)
    mean, deviation = data.scale or (np.zeros(1), np.ones(1))
    taken: Array = first * deviation + mean
    return taken
