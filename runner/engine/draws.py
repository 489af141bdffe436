"""The dataset that a config names, as a run takes it: drawn once for a whole command."""

import json
from typing import Any

import numpy as np

from runner import device
from runner.config.build import build, known_as
from runner.config.schema import Values
from runner.config.spec import ProblemSpec
from runner.dataset.prepare import KEYS, VALIDATION, Wishes, prepare
from runner.dataset.samples import Dataset, digest
from runner.dataset.target import ANYTHING, CLASSES, ONE_OF_TWO, TEXT
from runner.engine import labels, task
from runner.errors import BadValue, ConfigError
from runner.model import POLYNOMIAL

CSV = "runner.dataset.csv"
"""Whose tables have no types but those that are read from them."""


class Draws:
    """Datasets by what the config says of them, each drawn once.

    A function of somebody's may draw anew at each call. Whoever composes several cells asks the
    same one of these, so that cells whose configs say the same have the same data.
    """

    def __init__(self) -> None:
        self._drawn: dict[str, tuple[Any, Any]] = {}
        self._prepared: dict[str, Dataset] = {}

    def dataset(self, spec: ProblemSpec) -> Dataset:
        """The samples as a loop takes them; the same object for the same config, never changed.

        Raises ConfigError.
        """
        if spec.objective:
            return self._none(spec)
        node, unseen, wishes = spec.part("dataset"), spec.validation_data, _wishes(spec)
        key = json.dumps([node, unseen, wishes])
        if key not in self._prepared:
            device.use_threads(1)
            kind, unseen = wishes.target_type, _like(node, unseen)
            other = None if unseen is None else self._samples("validation_data", unseen, kind)
            own = self._samples("dataset", node, kind)
            if unseen and other and kind is None and _are_text(wishes, own[1], other[1]):
                own = self._samples("dataset", node, TEXT)
                other = self._samples("validation_data", unseen, TEXT)
            try:
                self._prepared[key] = prepare(own, wishes, other)
            except BadValue as error:
                raise ConfigError.about(_placed(error.key), error) from error
            except ValueError as error:  # of NumPy's or scikit-learn's
                raise ConfigError("dataset", str(error)) from error
        return self._prepared[key]

    def _none(self, spec: ProblemSpec) -> Dataset:
        """One sample without features, told from others by its objective."""
        what = json.dumps({k: v for k, v in (spec.objective or {}).items() if k != "start"})
        key = f"{spec.dtype} {what}"
        if key not in self._prepared:
            x, y = np.zeros((1, 0), spec.dtype), np.zeros(1, spec.dtype)
            self._prepared[key] = Dataset(x, y, None, digest(x, np.frombuffer(what.encode(), "u1")))
        return self._prepared[key]

    def _samples(self, where: str, node: Values, kind: str | None) -> tuple[Any, Any]:
        """Return what the dataset's function does; `kind` is that of a target that is text."""
        own = {key: value for key, value in node.items() if key not in KEYS}
        if node.get("_target_") == CSV and kind is not None:
            own["target_type"] = kind
        key = json.dumps(own)
        if key not in self._drawn:
            made = build(where, own)
            if not isinstance(made, tuple | list) or len(made) != 2:
                target, kind = known_as(node), type(made).__name__
                raise ConfigError(where, expected=f"{target} to return (x, y)", got=kind)
            self._drawn[key] = (made[0], made[1])
        return self._drawn[key]


def _like(node: Values, unseen: Values | None) -> Values | None:
    """Return the validation data's node, with the categories of the dataset's if it names none."""
    if unseen and "categorical" in unseen and not unseen["categorical"]:
        return {**unseen, "categorical": node.get("categorical", unseen["categorical"])}
    return unseen


def _are_text(wishes: Wishes, trained: object, tried: object) -> bool:
    """Return whether two targets are to be text, for their values alone would differ in type."""
    kinds = _kind(trained), _kind(tried)
    if wishes.wanted == ANYTHING and not wishes.classes:
        return kinds[0] == "else" != kinds[1]
    is_of_classes = wishes.classes or wishes.wanted in (ONE_OF_TWO, CLASSES)
    return bool(is_of_classes) and kinds[0] != kinds[1]


def _kind(y: object) -> str:
    """Return whether a target is numbers, truth, which is true and false, or else."""
    kinds = getattr(y, "dtypes", None)
    if kinds is None:
        kinds = [np.asarray(y).dtype]
    letters = {getattr(kind, "kind", "O") for kind in kinds} if np.iterable(kinds) else {kinds.kind}
    return "numbers" if letters <= {*"iuf"} else "truth" if letters == {"b"} else "else"


def _wishes(spec: ProblemSpec) -> Wishes:
    node, model, loss = spec.part("dataset"), spec.part("model"), spec.part("loss")
    share = spec.validation or None
    degree: Any = 1
    if model.get("_target_") == POLYNOMIAL:
        degree = model.get("degree")
        if not isinstance(degree, int) or isinstance(degree, bool) or degree < 1:
            raise ConfigError("model.degree", expected="a whole number of 1 or more", got=degree)
    return Wishes(
        dtype=spec.dtype,
        wanted=task.wanted(loss),
        ignored=labels.ignored(loss),
        **{key: node[key] for key in KEYS if key in node},
        degree=degree,
        share=share,
        seed=spec.split_seed if share is not None else 0,
    )


def _placed(key: str) -> str:
    """Return the key of the config that a key of the prepared samples stands for."""
    return key if key.partition(".")[0] in ("validation", VALIDATION) else f"dataset.{key}"
