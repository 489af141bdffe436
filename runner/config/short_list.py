"""The functions that a foreign config may build its parts with, and no others.

Not all of a package: some of its functions delete files or fetch them, and its modules lead to any
other. Nor what reads files. `--trust` lifts all of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from runner import loss as losses
from runner import model as models
from runner import optimizer, schedule
from runner.config.schema import Values
from runner.dataset.prepare import KEYS
from runner.errors import ConfigError


def _in(package: str, names: str) -> frozenset[str]:
    return frozenset(f"{package}.{name}" for name in names.split())


def _by_hand(*tables: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the functions of ours that stand in for what a config names."""
    rules = (rule for table in tables for rule in table.values())
    return frozenset(f"{rule.__module__}.{rule.__qualname__}" for rule in rules)


DATASETS = _in(
    "runner.dataset",
    "points chebyshev linear polynomial least_squares blobs moons separable digits",
) | _in(
    "sklearn.datasets",
    "load_breast_cancer load_diabetes load_digits load_iris load_linnerud load_wine make_blobs "
    "make_circles make_classification make_friedman1 make_friedman2 make_friedman3 "
    "make_gaussian_quantiles make_hastie_10_2 make_moons make_multilabel_classification "
    "make_regression make_s_curve make_sparse_uncorrelated make_swiss_roll",
)
PARTS: Mapping[str, frozenset[str]] = {
    "dataset": DATASETS,
    "validation_data": DATASETS,
    "model": frozenset({*models.BY_HAND, "runner.mlp.mlp"}),
    "loss": frozenset(losses.BY_HAND),
    "objective": _in(
        "runner.objective",
        "ackley beale himmelblau quadratic rastrigin rosenbrock saddle styblinski_tang",
    ),
    "optimizer": _in(
        "torch.optim",
        "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Muon NAdam RAdam RMSprop Rprop "
        "SGD",
    )
    | {"runner.optimizer.descent"},
    "schedule": frozenset({*schedule.BY_HAND, "runner.schedule.constant"}),
    "measure": _in(
        "runner.measure",
        "angle batch_sharpness cosine distance excess_loss gradient_noise learning_rate "
        "parameter_norm preconditioned_sharpness sharpness trace update_norm",
    ),
}
"""By the part of a config, what it may name."""

NAMES = frozenset().union(
    *PARTS.values(),
    _by_hand(
        models.BY_HAND, losses.BY_HAND, losses.CURVATURES, optimizer.BY_HAND, schedule.BY_HAND
    ),
)
"""All that may be called for it."""

ACTIVATIONS = (
    *("CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU"),
    *("LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign"),
    *("Tanh", "Tanhshrink"),
)
"""Classes of `torch.nn` that hold no parameters: some of the others hold millions."""

REPLACED = ("dataset", "model", "loss")
"""What an objective stands in the place of: nothing that a config names there is built."""

SIZED = ("dataset", "validation_data", "model", "objective")

LARGEST = 10**5
"""As many samples as a landscape is drawn of in seconds, times features."""
LARGEST_OF = {
    "runner.mlp.mlp": 2 * 10**7,
    models.POLYNOMIAL: 100,
    "runner.objective.quadratic": 1000,
}
"""The same of others: parameters, a degree, and the side of a matrix."""

SAMPLES = ("samples", "n_samples")

NO_SIZES = ("seed", "random_state", *KEYS)
"""Whole numbers that nothing is as large as."""


def check(config: Values) -> None:
    """Raise ConfigError unless the parts of a config can be built by the short list alone."""
    for group, names in PARTS.items():
        if group in REPLACED and config.get("objective"):
            continue
        for where, node in _nodes(group, config.get(group)):
            _check_node(where, node, names)
            if group in SIZED:
                _check_size(where, node)
    data, model = (config.get(part) or {} for part in ("dataset", "model"))
    if model.get("_target_") == models.POLYNOMIAL and size(data) * size(model) > 10 * LARGEST:
        raise _too_large("model.degree, times samples", 10 * LARGEST)


def _nodes(group: str, node: Any) -> Iterator[tuple[str, Any]]:
    if group == "measure":
        inner = node if isinstance(node, Mapping) else {}
        yield from ((f"measure.{key}", one) for key, one in inner.items() if key != "every")
    elif node:
        yield group, node


def _check_node(where: str, node: Any, names: frozenset[str]) -> None:
    if not isinstance(node, Mapping):
        raise ConfigError(where, expected="a part", got=f"{node!r:.80}")
    name = node.get("_target_")
    if name not in names:
        raise _not_listed(name)
    for key, value in node.items():
        if key != "_target_":
            _check_plain(f"{where}.{key}", key, value)
    if node.get("activation", "ReLU") not in ACTIVATIONS:
        raise _not_listed(node["activation"])


def _check_size(where: str, node: Mapping[str, Any]) -> None:
    if size(node) > (most := LARGEST_OF.get(str(node["_target_"]), LARGEST)):
        raise _too_large(f"{where}: samples times features, or parameters", most)


def _not_listed(name: object) -> ConfigError:
    return ConfigError(f"{str(name)[:80]} is not on the short list of what may be built: --trust")


def _too_large(what: str, most: int) -> ConfigError:
    return ConfigError(what, f"expected {most:,} at most of a run that may not be yours: --trust")


def _check_plain(where: str, key: object, value: Any) -> None:
    """Raise ConfigError for keys that mean more than themselves, wherever they stand."""
    if key == "_target_":
        raise _not_listed(value)
    if not isinstance(key, str) or key.startswith("_"):
        raise ConfigError(where, "such a key may not be built: --trust")
    if isinstance(value, Mapping):
        for inner, one in value.items():
            _check_plain(f"{where}.{inner}", inner, one)
    elif isinstance(value, list):
        for one in value:
            _check_plain(where, "", one)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise ConfigError(where, f"a {type(value).__name__} may not be built: --trust")


def size(node: Mapping[str, Any]) -> int:
    """Return how many numbers a part holds, roughly, as far as its whole numbers tell."""
    sizes = [1]
    samples = 1
    for key, value in node.items():
        values = value if isinstance(value, list) else [value]
        whole = [abs(one) for one in values if isinstance(one, int) and not isinstance(one, bool)]
        if key in SAMPLES:
            samples = sum(whole)
        elif key == "widths":
            sizes.append(len(whole) * max(whole, default=1) ** min(len(whole), 2))
        elif key == "coefficients":
            sizes.append(len(values))
        elif not isinstance(value, list) and key not in NO_SIZES:
            sizes += whole
    return samples * max(sizes)
