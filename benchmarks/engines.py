"""What an engine costs over this machine's pool, for so many units; and a large sweep in slices.

Units are lone cells of one step each, so that their own time is next to nothing: what is left is
starting, sending, and what comes home. The processes of all engines are on this machine.
"""

import tempfile
from collections.abc import Iterator
from statistics import median

from benchmarks.startup import RUN, seconds

REPEATS = 3
UNITS = 1, 100, 1000
MANY = 10_000
WORKERS = 2
COMMAND = [*RUN[:3], "-m", "tracking=off"]
ALONE = ["gradient=by_hand", "epochs=1", "sweep.stack=false", "print_every=0"]
ENGINES = {
    "pool": [f"sweep.workers={WORKERS}"],
    "ray": ["hydra/launcher=ray"],
    "slurm": [
        *("hydra/launcher=slurm", "hydra.launcher.cluster=local"),
        f"hydra.launcher.jobs={WORKERS}",
    ],
}


def rows() -> Iterator[tuple[str, ...]]:
    """Seconds of each engine for so many units, against the pool's; then many cells in slices."""
    for units in UNITS:
        lr = f"lr=range(0.00001,{0.00001 * (units + 0.5):.8f},0.00001)"
        taken: dict[str, list[float]] = {name: [] for name in ENGINES}
        for _ in range(REPEATS if units < UNITS[-1] else 1):
            for name, how in ENGINES.items():
                taken[name].append(_seconds([*ALONE, lr, *how]))
        pool = median(taken["pool"])
        for name in list(ENGINES)[1:]:
            took = median(taken[name])
            what = f"{units:,} units of a step on {name}"
            shown = f"{took:.1f} s", f"{pool:.1f} s", f"{took / pool:.1f}", ""
            yield what, f"a pool of {WORKERS}", *shown
    lr = f"lr=range(0.000001,{0.000001 * (MANY + 0.5):.9f},0.000001)"
    many = [lr, "gradient=by_hand", "epochs=100", "tolerance=0", f"sweep.workers={WORKERS}"]
    pool, ray = (_seconds([*many, *ENGINES[name]]) for name in ("pool", "ray"))
    shown = f"{ray:.1f} s", f"{pool:.1f} s", f"{ray / pool:.2f}", ""
    yield f"{MANY:,} cells in slices on ray", f"a pool of {WORKERS}", *shown


def _seconds(words: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return seconds([*COMMAND, *words], folder)
