"""A fitted model as one of MLflow's: its files, for a run to keep."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow.pytorch
import torch
from mlflow.models import infer_signature

from runner.record.journal import File

FOLDER = "model"
"""Among a run's artifacts: `runs:/ID/model` is what MLflow calls it."""


def files(model: Any, example: Any, metadata: Mapping[str, Any]) -> Iterator[File]:
    """Those of the module with signature and input example, as PyTorch exports it.

    `example` is (samples, features), float64. Raises whatever PyTorch or MLflow says of a module
    that cannot be exported.
    """
    with torch.no_grad():
        told = model(torch.tensor(example)).numpy()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, FOLDER)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # they talk
            mlflow.pytorch.save_model(
                model,
                place,
                signature=infer_signature(example, told),
                input_example=example,
                pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", "numpy"],
                metadata=dict(metadata),
            )
        for path in sorted(place.rglob("*")):
            if path.is_file():
                yield File(path.relative_to(folder).as_posix(), path.read_bytes())
