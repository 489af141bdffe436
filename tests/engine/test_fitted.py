"""The fitted model in MLflow, loaded where this project is not."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

LOAD = """
import json, sys
sys.modules["runner"] = None  # an import of it fails
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(f"runs:/{sys.argv[2]}/model")
x = np.array(json.loads(sys.argv[3]))
told = model.metadata
print(json.dumps([
    model.predict(x).tolist(),
    told.signature is not None,
    np.asarray(model.input_example).tolist(),
    told.metadata,
]))
"""


def loaded(folder, run, x):
    """What the model says of x, its input example, and its metadata, in another process."""
    command = [sys.executable, "-c", LOAD, f"sqlite:///{folder}/mlruns/mlflow.db"]
    done = subprocess.run(
        [*command, run.info.run_id, json.dumps(x)], cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    predicted, signed, example, metadata = json.loads(done.stdout.splitlines()[-1])
    assert signed
    return np.array(predicted), np.array(example), metadata


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["optimizer=sgd"],
        ["gradient=by_hand"],
        ["model=linear", "optimizer=adam"],
        ["model=linear", "optimizer=by_hand"],
        ["dataset=polynomial", "model=polynomial", "dataset.probe=0.5"],
    ],
    ids=" ".join,
)
def test_it_predicts_what_the_run_predicts(words, tmp_path, runner, store):
    runner(tmp_path, *words, "lr=0.02", "tracking.log_model=true")
    _, [run] = store(tmp_path)
    x = [[0.5]] if "dataset=polynomial" in words else [[5.0]]
    predicted, example, _ = loaded(tmp_path, run, x)
    assert np.float32(predicted.ravel()[0]) == np.float32(run.data.metrics["prediction_after"])
    assert example.shape[1] == 1


@pytest.mark.slow
def test_of_classes_it_takes_features_as_they_are(tmp_path, runner, store, monkeypatch):
    """Standardised within, where it was best; scores come out."""
    from sklearn.datasets import load_wine

    import runner as called

    words = ["dataset=wine", "model=mlp", "loss=cross_entropy", "optimizer=adam", "validation=0.3"]
    words += ["patience=5", "batch_size=16", "lr=0.01", "tracking.log_model=true"]
    runner(tmp_path, *words)
    _, [run] = store(tmp_path)
    raw, y = load_wine(return_X_y=True)
    predicted, example, metadata = loaded(tmp_path, run, raw[:40].tolist())
    assert metadata["classes"] == ["0", "1", "2"]
    assert len(metadata["features"]) == 13
    assert example.shape == (5, 13)
    assert (predicted.argmax(axis=1) == y[:40]).mean() > 0.9
    monkeypatch.chdir(tmp_path)
    found = called.load("latest").best_parameters
    layers = torch.nn.Linear(13, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
    model = torch.nn.Sequential(*layers)
    model.load_state_dict({name: torch.tensor(value) for name, value in found.items()})
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    seen, _ = train_test_split(raw, test_size=0.3, random_state=0, stratify=y)
    scaled = StandardScaler().fit(seen).transform(raw[:40])
    expected = model(torch.tensor(scaled, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-4)


def test_a_sweep_keeps_none(front_door, tmp_path):
    status, said, _ = front_door("-m", "lr=0.1,0.2", "tracking.log_model=true", folder=tmp_path)
    assert status == 1
    assert "tracking.log_model: expected false, for models are kept of lone runs" in said
