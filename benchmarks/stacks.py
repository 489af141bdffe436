"""A step of a stack against one of each cell alone: what `engine.stack.cost` is fitted to."""

import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from runner.config.composer import Composer
from runner.config.schema import register
from runner.device import use_threads
from runner.engine.check import checked
from runner.engine.draws import Draws
from runner.engine.experiment import alone as lone_run
from runner.engine.stack import Parts, prepare, slower, stack

CONF = Path(__file__).resolve().parents[1] / "conf"
CELLS = (2, 4, 10, 40)
SAMPLES = (4, 100, 3_000, 30_000)
SECONDS = 0.3  # for as many steps as that allows, of which the fastest counts
MOST = 3e8  # numbers in all that a step makes

WIDTHS = {"linear": ((1, 0), (10, 0), (100, 0)), "network": ((1, 8), (10, 64), (64, 128))}
"""Features, and units of a hidden layer"""


def rows() -> Iterator[tuple[str, ...]]:
    """One row for each size; the last column is what the rule says of it."""
    use_threads(1)
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
        composer = Composer(loader, master)
        for kind, widths in WIDTHS.items():
            for (features, units), samples in product(widths, SAMPLES):
                for cells, shared in product(CELLS, (True, False)):
                    if samples * features * max(units, 1) * cells > MOST:
                        continue
                    words = _words(features, units, samples)
                    parts = _parts(composer, words, cells, shared=shared)
                    together = _fastest(stack(parts).steps)
                    alone = _fastest(lone_run(parts[0].setup).steps)
                    data = "one dataset" if shared else "own data"
                    yield (
                        f"{kind} {features}x{units} of {samples}",
                        f"{cells} cells alone, {data}",
                        f"{together * 1e6:.0f} us",
                        f"{alone * cells * 1e6:.0f} us",
                        f"{alone * cells / together:.2f}",
                        "alone" if slower(parts) else "stack",
                    )


def _words(features: int, units: int, samples: int) -> list[str]:
    coefficients = ",".join(["0.5"] * features)
    data = ["dataset=plane", f"dataset.coefficients=[{coefficients}]", "dataset.probe=null"]
    data += [f"dataset.samples={samples}", "dataset.seed=${seed}", "tolerance=0"]
    if not units:
        return [*data, "model=linear"]
    layers = [f"{{_target_:torch.nn.Linear,in_features:{features},out_features:{units}}}"]
    layers += ["{_target_:torch.nn.Tanh}"]
    layers += [f"{{_target_:torch.nn.Linear,in_features:{units},out_features:1}}"]
    target = ["model._target_=torch.nn.Sequential", "~model.initial"]
    return [*data, *target, f"+model._args_=[{','.join(layers)}]"]


def _parts(composer: Composer, words: Sequence[str], cells: int, *, shared: bool) -> list[Parts]:
    made = [
        composer.cell([*words, f"lr={0.001 * (n + 1)}", f"seed={0 if shared else n}"])
        for n in range(cells)
    ]
    first = Draws().dataset(made[0].spec)
    return [prepare(checked(cell), first if shared else None) for cell in made]


def _fastest(steps: Iterator[Any]) -> float:
    """Seconds of the fastest step."""
    best, until = np.inf, time.perf_counter() + SECONDS
    with np.errstate(all="ignore"):
        next(steps)
        while time.perf_counter() < until:
            began = time.perf_counter()
            next(steps)
            best = min(best, time.perf_counter() - began)
    return float(best)
