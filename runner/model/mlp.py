"""A multilayer perceptron: linear layers, an activation between any two."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from runner.errors import BadValue

INITIALISATIONS = (
    "default",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
)
GAINS: dict[str, Any] = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
}
"""What `torch.nn.init.calculate_gain` calls an activation; of others the gain is 1."""


def mlp(
    *,
    in_features: int,
    out_features: int,
    widths: Sequence[int],
    activation: str = "ReLU",
    initialisation: str = "default",
) -> nn.Sequential:
    """Hidden layers of these widths, each followed by the activation, and a linear one at the end.

    `activation` is a class of `torch.nn` that needs no argument. `initialisation`: `default`, as
    `nn.Linear` draws, or one of `torch.nn.init` for the weights, with biases 0; its gain is that of
    the activation, as far as PyTorch knows one (Glorot and Bengio 2010; He and others 2015).
    """
    if not isinstance(widths, list | tuple) or not all(map(_is_width, widths)):
        raise BadValue("widths", expected="a list of whole numbers of 1 or more", got=widths)
    found = getattr(nn, activation, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise BadValue("activation", expected="a class of torch.nn (ReLU, Tanh)", got=activation)
    if initialisation not in INITIALISATIONS:
        known = ", ".join(INITIALISATIONS)
        raise BadValue("initialisation", expected=f"one of {known}", got=initialisation)
    sizes = [in_features, *widths, out_features]
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers += [found()] if number else []
        layers.append(nn.Linear(inputs, outputs))
    made = nn.Sequential(*layers)
    if initialisation != "default":
        _initialise(made, initialisation, activation)
    return made


def _initialise(made: nn.Sequential, how: str, activation: str) -> None:
    gain = nn.init.calculate_gain(GAINS[activation]) if activation in GAINS else 1.0
    kaiming = how.startswith("kaiming")
    for layer in made:
        if isinstance(layer, nn.Linear):
            draw = getattr(nn.init, f"{how}_")
            if kaiming:  # its gain goes by the activation's name
                draw(layer.weight, nonlinearity=GAINS.get(activation, "linear"))
            else:
                draw(layer.weight, gain)
            nn.init.zeros_(layer.bias)


def _is_width(width: object) -> bool:
    return isinstance(width, int) and not isinstance(width, bool) and width > 0
