"""Ray Tune with its MLflow callback: `python -m benchmarks.rivals.ray_tune EPOCHS LR...`."""

import sys
from pathlib import Path
from typing import Any

import mlflow
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback

from benchmarks.rivals.fit import fit


def trainable(config: dict[str, Any]) -> None:
    """One trial."""
    fit(config["lr"], config["epochs"], lambda _, metrics: tune.report(metrics))


def main() -> None:
    """All trials, as many at once as there are cores."""
    store = f"sqlite:///{Path.cwd()}/mlflow.db"
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("rival")
    ray.init(include_dashboard=False, log_to_driver=False)
    epochs, rates = int(sys.argv[1]), [float(lr) for lr in sys.argv[2:]]
    callback = MLflowLoggerCallback(tracking_uri=store, experiment_name="rival")
    storage = f"{Path.cwd()}/ray"
    tuner = tune.Tuner(
        trainable,
        param_space={"lr": tune.grid_search(rates), "epochs": epochs},
        run_config=tune.RunConfig(callbacks=[callback], storage_path=storage, verbose=0),
    )
    results = tuner.fit()
    assert not results.errors


if __name__ == "__main__":
    main()
