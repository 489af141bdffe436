"""Every optimizer of PyTorch's, and those of one other package: as in a bare loop, or refused."""

import inspect
from itertools import islice

import numpy as np
import pytest
import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer import OPTIMIZER_LIST
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

from runner.config.spec import typed
from runner.engine.experiment import compose
from runner.errors import ConfigError

WORDS = ["dataset=iris", "model=mlp", "loss=cross_entropy", "batch_size=32", "lr=0.01"]
STEPS = 12

OF_PYTORCH = [
    name
    for name in torch.optim.__all__
    if isinstance(kind := getattr(torch.optim, name, None), type)
    and kind is not torch.optim.Optimizer
]
OTHERS = [kind.__name__ for kind in OPTIMIZER_LIST]

MATRICES = [
    {"params": "*.weight", "use_muon": True},
    {"params": "*.bias", "use_muon": False},
]
MARKED = {"groups": MATRICES, "takes": {"marks": ["use_muon"]}}

SAID = {
    "AdaGO": MARKED,
    "AdaMuon": MARKED,
    "Muon": MARKED,
    "NorMuon": MARKED,
    "AdaHessian": {"takes": {"create_graph": True}},
    "SophiaH": {"takes": {"create_graph": True}},
    "AdamMini": {"takes": {"model": "module"}},
    "BSAM": {"num_data": 150},
    "Ranger21": {"takes": {"num_iterations": "steps"}},
    "SpectralSphere": {"groups": [{"params": "*.bias", "frozen": True}]},
}
"""What a config says of those that want more than parameters."""

REFUSED = {
    "AdaLOMO": "no attribute 'named_parameters'",
    "DeMo": "einops",
    "DistributedMuon": "refused its values",
    "LOMO": "no attribute 'parameters'",
    "MuonClip": "refused its values",
    "Muon of PyTorch's": "only supports 2D parameters",
    "SparseAdam of PyTorch's": "does not support dense gradients",
}


DECOMPOSE = {"Alice", "Kron", "SOAP", "SPlus", "ScalableShampoo", "Shampoo", "SpectralSphere"}
"""Those that decompose matrices"""


class Bare:
    """The loop of WORDS in PyTorch alone."""

    def __init__(self, make):
        x, y = load_iris(return_X_y=True)
        self.x = torch.tensor(StandardScaler().fit_transform(x), dtype=torch.float32)
        self.y, self.loss = torch.tensor(y), torch.nn.CrossEntropyLoss()
        torch.manual_seed(0)
        layers = torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
        self.model = torch.nn.Sequential(*layers)
        self.optimizer = make(self.model)
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()

    def steps(self, *, closure, graph):
        """Parameters after each."""
        batches = [
            order[start : start + 32]
            for epoch in (1, 2, 3)
            for order in [np.random.default_rng([0, epoch]).permutation(150)]
            for start in range(0, 150, 32)
        ]
        for batch in batches[:STEPS]:

            def evaluate(batch=batch):
                self.optimizer.zero_grad()
                value = self.loss(self.model(self.x[batch]), self.y[batch])
                value.backward(create_graph=graph)
                return value

            evaluate()
            if closure:
                self.optimizer.step(torch.enable_grad()(evaluate))
            else:
                self.optimizer.step()
            yield (
                torch.nn.utils.parameters_to_vector(self.model.parameters()).detach().numpy().copy()
            )


def made_of(kind, said):
    """From a model to its optimizer, as the node says it."""

    def make(model):
        keywords = {k: v for k, v in said.items() if k not in ("groups", "takes")}
        if "lr" in inspect.signature(kind).parameters:
            keywords["lr"] = 0.01
        takes = said.get("takes", {})
        if "model" in takes:
            return kind(model, **keywords)
        if "num_iterations" in takes:
            keywords["num_iterations"] = STEPS
        weights = [model[0].weight, model[2].weight]
        biases = [model[0].bias, model[2].bias]
        if said.get("groups") is MATRICES:
            groups = [
                {"params": weights, "use_muon": True},
                {"params": biases, "use_muon": False},
            ]
            return kind(groups, **keywords)
        if "groups" in said:
            for bias in biases:
                bias.requires_grad_(False)
            return kind(weights, **keywords)
        return kind(model.parameters(), **keywords)

    return make


def bare(kind, said):
    """Its trajectory, and whether it wants a closure: one that fails without is given one."""
    graph = said.get("takes", {}).get("create_graph", False)
    try:
        return [*Bare(made_of(kind, said)).steps(closure=False, graph=graph)]
    except Exception:  # whatever it says without
        return [*Bare(made_of(kind, said)).steps(closure=True, graph=graph)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("package", "name"),
    [("torch.optim", name) for name in OF_PYTORCH]
    + [pytest.param("pytorch_optimizer", name, marks=pytest.mark.slow) for name in OTHERS],
)
def test_it_is_what_a_bare_loop_does_or_is_refused(package, name, composer, one_thread):
    kind = getattr(torch.optim if package == "torch.optim" else pytorch_optimizer, name)
    said = SAID.get(name, {}) if package != "torch.optim" else {}
    values = composer.cell([*WORDS, f"max_steps={STEPS}"]).values
    node = {"_target_": f"{package}.{name}", **said}
    if "lr" in inspect.signature(kind).parameters:
        node["lr"] = 0.01
    values = {**values, "optimizer": node}
    known = f"{name} of PyTorch's" if package == "torch.optim" else name
    if known in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[known]):
            compose(typed(values))
        return
    ours = [step.parameters for step in islice(compose(typed(values)).steps, STEPS)]
    theirs = bare(kind, said)
    # Products of matrices may round otherwise where these lie otherwise in memory.
    near = 1e-6 if name in DECOMPOSE else 0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=near)
    assert not np.array_equal(ours[0], ours[-1])
