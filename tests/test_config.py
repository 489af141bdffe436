"""Every shipped config composes and builds."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.config import ConfigError, plain
from runner.experiment import compose
from runner.program.step import is_finite

CONF = Path(__file__).resolve().parents[1] / "conf"
OPTIONS = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml"))
GROUPED = [option for option in OPTIONS if len(option.parts) == 2]

# What an option needs beside itself.
NEEDS = {
    "dataset/plane": ["model=linear"],
    "dataset/diabetes": ["model=linear"],
    "tracking/server": ["tracking.uri=http://127.0.0.1:5000"],
}
ACCELERATORS = ("device/cuda", "device/mps")


def test_there_is_one_root():
    """Everything but `config.yaml` is an option of a group."""
    assert [str(option) for option in OPTIONS if option not in GROUPED] == ["config"]


@pytest.mark.parametrize("option", [str(o) for o in GROUPED if str(o) not in ACCELERATORS])
@pytest.mark.parametrize("gradient", ["by_hand", "autograd"])
def test_each_option_composes_builds_and_steps(option, gradient, compose_config):
    """Alone over the defaults, with both gradients, three steps."""
    group, name = option.split("/")
    overrides = [f"{group}={name}", *NEEDS.get(option, [])]
    if group != "experiment":
        overrides.append(f"gradient={gradient}")
    experiment = compose(plain(compose_config(overrides)))
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
        assert all(map(is_finite, islice(compose(plain(config)).steps, 3)))
    else:
        with pytest.raises(ConfigError, match=f"device.name: no '{name}' here; there is cpu"):
            compose(plain(config))


def test_options_are_small_and_begin_with_what_they_are():
    """2 to 10 lines of settings each; `config.yaml` is the one longer file."""
    for option in GROUPED:
        lines = (CONF / f"{option}.yaml").read_text().splitlines()
        settings = [line for line in lines if line.strip() and not line.startswith("#")]
        assert 1 <= len(settings) <= 10, option
