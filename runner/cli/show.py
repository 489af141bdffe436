"""One screen about a run or a sweep: `python -m runner.show [RUN_OR_SWEEP]`."""

import argparse
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runner.base import project
from runner.base.address import fault
from runner.base.console import closing_block, complain, painted, say, show
from runner.base.seeds import is_seed
from runner.cli.entry import enter
from runner.cli.find import find_all, take_word
from runner.engine.identity import DATA
from runner.engine.stop import OUTCOMES, best_first
from runner.errors import escaped
from runner.record.differing import differing, of_setting
from runner.record.place import page_path
from runner.record.run import RecordedRun
from runner.sweeps import by_setting

PARTS = ("dataset", "model", "loss", "objective", "optimizer", "device")
NUMBERS = ("lr", "epochs", "tolerance", "seed", "dtype")
SAMPLES = ("batch_size", "validation")
TRAINING = ("schedule", "clip", "clip_value", "patience", "max_steps")
USUAL = ("None", "constant")
"""Values that are not told."""

BEST = 5
"""So many cells of a sweep are told and drawn."""

ROWS = 12
"""Of a curve, in lines of the terminal."""

COLOURS = ("blue", "green", "magenta", "cyan", "red")

WIDE = 100.0  # between the largest and the least loss, for a scale of powers of ten

MOST_COLUMNS = 100
MARGIN = 24  # columns beside a curve, for its numbers
LEAST_WIDTH = 10  # of the curve itself

LARGEST = float(np.finfo(np.float64).max)
"""MLflow has it for infinity."""


