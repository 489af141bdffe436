"""The state of a program: taken at some step and put into another one, it goes on bit for bit."""

import copy
from itertools import islice

import numpy as np
import pytest
import torch

from runner.config.spec import typed
from runner.engine import checkpoint
from runner.engine.experiment import compose
from runner.engine.stack import prepare, stack

RULES = ["by_hand", "sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad"]
LOOPS = {
    "numpy": ["gradient=by_hand", "model=linear"],
    "autograd": ["model=linear"],
    "optimizer": ["model=scalar"],
    "module": ["model=linear"],
}
TORCH = {
    name: getattr(torch.optim, name)
    for name in torch.optim.__all__
    if isinstance(getattr(torch.optim, name), type) and name not in ("Optimizer", "SparseAdam")
}
DROPOUT = {
    "_target_": "torch.nn.Sequential",
    "_args_": [
        {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 8},
        {"_target_": "torch.nn.BatchNorm1d", "num_features": 8},
        {"_target_": "torch.nn.Dropout", "p": 0.3},
        {"_target_": "torch.nn.Linear", "in_features": 8, "out_features": 1},
    ],
}


def kept(state):
    """The state as it is read back from a file."""
    return checkpoint.unpacked(checkpoint.packed(state))


class Driven:
    """An experiment, its steps taken one after another, and put together to epochs."""

    def __init__(self, experiment):
        self.parts = {
            "program": experiment.program,
            "batches": experiment.batches,
            "epochs": experiment.epochs(),
            "rates": experiment.rates,
        }

    def taken(self, steps):
        program, batches, epochs, rates = self.parts.values()
        found = []
        for batch in islice(batches, steps):
            step = program.advance(batch, *rates.given)
            seen = epochs.after(step, batch[1])
            found.append((step, seen))
            rates.after(seen)
        return found

    def keep(self, cells):
        for part in self.parts.values():
            part.keep(cells)

    def state(self):
        return {name: part.state() for name, part in self.parts.items()}

    def restore(self, state):
        for name, part in self.parts.items():
            part.restore(state[name])


def assert_goes_on(make, steps=12, at=5, keep=None):
    """Once without stopping; once stopped, its state put into a program that has just been made."""
    whole = Driven(make())
    if keep is not None:
        whole.taken(2)
        whole.keep(keep)
        steps -= 2
    first = whole.taken(at)
    state = kept(whole.state())
    rest = whole.taken(steps - at)
    torch.rand(7)  # whatever else draws
    other = Driven(make())
    other.taken(3)
    other.restore(state)
    again = other.taken(steps - at)
    assert len(first) == at
    for (one, seen), (two, seen_again) in zip(rest, again, strict=True):
        for here, there in zip(one, two, strict=True):
            np.testing.assert_array_equal(here, there)
        assert seen.epochs == seen_again.epochs
        np.testing.assert_array_equal(seen.loss, seen_again.loss)
        assert seen.told.keys() == seen_again.told.keys()
        for name in seen.told:
            np.testing.assert_array_equal(seen.told[name], seen_again.told[name])
    assert not np.array_equal(first[-1][0].parameters, rest[-1][0].parameters)


BATCHED = {
    "numpy": ["gradient=by_hand", "dataset=blobs", "model=softmax"],
    "autograd": ["optimizer=by_hand", "dataset=moons", "model=logistic"],
    "optimizer": ["dataset=noisy_line"],
    "module": ["dataset=moons", "model=mlp", "loss=cross_entropy", "validation=0.2"],
}


@pytest.mark.parametrize("shuffle", ["epoch", "replacement", "false"])
@pytest.mark.parametrize("loop", BATCHED)
def test_a_run_goes_on_within_an_epoch(loop, shuffle, composer):
    words = [*BATCHED[loop], "dataset.samples=25", "batch_size=7", f"shuffle={shuffle}"]
    values = composer.cell([*words, "lr=0.1", "schedule=plateau", "schedule.patience=0"]).values
    assert compose(typed(values)).loop == loop
    assert_goes_on(lambda: compose(typed(copy.deepcopy(values))))


@pytest.mark.parametrize("loop", [*BATCHED][::3])
def test_a_stack_goes_on_within_an_epoch(loop, composer):
    words = [*BATCHED[loop], "dataset.samples=25", "batch_size=7", "schedule=cosine", "clip=1"]
    parts = [prepare(composer.cell([*words, f"seed={seed}"]).spec) for seed in range(4)]
    assert_goes_on(lambda: stack(parts), keep=np.array([0, 2, 3]))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("optimizer", RULES)
def test_each_loop_goes_on_with_each_optimizer(loop, optimizer, composer):
    words = [*LOOPS[loop], "dataset=noisy_line", f"optimizer={optimizer}", "lr=0.01"]
    words += ["schedule=one_cycle"]
    values = composer.cell(words).values
    if loop == "autograd":
        values["optimizer"] = {"_target_": "runner.optimizer.adam", "lr": 0.01, "amsgrad": True}
    if (loop, optimizer) in [("optimizer", "by_hand"), ("module", "by_hand")]:
        values["optimizer"] = {"_target_": "torch.optim.SGD", "lr": 0.01}
    assert compose(typed(values)).loop == loop
    assert_goes_on(lambda: compose(typed(copy.deepcopy(values))))


@pytest.mark.parametrize("name", sorted(TORCH))
def test_every_optimizer_of_pytorch_goes_on(name, composer):
    """Over a module that draws at each step and keeps what is no parameter."""
    values = composer.cell(["dataset=plane", "schedule=cosine"]).values
    values["model"] = DROPOUT
    values["optimizer"] = {"_target_": f"torch.optim.{name}", "lr": 0.01}
    if name == "Muon":
        values["model"] = {**DROPOUT, "_args_": [DROPOUT["_args_"][0], DROPOUT["_args_"][3]]}
        for layer in values["model"]["_args_"]:
            layer["bias"] = False
    assert_goes_on(lambda: compose(typed(copy.deepcopy(values))))


@pytest.mark.parametrize("seeds", ["shared", "own"])
@pytest.mark.parametrize("gradient", ["by_hand", "autograd"])
@pytest.mark.parametrize("optimizer", RULES)
def test_a_stack_goes_on_with_the_cells_that_are_left(seeds, gradient, optimizer, composer):
    words = [f"gradient={gradient}", "dataset=noisy_line", "model=linear", f"optimizer={optimizer}"]
    words += ["schedule=plateau", "schedule.patience=1"]
    made = [
        composer.cell([*words, f"lr={lr}", f"seed={lr * 100 if seeds == 'own' else 0:.0f}"])
        for lr in (0.01, 0.02, 0.03, 0.04)
    ]
    parts = [prepare(cell.spec) for cell in made]
    assert len({part.structure for part in parts}) == 1
    assert_goes_on(lambda: stack(parts))
    assert_goes_on(lambda: stack(parts), keep=np.array([1, 3]))


def test_a_stack_of_networks_goes_on(composer):
    layers = "model={_target_:torch.nn.Sequential,_args_:[{_target_:torch.nn.Linear,in_features:1,"
    layers += "out_features:3},{_target_:torch.nn.Tanh},{_target_:torch.nn.Linear,in_features:3,"
    layers += "out_features:1}]}"
    words = ["optimizer=adam", "dataset=noisy_line", "~model", f"+{layers}"]
    parts = [prepare(composer.cell([*words, f"seed={seed}"]).spec) for seed in range(4)]
    assert_goes_on(lambda: stack(parts), keep=np.array([0, 2, 3]))
