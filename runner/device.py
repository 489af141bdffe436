"""Devices: where PyTorch computes."""


def resolve(name: str, dtype: str) -> str:
    """The device that `name` stands for: itself, or the best one for `auto`.

    Raises ValueError for a device that this machine does not have, or that lacks the dtype.
    """
    import torch

    # MPS has no float64.
    mps = ["mps"] if torch.backends.mps.is_available() and dtype != "float64" else []
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name == "auto":
        return [*cuda, *mps, "cpu"][0]
    there = ["cpu", *(["cuda"] if cuda else []), *cuda, *mps]
    if name not in there:
        raise ValueError(f"no {name} for {dtype} here; there is {', '.join(there)}")
    return name
