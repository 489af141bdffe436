"""A run's dataset as MLflow's UI lists and filters it: name, digest, shapes, source."""

import json
from typing import Any

from runner.config.cell import Cell
from runner.dataset.samples import Dataset

DIGEST_DIGITS = 16  # of 64; MLflow has room for 36 and makes 8 itself


def dataset_input(cell: Cell, data: Dataset) -> dict[str, str]:
    """The fields of MLflow's `Dataset` entity; the shapes as its `NumpyDataset` writes them.

    None for an objective.
    """
    node = cell.spec.dataset
    if node is None:
        return {}
    target = str(node.get("_target_"))
    shown = {key: str(value)[:200] for key, value in node.items() if key != "_target_"}
    arrays = {"features": data.x, "targets": data.y}
    specs = {name: json.dumps([_spec(array)]) for name, array in arrays.items()}
    profile: dict[str, Any] = {}
    if data.validation is not None:
        arrays |= {"validation_features": data.validation.x}
    for name, array in arrays.items():
        profile[f"{name}_shape"] = list(array.shape)
        profile[f"{name}_size"] = array.size
        profile[f"{name}_nbytes"] = array.nbytes
    told = {"features": data.names, "classes": data.classes}
    profile |= {name: list(words) for name, words in told.items() if words}
    return {
        "name": str(cell.choices.get("dataset") or target),
        "digest": data.digest[:DIGEST_DIGITS],
        **_source(target, shown),
        "schema": json.dumps({"mlflow_tensorspec": specs}),
        "profile": json.dumps(profile),
    }


def _source(target: str, shown: dict[str, str]) -> dict[str, str]:
    """A file, as MLflow names one, or the code that draws the samples."""
    if "path" in shown and target.startswith("runner.dataset."):
        return {"source_type": "local", "source": json.dumps({"uri": shown["path"]})}
    tags = {"mlflow.source.name": target, **shown}
    return {"source_type": "code", "source": json.dumps({"tags": tags})}


def _spec(array: Any) -> dict[str, Any]:
    tensor = {"dtype": str(array.dtype), "shape": [-1, *array.shape[1:]]}
    return {"type": "tensor", "tensor-spec": tensor}
