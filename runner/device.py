"""Devices: where PyTorch computes, and on how many threads of the CPU."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController, threadpool_limits


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


def use_threads(count: int) -> None:
    """Have NumPy's linear algebra, and PyTorch where it is loaded, compute on `count` CPU threads.

    Sums are split among threads, so their number is part of what a config says: it is never taken
    from the environment, the machine or the size of a stack.
    """
    threadpool_limits(count, user_api="blas")
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


@contextmanager
def threads_put_back() -> Iterator[None]:
    """Let the process compute on as many threads afterwards as it did before."""
    torch = sys.modules.get("torch")
    of_torch = torch.get_num_threads() if torch else None
    before = {library.filepath: library.num_threads for library in _libraries()}
    try:
        yield
    finally:
        usual = max(before.values(), default=1)
        for library in _libraries():  # some of them may have been loaded in between
            library.set_num_threads(before.get(library.filepath, usual))
        if torch and of_torch:
            torch.set_num_threads(of_torch)


def _libraries() -> Any:
    """Return the libraries of linear algebra that are loaded."""
    return ThreadpoolController().select(user_api="blas").lib_controllers
