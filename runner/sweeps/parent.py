"""The sweep's own run: what was swept, what became of it, and the table of all cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from runner.base.caller import asked
from runner.config.cell import Cell
from runner.config.run_name import shortened
from runner.engine import identity
from runner.record.journal import End, File, Journal, Start
from runner.sweeps import table
from runner.sweeps.executors.result import Result
from runner.sweeps.plan import Plan
from runner.sweeps.plan_lines import lines
from runner.sweeps.source import CellSource
from runner.sweeps.verify import Verified


def begin(journal: Journal, source: CellSource, planned: Plan, store: str) -> str:
    """Record that the sweep begins, planned as far as it is; its id in the journal."""
    cells = source.span
    keys = table.swept(cells)
    report = ", `report.html` compares them" if cells[0].spec.report.page else ""
    what = f"{source.most} cells over {', '.join(keys) or 'nothing'}"
    start = Start(
        name=shortened(f"sweep of {what}"),
        store=store,
        experiment=cells[0].spec.tracking.experiment,
        params={"swept": ", ".join(keys), **common(cells)},
        tags={
            "command": asked(),
            "plan": "\n".join([*source.lines, *lines(planned)]),
            "cells": str(source.most),
            "mlflow.note.content": f"A sweep of {what}; `cells.csv` has them all{report}.",
            **identity.surroundings(),
        },
    )
    return journal.begin(start)


def common(cells: Sequence[Cell]) -> dict[str, str]:
    """The params that all cells have in common: they stand here once."""
    first = cells[0].values
    tops = [key for key in first if any(cell.values.get(key) != first[key] for cell in cells)]
    shared = identity.params(cells[0])
    for cell in cells[1:]:
        own = identity.params(replace(cell, values={key: cell.values.get(key) for key in tops}))
        gone = [
            key
            for key in shared
            if (key.partition(".")[0] in tops or key in cell.choices)
            and own.get(key) != shared[key]
        ]
        for key in gone:
            del shared[key]
    return shared


def end(
    journal: Journal,
    run: str,
    cells: Sequence[Cell],
    results: Sequence[Result],
    *,
    interrupted: bool,
    failure: str | None = None,
    seconds: float,
    verified: Verified | None = None,
    found: Mapping[str, str] | None = None,
) -> None:
    """Record how it ended, as FAILED if a cell failed, and the table; `found` are tags."""
    journal.attach(run, File("cells.csv", table.as_csv(cells, results)))
    counts = table.counts(results)
    tags = {f"cells.{outcome}": str(count) for outcome, count in counts.items()}
    tags |= {"cells": str(len(cells)), **(found or {})}
    if missing := len(cells) - len(results):
        tags["cells.not run"] = str(missing)
    metrics = {"seconds": seconds}
    if best := table.best(results)[:1]:
        tags |= {"best_cell": identity.name(cells[best[0].cell]), "best_run": best[0].run}
        metrics["final_loss"] = best[0].final_loss
    if verified:
        tags["verified"] = "\n".join(verified.lines)
    if verified and verified.different:
        tags["different"] = ", ".join(verified.different)
        failure = failure or f"{len(verified.different)} cells differ from their lone runs"
    if failed := counts.get("failed", 0):
        failure = failure or f"{failed} of {len(cells)} cells failed"
    outcome = "failed" if failure else "interrupted" if interrupted else "finished"
    assert not any(math.isnan(value) for value in metrics.values())
    journal.end(run, End(outcome, metrics, {**tags, "outcome": outcome}, failure))
