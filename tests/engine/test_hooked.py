"""Whether PyTorch's classes are as PyTorch has made them: fails first when its inside changes."""

import pytest
import torch

from runner.engine import hooked
from tests.support import parts


def sgd():
    """An optimizer of one parameter."""
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


def test_pytorchs_own_is_known():
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "LBFGS", "NAdam", "Rprop"):
        made = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)], lr=0.1)
        assert hooked.is_own_optimizer(made), name
    assert hooked.is_own_module(torch.nn.Linear(1, 1))
    assert hooked.is_own_parameter(torch.nn.Linear(1, 1).weight)


@pytest.mark.parametrize("name", ["hooked", "scheduled", "wrapped", "Subclass", "NeedsClosure"])
def test_an_optimizer_that_was_changed_is_not(name):
    assert not hooked.is_own_optimizer(getattr(parts, name)([torch.zeros(1)], lr=0.1))


def test_a_patched_class_is_not(monkeypatch):
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self, closure=None: None)
    assert not hooked.is_own_optimizer(sgd())


@pytest.mark.parametrize("register", ["step_pre_hook", "step_post_hook"])
def test_a_hook_on_all_optimizers_is_seen(register):
    import torch.optim.optimizer as optimizers

    handle = getattr(optimizers, f"register_optimizer_{register}")(lambda *_: None)
    try:
        assert not hooked.is_own_optimizer(sgd())
    finally:
        handle.remove()
    assert hooked.is_own_optimizer(sgd())


@pytest.mark.parametrize("register", ["forward_hook", "forward_pre_hook", "full_backward_hook"])
def test_a_hook_on_a_module_is_seen(register):
    layer = torch.nn.Linear(1, 1)
    getattr(layer, f"register_{register}")(lambda *_: None)
    assert not hooked.is_own_module(layer)
    everywhere = getattr(torch.nn.modules.module, f"register_module_{register}")
    handle = everywhere(lambda *_: None)
    try:
        assert not hooked.is_own_module(torch.nn.Linear(1, 1))
    finally:
        handle.remove()


def test_a_hook_on_a_parameter_is_seen():
    weight = torch.nn.Linear(1, 1).weight
    weight.register_hook(lambda gradient: None)
    other = torch.nn.Linear(1, 1).weight
    other.register_post_accumulate_grad_hook(lambda parameter: None)
    assert not hooked.is_own_parameter(weight)
    assert not hooked.is_own_parameter(other)
