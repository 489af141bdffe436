"""The starting values of `torch.nn.Linear`, drawn without PyTorch, equal to the last bit.

Both draw from a Mersenne twister (MT19937) that is seeded alike. PyTorch takes 24 bits of each of
its outputs for a float32 in [0, 1), and scales it by a fused product and sum; float64 has exact
products of float32 and room for the sum, so one rounding at the end is the same.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def linear(seed: int, features: int, outputs: int, *, bias: bool = True) -> tuple[Array, Array]:
    """Weight (outputs, features) and bias (outputs,) or (0,), float32, on the CPU.

    What `torch.manual_seed(seed); torch.nn.Linear(features, outputs, bias)` has.
    """
    count = outputs * features
    drawn = np.random.RandomState(seed % 2**32).randint(
        0, 2**32, size=count + (outputs if bias else 0), dtype=np.uint32
    )
    shares = ((drawn & (2**24 - 1)) * 2.0**-24).astype(np.float32)
    gain = math.sqrt(2 / (1 + math.sqrt(5) ** 2))  # kaiming_uniform_(weight, a=sqrt(5))
    weight = _between(shares[:count], math.sqrt(3) * (gain / math.sqrt(features)))
    return weight.reshape(outputs, features), _between(shares[count:], 1 / math.sqrt(features))


def _between(shares: Array, bound: float) -> Array:
    """From [0, 1) to [-bound, bound)."""
    low, high = np.float32(-bound), np.float32(bound)
    width = np.float64(np.float32(high - low))
    made: Array = (shares.astype(np.float64) * width + np.float64(low)).astype(np.float32)
    return made
