"""A power law: a * length ** b."""

import torch

import mine.measure  # noqa: F401, which is so made known


class PowerLaw(torch.nn.Module):
    """Of (samples, 1) it makes (samples, 1)."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.ones(()))
        self.b = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.a * x**self.b
