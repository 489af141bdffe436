"""Pendulums: the period of each by its length."""

import numpy as np


def pendulums(samples, noise, seed):
    """Lengths in metres, (samples,), and periods in seconds, (samples,), measured with noise."""
    rng = np.random.default_rng(seed)
    length = rng.uniform(0.1, 2.0, samples)
    period = 2 * np.pi * np.sqrt(length / 9.81)
    return length, period + rng.normal(0.0, noise, samples)
