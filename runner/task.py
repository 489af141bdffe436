"""The task that a loss sets: to predict numbers, one of two classes, or one of several."""

from collections.abc import Mapping
from typing import Any

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
    return 0.5 if is_torch and name not in LOGITS else 0.0