def main() -> int:
    """Print the screen; the exit status is 1 if there is no such run."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.show",
        description="One screen: parts, loop, outcome, figures, a curve of the loss, and files.",
    )
    take_word(parser)
    parser.add_argument("--uri", help="the MLflow store to look in, instead of the journals")
    typed = parser.parse_args()
    project.folder()
    if typed.uri is not None and (why := fault(typed.uri)):
        complain(f"--uri: {why}")
        return 2
    record, cells = find_all(typed.word, typed.uri, trust=False)
    best = best_first(cells)[:BEST] if record.is_sweep else [record]
    say("\n".join(_sweep(record, cells, best) if record.is_sweep else _run(record)))
    if curves := _curves(best):
        show(curves)
    return 0


def _run(run: RecordedRun) -> Iterator[str]:
    running = "its process is still running" if run.outcome == "running" else ""
    said = OUTCOMES.get(run.outcome) or run.reason or running
    rows = {
        "run": run.name,
        "parts": _chosen(run, PARTS),
        "numbers": _chosen(run, NUMBERS),
        "samples": _chosen(run, SAMPLES),
        "training": _chosen(run, TRAINING),
        "loop": run.tags.get("loop", ""),
        "outcome": ": ".join(filter(None, [painted(run.outcome, run.outcome), said])),
        "reason": run.reason,
        "measures": run.tags.get("measured", ""),
        "went on": run.tags.get("went_on", ""),
        **_figures(run),
        "id": run.id,
        "files": _files(run),
    }
    yield closing_block({label: text for label, text in rows.items() if text})


def _sweep(
    sweep: RecordedRun, cells: Sequence[RecordedRun], best: Sequence[RecordedRun]
) -> Iterator[str]:
    told = (*OUTCOMES, "running", "not run")
    counts = {outcome: sum(run.outcome == outcome for run in cells) for outcome in told}
    page = project.folder() / page_path(sweep.tags.get("journal", sweep.id))
    rows = {
        "sweep": sweep.name,
        "command": sweep.tags.get("command", ""),
        "in common": _chosen(sweep, (*PARTS, *NUMBERS, *SAMPLES, *TRAINING)),
        "outcome": ", ".join(f"{n} {painted(one, one)}" for one, n in counts.items() if n),
        "seconds": f"{sweep.figures['seconds']:.3g}" if "seconds" in sweep.figures else "",
        "id": sweep.id,
        "page": project.shown(page) if page.exists() else "",
    }
    yield closing_block({label: text for label, text in rows.items() if text})
    if of_settings := list(_by_setting(cells)):
        yield from of_settings
        return
    for number, run in enumerate(best, 1):
        outcome = painted(f"{run.outcome:<13}", run.outcome)
        yield f"{'best' if number == 1 else '':<12}{run.final_loss:<14.8g}{outcome} {run.name}"


def _by_setting(cells: Sequence[RecordedRun]) -> Iterator[str]:
    """A line a setting, where a seed was swept."""
    own = [run for run in cells if run.id]
    keys = differing([run.params for run in own])
    others = [key for key in keys if not is_seed(key)]
    if len(others) == len(keys):
        return
    ended = [
        by_setting.EndedCell(
            *of_setting({key: run.params.get(key, "") for key in others}),
            run.tags.get(DATA, ""),
            run.outcome,
            run.final_loss,
            run.figures.get("best_loss", math.nan),
        )
        for run in own
    ]
    yield from by_setting.lines(ended)


def _figures(run: RecordedRun) -> dict[str, str]:
    told = {key: f"{value:.8g}" for key, value in run.figures.items()}
    before, after = (told.pop(f"prediction_{when}", "") for when in ("before", "after"))
    shown = {key.removesuffix("_run").replace("_", " "): text for key, text in told.items()}
    return {**shown, "prediction": f"{before} before, {after} after" if before and after else ""}


def _chosen(run: RecordedRun, keys: Sequence[str]) -> str:
    return " ".join(
        f"{key}={run.params[key]}" for key in keys if run.params.get(key, "None") not in USUAL
    )


def _files(run: RecordedRun) -> str:
    """Where the journal is that has it, if one does."""
    return project.shown(run.journal) if run.journal else ""


def _curves(runs: Sequence[RecordedRun]) -> str:
    """The losses over the epochs, on a scale of powers of ten where they span several.

    Empty where the terminal has no room for a curve, and where no loss is finite.
    """
    import plotille

    width = min(shutil.get_terminal_size().columns, MOST_COLUMNS) - MARGIN
    if width < LEAST_WIDTH:
        return ""

    read = [(run, run.trajectory()) for run in runs]
    finite = [(run, *_finite(*own.losses)) for run, own in read]
    drawn = [(run, steps, loss) for run, steps, loss in finite if len(steps) > 1]
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    drawn = drawn if coloured else drawn[:1]  # nobody could tell several apart
    if not drawn:
        return ""
    losses = np.concatenate([loss for _, _, loss in drawn])
    above = losses[losses > 0]
    log = losses.min() >= 0 and above.size > 0 and above.max() / above.min() > WIDE
    low, high = losses.min(), losses.max()
    low, high = (np.log10(above.min()), np.log10(high)) if log else (low, high)
    figure = plotille.Figure()
    figure.width = width
    figure.height = ROWS
    figure.color_mode = "names"
    figure.with_colors, figure.origin = coloured, False
    first, last = (int(end(limit(steps) for _, steps, _ in drawn)) for end, limit in ENDS)
    if not np.isfinite(high - low):
        return ""
    figure.set_x_limits(min(first, 0), max(last, 1))
    figure.set_y_limits(float(low), float(high if high > low else low + abs(low) + 1))
    figure.x_label, figure.y_label = "epoch", "log10 loss" if log else "loss"
    figure.x_ticks_fkt = lambda low, _: f"{low:.0f}"
    figure.y_ticks_fkt = lambda low, _: f"{low:.3g}"
    for colour, (run, steps, loss) in zip(COLOURS, drawn, strict=False):
        if log:
            steps, loss = steps[loss > 0], loss[loss > 0]
        if not len(steps):
            continue
        some = np.unique(np.linspace(0, len(steps) - 1, 4 * figure.width).astype(int))
        values = np.log10(loss[some]) if log else loss[some]
        label = escaped(run.name) if len(drawn) > 1 else None
        figure.plot(steps[some].tolist(), values.tolist(), lc=colour, label=label)
    return "\n" + str(figure.show(legend=len(drawn) > 1))


ENDS = ((min, np.min), (max, np.max))


def _finite(steps: Any, loss: Any) -> tuple[Any, Any]:
    finite = np.abs(loss) < LARGEST  # NaN is not
    return steps[finite], loss[finite]


if __name__ == "__main__":
    enter(main)
