"""What is recorded beside loss, gradient's norm and parameters."""

import numpy as np

from runner.engine.measure import MEASURES, Measure

MEASURES["steepest"] = Measure(lambda steps: np.abs(steps.gradient).max(axis=1))
