"""The MLflow experiment that runs go to: where it keeps artifacts, and how it is marked."""

from pathlib import Path

NOTE = """\
Runs of gradient descent: `loss`, `grad_norm` and each parameter (`w`, `b`, ...) at every step.

The loss at a step is the one before its update, the parameters are those after it; step 0 is the \
start. `final_loss`, `best_loss`, `epochs_run`, `seconds` and the predictions are figures of a \
whole run.
A sweep is a run that holds its cells: `python -m runner.ui latest` opens them over one another."""

TAGS = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": NOTE}
"""MLflow's UI takes an experiment for one of generative AI unless the first says otherwise."""


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its artifacts: a server knows, a database has no place."""
    return None if uri.startswith("http") else Path("mlruns/artifacts").absolute().as_uri()


def deleted(name: str) -> str:
    """What to do about an experiment that somebody has deleted."""
    return f"the experiment {name!r} is deleted: restore it, or set tracking.experiment"
