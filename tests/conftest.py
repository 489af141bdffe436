"""Fixtures that start the command as a person would, and read MLflow as a stock client does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def compose_config():
    """Compose the shipped config with overrides, as the command does."""
    from hydra import compose, initialize_config_dir

    from runner.config import register

    register()

    def composed(overrides=()):
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", list(overrides))

    return composed


@pytest.fixture(scope="session")
def environment():
    """The environment of a process that runs this checkout, from whichever folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HYDRA_"))}
    return {**kept, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def runner(environment):
    """Run `python -m runner` in a folder; return the process, its exit status checked."""

    def run(folder, *typed, status=0, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "runner", *typed],
            cwd=folder,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def store():
    """Open the store that a command left in a folder: a stock client, and its runs."""
    from mlflow import MlflowClient

    def read(folder, uri=None, experiment="gradient descent"):
        client = MlflowClient(uri or f"sqlite:///{folder}/mlruns/mlflow.db")
        found = client.get_experiment_by_name(experiment)
        return client, list(client.search_runs([found.experiment_id], max_results=50_000))

    return read
