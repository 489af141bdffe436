"""What every rival computes: the notebook's third loop, telling each step to whoever asks."""

from collections.abc import Callable

import torch


def fit(lr: float, epochs: int, tell: Callable[[int, dict[str, float]], None]) -> float:
    """Fit f(x) = 2x; the final loss."""
    x = torch.tensor([1, 2, 3, 4], dtype=torch.float32)
    y = torch.tensor([2, 4, 6, 8], dtype=torch.float32)
    w = torch.tensor(0.0, requires_grad=True)
    criterion = torch.nn.MSELoss()
    optimizer = torch.optim.SGD([w], lr=lr)
    value = float("nan")
    for epoch in range(1, epochs + 1):
        loss = criterion(w * x, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        value = loss.item()
        tell(epoch, {"loss": value, "w": w.item()})
    return value
