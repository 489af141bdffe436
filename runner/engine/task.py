"""The task that a loss sets: to predict numbers, one of two classes, or one of several."""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from runner.config.build import build
from runner.dataset import target

LOGITS = ("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", "SoftMarginLoss")
"""Of PyTorch's losses of one prediction a sample, those that take any number for it."""

WANTED = {
    **dict.fromkeys(("BCELoss", "binary_cross_entropy", *LOGITS[:2]), target.ONE_OF_TWO),
    **dict.fromkeys(("SoftMarginLoss", "soft_margin_loss"), target.SIGNS),
    **dict.fromkeys(("HingeEmbeddingLoss", "hinge_embedding_loss"), target.SIGNS),
    **dict.fromkeys(("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"), target.CLASSES),
    **dict.fromkeys(("cross_entropy", "nll_loss", "multi_margin_loss"), target.CLASSES),
}


def name_of(node: Mapping[str, Any]) -> tuple[str, bool]:
    """What the loss of that node is called, and whether it is one of PyTorch's."""
    package, _, name = str(node.get("kind") or node.get("_target_")).rpartition(".")
    return name, package.startswith("torch.nn")


def wanted(node: Mapping[str, Any]) -> str:
    """What the loss of that node wants y to be: see `runner.dataset.target`."""
    name, is_torch = name_of(node)
    return WANTED.get(name, target.NUMBERS) if is_torch else target.ANYTHING


def threshold(node: Mapping[str, Any]) -> float:
    """Above which a prediction means the second of two classes."""
    name, is_torch = name_of(node)
    if is_torch:
        return 0.5 if name not in LOGITS else 0.0
    return _middle(json.dumps(node))


@lru_cache(maxsize=256)
def _middle(node: str) -> float:
    """Return the prediction at which a loss of the user's is the same for both classes.

    0.5 is tried, which is where losses of probabilities have it, and else 0 is presumed, where
    losses of logits do. The loss is asked, for a subclass, a partial or a function may be either.
    """
    import torch

    arguments = {k: v for k, v in json.loads(node).items() if k != "gradient_reduction"}
    loss, half = build("loss", arguments), torch.full((1,), 0.5)
    try:
        with torch.no_grad(), torch.random.fork_rng([]):
            of_both = [float(loss(half.clone(), torch.full((1,), label))) for label in (0.0, 1.0)]
    except Exception:  # whatever a loss of the user's says of one sample
        return 0.0
    return 0.5 if math.isclose(*of_both, rel_tol=1e-5) else 0.0
