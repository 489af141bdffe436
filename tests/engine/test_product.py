"""Every dataset with every model, loss, optimizer, gradient and batch size: it works, or says why.

What must work is said here once more, from what each part is for.
"""

from itertools import islice, product

import numpy as np
import pytest

from runner.config.cell import Cell
from runner.config.spec import typed
from runner.engine.check import checked
from runner.engine.draws import Draws
from runner.engine.experiment import compose
from runner.engine.stack import impossible, prepare, refusal, stack
from runner.errors import ConfigError

FEATURES = {"line": 1, "polynomial": 1, "noisy_line": 1}
"""Those of one feature; the others have several."""
OUTPUTS = {"linnerud": 3}
CLASSES = {"moons": 2, "separable": 2, "breast_cancer": 2, "blobs": 3, "iris": 3, "wine": 3}
DATASETS = [*FEATURES, *OUTPUTS, *CLASSES, "digits", "plane", "ill_conditioned", "diabetes"]
CLASSES["digits"] = 10
MODELS = ["scalar", "linear", "polynomial", "logistic", "softmax", "mlp"]
LOSSES = ["mse", "mae", "huber", "bce", "cross_entropy"]
OPTIMIZERS = ["by_hand", "sgd", "adam"]
SIZES = [None, 3]
SOON, SLOW = ("linnerud", "iris"), pytest.mark.slow


def works(dataset, model, loss, optimizer, gradient):
    """Whether there is such an experiment."""
    classes, outputs = CLASSES.get(dataset, 0), OUTPUTS.get(dataset, 1)
    if model == "mlp" and (gradient == "by_hand" or optimizer == "by_hand"):
        return False
    if loss in ("mse", "mae", "huber"):
        if classes > 2:
            return False
    elif loss == "bce":
        if classes != 2:
            return False
    else:  # whole numbers, each of which may be a class
        outputs = 214 if dataset == "diabetes" else classes
        if not outputs:
            return False
    return model != "scalar" or (dataset in FEATURES and outputs == 1)


@pytest.fixture(scope="module")
def nodes(composer):
    """The plain node of each option, and a config to put them into."""

    def node(group, option):
        return composer.cell([f"{group}={option}"]).values[group]

    table = {
        group: {option: node(group, option) for option in options}
        for group, options in [
            ("dataset", DATASETS),
            ("model", MODELS),
            ("loss", LOSSES),
            ("optimizer", OPTIMIZERS),
        ]
    }
    for own in table["dataset"].values():
        own["probe"] = None
        if "samples" in own:
            own["samples"] = 12
    return composer.cell(["lr=0.001", "dtype=float64"]).values, table


@pytest.mark.parametrize("gradient", ["by_hand", "autograd"])
@pytest.mark.parametrize(
    "dataset", [name if name in SOON else pytest.param(name, marks=SLOW) for name in DATASETS]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_each_works_or_says_why(dataset, gradient, nodes):
    base, table = nodes
    draws, ran = Draws(), 0
    for model, loss, optimizer, size in product(MODELS, LOSSES, OPTIMIZERS, SIZES):
        values = {
            **base,
            "gradient": gradient,
            "batch_size": size,
            "dataset": table["dataset"][dataset],
            "model": table["model"][model],
            "loss": table["loss"][loss],
            "optimizer": {**table["optimizer"][optimizer], "lr": 0.001},
        }
        checked(Cell(values, {}, []))
        words = f"{dataset} {model} {loss} {optimizer} {gradient} {size}"
        if not works(dataset, model, loss, optimizer, gradient):
            with pytest.raises(ConfigError) as refused:
                compose(typed(values), draws.dataset(typed(values)))
            assert len(str(refused.value)) > 20, words
            continue
        data = draws.dataset(typed(values))
        alone = list(islice(compose(typed(values), data).steps, 3))
        ran += 1
        if refusal(typed(values)) or (size is None) == (
            optimizer == "sgd"
        ):  # one size each will do
            continue
        cells = [prepare(typed(values), data), prepare(typed({**values, "lr": 0.002}), data)]
        assert impossible(cells) is None, words
        stacked = list(islice(stack(cells).steps, 3))
        for one, other in zip(stacked, alone, strict=True):
            near = 1e-9 * max(1.0, abs(other.loss), np.abs(other.parameters).max())
            assert one.loss[0] == pytest.approx(other.loss, rel=0, abs=near), words
            assert one.parameters[0] == pytest.approx(other.parameters, rel=0, abs=near), words
    assert ran >= 8
