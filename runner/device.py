"""Devices: where PyTorch computes."""

import os

FEW = 10_000_000  # multiplications, about a millisecond


def resolve(name: str, dtype: str) -> str:
    """The device that `name` stands for: itself, or the best one for `auto`.

    Raises ValueError for a device that this machine does not have, or that lacks the dtype.
    """
    import torch

    mps = ["mps"] if torch.backends.mps.is_available() else []
    if mps and dtype == "float64":
        mps = []  # which it does not have
        if name == "mps":
            raise ValueError("mps has no float64: dtype=float32, or device=cpu")
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name == "auto":
        return [*cuda, *mps, "cpu"][0]
    there = ["cpu", *(["cuda"] if cuda else []), *cuda, *mps]
    if name not in there:
        raise ValueError(f"no {name!r} here; there is {', '.join(there)}, and auto")
    return name


def set_threads(multiplications: int) -> None:
    """Let PyTorch use one CPU thread for steps of so few multiplications.

    Threads that wait for one another cost a small step several times what they save, most of all
    on a machine that does something else as well. OMP_NUM_THREADS, where it is set, is obeyed.
    """
    import torch

    if multiplications < FEW and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
