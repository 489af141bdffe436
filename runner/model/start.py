"""The starting values of `torch.nn.Linear`, drawn without PyTorch where that gives every bit.

Both draw from a Mersenne twister (MT19937) that is seeded alike. PyTorch takes 24 bits of each of
its outputs for a float32 in [0, 1), and scales it by a product and a sum. Where its kernels round
these once, as a fused multiply-add does, float64 gives the same: it has exact products of float32
and room for the sum. Elsewhere PyTorch itself is asked, which has to be imported for that.
"""

import math
import os

import numpy as np

from runner.base.arrays import Array


def linear(seed: int, features: int, outputs: int, *, bias: bool = True) -> tuple[Array, Array]:
    """Return weight (outputs, features) and bias (outputs,) or (0,), float32.

    They are those of `torch.manual_seed(seed); torch.nn.Linear(features, outputs, bias)` on the
    CPU of this machine.
    """
    draw = drawn_by_numpy if is_fused() else drawn_by_torch
    return draw(seed, features, outputs, bias)


def is_fused() -> bool:
    """Return whether PyTorch's kernels are known to round a product and a sum once.

    Those for x86 do if they were compiled for AVX2, which PyTorch takes where the processor has it
    unless ATEN_CPU_CAPABILITY says otherwise.
    """
    try:
        from numpy._core._multiarray_umath import (  # type: ignore[import-not-found]
            __cpu_features__ as features,
        )
    except ImportError:  # a NumPy that no longer tells
        return False
    is_default = os.environ.get("ATEN_CPU_CAPABILITY", "avx2") not in ("avx2", "avx512")
    return not is_default and bool(features.get("AVX2") and features.get("FMA3"))


def drawn_by_torch(seed: int, features: int, outputs: int, bias: bool) -> tuple[Array, Array]:
    """Draw as `linear` promises, by PyTorch, whose own random numbers stay where they are."""
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        layer = torch.nn.Linear(features, outputs, bias, device="cpu", dtype=torch.float32)
    offsets = layer.bias.detach().numpy() if bias else np.zeros(0, np.float32)
    return layer.weight.detach().numpy(), offsets


def drawn_by_numpy(seed: int, features: int, outputs: int, bias: bool) -> tuple[Array, Array]:
    """Draw the same without PyTorch."""
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
