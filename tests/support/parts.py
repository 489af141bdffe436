"""Small parts of a user's own, each with something that a runner may take for granted wrongly."""

import functools
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Small(nn.Module):
    """One weight, one bias; counts its calls."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.line(x)


class Frozen(nn.Module):
    """Its first layer does not learn."""

    def __init__(self, spare=False):
        super().__init__()
        self.first, self.last = nn.Linear(1, 8), nn.Linear(8, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.first.requires_grad_(False)
        if spare:  # learns, but the loss does not reach it
            self.spare = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


class Features(nn.Module):
    """Random features that are neither parameter nor buffer: each seed has its own."""

    def __init__(self):
        super().__init__()
        self.directions = torch.randn(1, 8)
        self.last = nn.Linear(8, 1)

    def forward(self, x):
        return self.last(torch.cos(x @ self.directions.to(x)))


class Warming(Small):
    """Depends on how often it was called."""

    def forward(self, x):
        return super().forward(x) * min(1.0, self.calls / 20)


def layers(kind):
    """Listed layers, to which something has been done that is not seen in their classes."""
    made = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
    if kind == "forward hook":
        made[0].register_forward_hook(lambda module, given, out: 2 * out)
    elif kind == "backward hook":
        made[2].register_full_backward_hook(lambda module, given, out: None)
    elif kind == "parameter hook":
        made[0].weight.register_hook(lambda gradient: 0 * gradient)
    elif kind == "own forward":
        made[1].forward = torch.relu
    elif kind == "frozen":
        made[0].bias.requires_grad_(False)
    elif kind == "buffer":
        made.register_buffer("scale", torch.rand(1))
    elif kind == "dropout":
        made.insert(1, nn.Dropout(0.5))
    elif kind == "weight norm":
        nn.utils.parametrizations.weight_norm(made[0])
    elif kind == "drawn":  # another layer for another seed
        made[1] = nn.LeakyReLU(torch.rand(()).item())
    return made


class CountingLoss(nn.MSELoss):
    """Half as much at every second call."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, prediction, y):
        self.calls += 1
        return super().forward(prediction, y) / (1 + self.calls % 2)


class Ends(Small):
    """Raises what it is told to at its thirtieth call in training."""

    def __init__(self, how="exit"):
        super().__init__()
        self.how = how

    def forward(self, x):
        if self.calls == 29:
            if self.how == "exit":
                sys.exit(0)
            raise {
                "cancelled": __import__("asyncio").CancelledError(),
                "generator": GeneratorExit(),
                "bytes": ValueError("cannot read " + b"caf\xe9".decode("utf-8", "surrogateescape")),
                "lines": RuntimeError("out of memory\nCompile with ASSERTIONS to see more."),
            }[self.how]
        return super().forward(x)


class Unseeded(Small):
    """Draws numbers that no seed of PyTorch's decides."""

    def forward(self, x):
        return super().forward(x) + 0.1 * float(np.random.default_rng().normal())


class Switches(Small):
    """Changes what is PyTorch's own for every run after it, if asked."""

    def __init__(self, how="nothing"):
        super().__init__()
        self.how = how

    def forward(self, x):
        if self.how == "gradients" and self.calls == 5:
            torch.set_grad_enabled(False)
        if self.how == "dtype":
            torch.set_default_dtype(torch.float64)
        return super().forward(x)


class Keeps(Small):
    """Keeps a tensor from one call to the next in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, x):
        y = super().forward(x)
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean()
        return y + self.mean


class RaisesEarly(Small):
    """Raises at its fifth call."""

    def forward(self, x):
        if self.calls == 4:
            raise ValueError("bad value at call 5")
        return super().forward(x)


class RaisesAtTheEnd(Small):
    """Raises when it is asked for the prediction after training."""

    def forward(self, x):
        if not self.training and self.calls > 20:
            raise ValueError("no prediction")
        return super().forward(x)


class Names(nn.Module):
    """One parameter of each name."""

    def __init__(self, names):
        super().__init__()
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.tensor(1.0)))

    def forward(self, x):
        return x * sum(self.parameters())


class Returns(nn.Module):
    """Returns what is no tensor."""

    def __init__(self, what="dict"):
        super().__init__()
        self.line, self.what = nn.Linear(1, 1), what

    def forward(self, x):
        y = self.line(x)
        kinds = {"dict": {"y": y}, "tuple": (y, y), "none": None, "number": 1.0, "whole": y.long()}
        return kinds[self.what]


class Transposed(nn.Module):
    """A parameter that is not contiguous in memory."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2, 3).t())

    def forward(self, x):
        return x * self.w.sum()


class Sparse(nn.Module):
    """The gradient of its table is sparse."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(8, 1, sparse=True)

    def forward(self, x):
        return self.table(x[:, 0].long())


class Old(nn.Linear):
    """Keeps a tensor that has a history, so that it cannot be copied."""

    def __init__(self):
        super().__init__(1, 1)
        self.norm = self.weight * 2


def hooked(params, lr):
    """PyTorch's own optimizer with a hook that forgets the gradients: nothing moves."""
    made = torch.optim.SGD(params, lr=lr)

    def still(optimizer, args, kwargs):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad.zero_()

    made.register_step_pre_hook(still)
    return made


