"""Optuna with its MLflow callback: `python -m benchmarks.rivals.optuna_study EPOCHS LR...`."""

import sys

import mlflow
import optuna
from optuna_integration.mlflow import MLflowCallback

from benchmarks.rivals.fit import fit


def main() -> None:
    """One trial after another."""
    epochs, rates = int(sys.argv[1]), [float(lr) for lr in sys.argv[2:]]
    callback = MLflowCallback(tracking_uri="sqlite:///mlflow.db", metric_name="final_loss")

    @callback.track_in_mlflow()
    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", min(rates), max(rates))

        def tell(epoch: int, metrics: dict[str, float]) -> None:
            for name, value in metrics.items():
                mlflow.log_metric(name, value, step=epoch)

        return fit(lr, epochs, tell)

    study = optuna.create_study(
        study_name="rival", sampler=optuna.samplers.GridSampler({"lr": rates})
    )
    study.optimize(objective, n_trials=len(rates), callbacks=[callback])


if __name__ == "__main__":
    main()
