"""Every shipped config composes and builds."""

from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch

from runner.base import project
from runner.config.schema import plain
from runner.config.spec import typed
from runner.engine.experiment import compose
from runner.engine.program.step import is_finite
from runner.errors import ConfigError

CONF = Path(__file__).resolve().parents[2] / "conf"
OPTIONS = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml"))
GROUPED = [o for o in OPTIONS if len(o.parts) == 2 and o.parts[0] != "study"]

# What an option needs beside itself.
EXAMPLES = CONF.parent / "examples"
TABLE = ["model=linear", "lr=0.001", "dataset.target=price", "dataset.categorical=[district]"]
WITHOUT_RULE = ("adadelta", "adafactor", "adamax", "asgd", "lbfgs", "nadam", "radam", "rprop")
NEEDS = {
    **{f"dataset/{name}": ["model=linear"] for name in ("plane", "diabetes", "ill_conditioned")},
    "dataset/linnerud": ["model=linear"],
    **{f"dataset/{name}": ["model=logistic"] for name in ("breast_cancer", "moons", "separable")},
    **{f"dataset/{name}": ["model=softmax"] for name in ("blobs", "digits", "iris", "wine")},
    "dataset/csv": [*TABLE, f"dataset.path={EXAMPLES}/houses.csv"],
    "dataset/parquet": [*TABLE, "dataset.path=houses.parquet"],
    "dataset/npz": ["dataset.path=samples.npz"],
    "loss/bce": ["dataset=moons", "model=linear"],
    "loss/cross_entropy": ["dataset=iris", "model=linear"],
    "model/logistic": ["dataset=moons"],
    "model/softmax": ["dataset=iris"],
    "model/mlp": ["gradient=autograd"],
    "optimizer/muon": ["gradient=autograd", "dataset=plane", "model=linear", "model.bias=false"],
    **{f"optimizer/{name}": ["gradient=autograd"] for name in WITHOUT_RULE},
    "dataset/chebyshev": ["dataset.degree=3"],  # the slope of an even one is 0
    "measure/angle": ["measure.angle.direction=[1]"],
    "measure/preconditioned_sharpness": ["optimizer=adam"],
    "tracking/server": ["tracking.uri=http://127.0.0.1:5000"],
}
ACCELERATORS = ("device/cuda", "device/mps")


def test_there_is_one_root():
    """Everything but `config.yaml` is an option of a group."""
    others = [option for option in OPTIONS if option not in GROUPED]
    assert [str(option) for option in others if option.parts[0] != "study"] == ["config"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder of one's own with what the options of files are asked for."""
    monkeypatch.chdir(tmp_path)
    table = pyarrow.csv.read_csv(EXAMPLES / "houses.csv")
    pyarrow.parquet.write_table(table, "houses.parquet")
    np.savez("samples.npz", x=np.arange(1.0, 5.0), y=2 * np.arange(1.0, 5.0))
    with project.here():
        yield


@pytest.mark.parametrize("option", [str(o) for o in GROUPED if str(o) not in ACCELERATORS])
@pytest.mark.parametrize("gradient", ["by_hand", "autograd"])
def test_each_option_composes_builds_and_steps(option, gradient, compose_config, files):
    """Alone over the defaults, with both gradients, three steps."""
    group, name = option.split("/")
    overrides = [f"{group}={name}"]
    if group != "experiment":
        overrides.append(f"gradient={gradient}")
    overrides += NEEDS.get(option, [])
    experiment = compose(typed(plain(compose_config(overrides))))
    taken = list(islice(experiment.steps, 3))
    assert all(map(is_finite, taken))
    assert not np.array_equal(taken[-1].parameters, experiment.initial)


@pytest.mark.parametrize("option", ACCELERATORS)
def test_an_accelerator_is_used_or_refused(option, compose_config):
    """Three steps where there is one; else a refusal that names what there is."""
    name = option.split("/")[1]
    config = compose_config([f"device={name}"])
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if there[name]:
        assert all(map(is_finite, islice(compose(typed(plain(config))).steps, 3)))
    else:
        with pytest.raises(ConfigError, match=f"device.name: no '{name}' here; there is cpu"):
            compose(typed(plain(config)))


def test_options_are_small_and_begin_with_what_they_are():
    """2 to 10 lines of settings each; `config.yaml` is the one longer file."""
    for option in GROUPED:
        lines = (CONF / f"{option}.yaml").read_text().splitlines()
        settings = [line for line in lines if line.strip() and not line.startswith("#")]
        assert 1 <= len(settings) <= 10, option