def scheduled(params, lr):
    """PyTorch's own optimizer with a schedule in a hook: half the learning rate each step."""
    made = torch.optim.SGD(params, lr=lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(made, 0.5)
    made.register_step_post_hook(lambda optimizer, args, kwargs: schedule.step())
    return made


def wrapped(params, lr):
    """PyTorch's own optimizer whose step somebody has replaced by one that does nothing."""
    made = torch.optim.SGD(params, lr=lr)
    made.step = lambda closure=None: None
    return made


class Subclass(torch.optim.SGD):
    """Takes its step twice, and forgets gradients in a way of its own."""

    forgotten = 0

    def step(self, closure=None):
        super().step()
        super().step()

    def zero_grad(self, set_to_none=True):
        type(self).forgotten += 1
        super().zero_grad(set_to_none)


class NeedsClosure(torch.optim.SGD):
    """Wants its closure although its signature has a default."""

    def step(self, closure=None):
        assert closure is not None, "needs a closure"
        with torch.enable_grad():
            loss = closure()
        super().step()
        return loss


class NoisyLoss(nn.Module):
    """Draws numbers, and cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, prediction, y):
        return ((prediction - y + torch.randn_like(y)) ** 2).mean()


def nothing(params, lr):
    """No optimizer."""
    return


def below_zero(*, offset=1000.0):
    """A loss that is negative."""

    def loss(prediction, y, offset):
        return ((prediction - y) ** 2).mean() - offset

    return functools.partial(loss, offset=offset)


def loss_of(what="number"):
    """A loss that returns something else than a tensor of one number that has a gradient."""

    def loss(prediction, y):
        value = ((prediction - y) ** 2).mean()
        kinds = {"number": value.item(), "tuple": (value,), "none": None}
        return {**kinds, "detached": value.detach(), "constant": value * 0}[what]

    return loss


def unseeded(samples=8):
    """Data drawn anew at each call."""
    x = np.random.default_rng().normal(size=samples)
    return x, 2 * x


def elsewhere():
    """Changes the folder."""
    os.chdir("/")
    return [1.0, 2.0, 3.0], [2.0, 4.0, 6.0]


def masked(which="x"):
    """Missing values as a mask."""
    values = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    whole = [2.0, 4.0, 6.0]
    return (values, whole) if which == "x" else (whole, values)


def leaves(how="exit"):
    """A dataset that ends the process."""
    sys.exit(0)


def of_environment():
    """A model that needs a variable which Hydra sets for a job."""
    assert os.environ["OF_A_JOB"] == "yes"
    return torch.nn.Linear(1, 1)


class Sleeping(torch.nn.MSELoss):
    """A loss that makes a file at its thirtieth call, and sleeps for a minute."""

    calls = 0

    def forward(self, prediction, y):
        type(self).calls += 1
        if prediction.requires_grad and type(self).calls > 30:
            Path(f"sleeping-{os.getpid()}").touch()
            time.sleep(60)
        return super().forward(prediction, y)


def rule_without_lr():
    """An update rule whose learning rate no config knows."""

    def update(w, gradient, state, lr=0.1):
        return w - lr * gradient, state

    return update


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(1, 1), nn.Linear(1, 1)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


class Untrained(nn.Module):
    """A line, and beside it something that a run could not train, or record, as it is."""

    def __init__(self, what="nothing"):
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.beside = {
            "complex": lambda: nn.Parameter(torch.ones(1, dtype=torch.complex64)),
            "whole": lambda: nn.Parameter(torch.tensor([3]), requires_grad=False),
            "double": lambda: nn.Parameter(torch.ones(1, dtype=torch.float64)),
            "sparse": lambda: nn.Parameter(torch.eye(1).to_sparse()),
            "meta": lambda: nn.Parameter(torch.ones(1, device="meta")),
            "lazy": lambda: nn.LazyLinear(1),
            "listed": lambda: [nn.Linear(1, 1)],
            "tensor": lambda: torch.ones(1, requires_grad=True),
            "detached": lambda: nn.Identity(),
            "frozen": lambda: self.line.requires_grad_(False),
        }[what]()
        self.what = what

    def forward(self, x):
        if self.what == "listed":
            return self.line(x) + self.beside[0](x)
        if self.what == "tensor":
            return self.line(x) * self.beside
        return self.line(x).detach() if self.what == "detached" else self.line(x)


def complex_buffer():
    """A line with a complex constant."""
    line = nn.Linear(1, 1)
    line.register_buffer("phase", torch.ones(1, dtype=torch.complex64))
    return line


class WithWeight(nn.MSELoss):
    """A loss that would learn, if anything trained it."""

    def __init__(self, learns=True):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=learns)

    def forward(self, prediction, y):
        return super().forward(prediction, y) * self.scale


SCALE = torch.ones((), requires_grad=True)


def with_scale(prediction, y):
    """The same with a tensor of the module's."""
    return ((prediction - y) ** 2).mean() * SCALE


def bowl(w):
    """An objective with something to learn beside w."""
    return (w**2).sum() * SCALE


def weights_alone(params, lr):
    """Leaves out all parameters but the first."""
    return torch.optim.SGD(list(params)[:1], lr=lr)
