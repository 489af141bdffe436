"""The random state of PyTorch, from which a loss or a module may draw."""

from typing import Any

import torch


def state() -> dict[str, Any]:
    """Of the CPU, and of every CUDA device in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore(state: dict[str, Any]) -> None:
    """Draw from here on what would have been drawn after `state`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
