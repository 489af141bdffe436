"""Hydra's multirun with `mlflow.log_metric` at each step; the launcher is chosen on the line."""

from dataclasses import dataclass

import hydra
import mlflow
from hydra.core.config_store import ConfigStore

from benchmarks.rivals.fit import fit


@dataclass
class Config:
    lr: float = 0.01
    epochs: int = 100


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(config: Config) -> float:
    """One run in MLflow for each job."""
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("rival")

    def tell(epoch: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            mlflow.log_metric(name, value, step=epoch)

    with mlflow.start_run():
        mlflow.log_params({"lr": config.lr, "epochs": config.epochs})
        return fit(config.lr, config.epochs, tell)


if __name__ == "__main__":
    main()
