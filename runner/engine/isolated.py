"""What a part of a user's may change for all of PyTorch, and for every run after it."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def plain_modes() -> Iterator[None]:
    """PyTorch's modes as they are when a program begins, whatever block this is called in.

    Gradients are computed, nothing is cast, what is new is float32 and on the CPU.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        torch.set_default_dtype(torch.float32)
        yield


@contextmanager
def isolated() -> Iterator[None]:
    """Put PyTorch's switches back afterwards, where it is loaded by then.

    Whether gradients are computed and anomalies looked for, the default dtype, and which algorithms
    are allowed.
    """
    torch: Any = sys.modules.get("torch")
    before = _switches(torch) if torch else None  # a part may be the first to load it
    try:
        yield
    finally:
        if torch := sys.modules.get("torch"):
            _set(torch, before or (True, False, torch.float32, False, False))


def _switches(torch: Any) -> tuple[Any, ...]:
    return (
        torch.is_grad_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _set(torch: Any, switches: tuple[Any, ...]) -> None:
    if switches == _switches(torch):  # as a rule
        return
    grad, anomaly, dtype, deterministic, warn_only = switches
    torch.set_grad_enabled(grad)
    torch.autograd.set_detect_anomaly(anomaly)
    torch.set_default_dtype(dtype)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
