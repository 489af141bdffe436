"""What a caller has told MLflow in the same process, which calls from Python go by."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runner.errors import ConfigError

URI, NAME, ID = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"


@contextmanager
def heeded() -> Iterator[None]:
    """Have the environment say what `mlflow.set_tracking_uri` and `set_experiment` have said.

    For MLflow these come before the environment. Raises ConfigError for an experiment that the
    store does not have.
    """
    before = {key: os.environ.get(key) for key in (URI, NAME)}
    try:
        os.environ.update(_said())
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _said() -> dict[str, str]:
    mlflow = sys.modules.get("mlflow")
    if mlflow is None or not hasattr(mlflow, "is_tracking_uri_set"):
        return {}
    variables = {}
    if mlflow.is_tracking_uri_set():
        variables[URI] = mlflow.get_tracking_uri()
    number = os.environ.get(ID)  # which `mlflow.set_experiment` has set
    if number and not os.environ.get(NAME):
        try:
            variables[NAME] = mlflow.get_experiment(number).name
        except Exception as error:  # whatever a store says that does not have it
            raise ConfigError(
                "tracking.experiment", f"{ID}={number} cannot be looked up ({error}): name it"
            ) from error
    return variables
