"""The random state of PyTorch, from which a loss or a module may draw."""

import torch

from runner.base.arrays import State


def state() -> State:
    """Of the CPU, and of every CUDA device in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore(state: State) -> None:
    """Draw from here on what would have been drawn after `state`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
