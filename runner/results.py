"""Runs and sweeps as Python has them: figures, trajectories as tables, pictures in a notebook."""

import base64
import html
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runner.engine.stop import best_first
from runner.record import run as recorded
from runner.record.column import FIGURES, SPACED
from runner.record.differing import differing
from runner.record.trajectory import Trajectory
from runner.report.reported import write_page

if TYPE_CHECKING:
    from pandas import DataFrame

PICTURE = (5.0, 2.6)  # inches
PAGE_HEIGHT = 720  # pixels


class Run:
    """A run that was recorded. Its trajectory is read when it is asked for."""

    def __init__(self, record: recorded.RecordedRun, *, keep: bool = False) -> None:
        """`keep` reads the trajectory now: its journal will be deleted."""
        self._record = _read(record) if keep else record
        self._trajectory: Trajectory | None = None

    @property
    def id(self) -> str:
        """32 hexadecimal digits, with which `runner.load` and the commands find it."""
        return self._record.id

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def outcome(self) -> str:
        """How it ended, one of `runner.engine.stop.OUTCOMES`; `running` so far."""
        return self._record.outcome

    @property
    def reason(self) -> str:
        """Why it failed or was cut off, in a line; empty otherwise."""
        return self._record.reason

    @property
    def figures(self) -> dict[str, float]:
        """What was recorded at its end: final_loss, best_loss, epochs_run, seconds, ..."""
        return dict(self._record.figures)

    @property
    def final_loss(self) -> float:
        """Return that of the last step, before its update, or of the last epoch's batches; or NaN.

        A run that ends within its first epoch has that of the steps that it took.
        """
        return self._record.final_loss

    @property
    def best_loss(self) -> float:
        return self._record.figures.get("best_loss", math.nan)

    @property
    def epochs(self) -> int:
        """How many were run."""
        return int(self._record.epochs)

    @property
    def seconds(self) -> float:
        """What the loop took."""
        return self._record.figures.get("seconds", math.nan)

    @property
    def loop(self) -> str:
        """`numpy`, `autograd`, `optimizer` or `module`."""
        return self._record.tags.get("loop", "")

    @property
    def params(self) -> dict[str, str]:
        """Every value of the config under its dotted name, as MLflow has it."""
        return dict(self._record.params)

    @property
    def tags(self) -> dict[str, str]:
        return dict(self._record.tags)

    @property
    def config(self) -> dict[str, Any]:
        """The composed config, as far as it defines the experiment."""
        return dict(self._record.config())

    @property
    def parameters(self) -> NDArray[Any]:
        """Every parameter after every step, (steps + 1, parameters), in the run's dtype.

        Where not all steps are recorded (`record.most_bytes`), after those in `parameter_steps`.
        """
        return self._read().parameters[1]

    @property
    def parameter_steps(self) -> NDArray[np.int64]:
        """After which steps `parameters` are."""
        return self._read().parameters[0]

    @property
    def best_parameters(self) -> dict[str, NDArray[Any]]:
        """Each tensor where the run was best, by its name. Raises LookupError without patience."""
        if (found := recorded.best_parameters(self._record)) is None:
            raise LookupError(f"{self.name}: none are kept; patience=... keeps those of an epoch")
        return found

    @property
    def trajectory(self) -> "DataFrame":
        """A row for each step, from 0, the start: loss, grad_norm, measures and each parameter.

        The loss is the one before the step's update, as is the gradient's norm; the parameters are
        those after it. In mini-batches, `loss` is the batch's, and `epoch_loss` stands, as accuracy
        and validation do, at the last step of each epoch. Of more than 64 parameters there is a
        norm for each tensor, as in MLflow, and `parameters` has all of them.
        """
        from pandas import DataFrame, Index, to_datetime

        own = self._read()
        table = {"time": to_datetime(own.rows["time"], unit="s")}
        for column in own.columns:
            if column.every != SPACED:
                table |= dict(zip(column.labels(), column.told(column.of(own.rows)).T, strict=True))
        return DataFrame(table, index=Index(own.step, name="step"))

    def report(self, path: str | Path | None = None) -> Path:
        """Write its page, one file that needs no network; where it is."""
        return write_page([self._record], self._record, path)

    def _read(self) -> Trajectory:
        if self._trajectory is None:
            self._trajectory = self._record.trajectory()
        return self._trajectory

    def __repr__(self) -> str:
        is_begun = not math.isnan(self.final_loss)
        within = "within its first epoch" if is_begun else "before its first step"
        after = f"after {self.epochs} epochs" if self.epochs else within
        loss = f", final loss {self.final_loss:.6g}" if is_begun else ""
        return f"<runner.Run {self.name!r}: {self.outcome} {after}{loss}>"

    def _repr_html_(self) -> str:
        rows = {
            "outcome": self.outcome + (f": {self.reason}" if self.reason else ""),
            "epochs": str(self.epochs),
            "final loss": f"{self.final_loss:.6g}",
            "best loss": f"{self.best_loss:.6g}",
            "loop": self.loop,
            "seconds": f"{self.seconds:.3g}",
        }
        body = "".join(
            f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for key, text in rows.items()
        )
        title = f"<b>{html.escape(self.name)}</b>"
        return f"{title}{self._picture()}<table>{body}</table>"

    def _picture(self) -> str:
        """The loss over the steps, as an image that the page holds itself."""
        if self.epochs < 2:
            return ""
        from runner.report.pictures import loss_picture

        picture = loss_picture(self._record, self._read())
        picture.set_size_inches(*PICTURE)
        content = io.BytesIO()
        picture.savefig(content, format="png", dpi=100)
        data = base64.b64encode(content.getvalue()).decode()
        return f"<div><img alt='loss over epochs' src='data:image/png;base64,{data}'></div>"


class Sweep(Sequence[Run]):
    """A sweep's runs in the order of its cells: `sweep[3]`, `len(sweep)`, `for run in sweep`."""

    def __init__(
        self,
        record: recorded.RecordedRun | None,
        cells: Sequence[recorded.RecordedRun],
        *,
        keep: bool = False,
    ) -> None:
        """`record` is the sweep's own run; None where every cell had been done before."""
        self._record = _read(record) if keep and record else record
        self._cells = [_read(cell) for cell in cells] if keep else list(cells)
        self._runs = [Run(cell) for cell in self._cells]

    @property
    def id(self) -> str:
        """Of its own run; empty where every cell had been done before."""
        return self._record.id if self._record else ""

    @property
    def name(self) -> str:
        return self._record.name if self._record else f"{len(self)} cells, done before"

    @property
    def cells(self) -> "DataFrame":
        """A row for each cell: what was swept, and what became of it."""
        from pandas import DataFrame, Index

        swept = self._swept()
        told = [key for key in FIGURES if any(key in run.figures for run in self._runs)]
        told = [key for key in told if key.startswith("final_") and key != "final_loss"]
        rows = [
            {
                "name": run.name,
                **{key: _value(run.params.get(key, "")) for key in swept},
                "outcome": run.outcome,
                "epochs": run.epochs,
                "final_loss": run.final_loss,
                "best_loss": run.best_loss,
                **{key: run.figures.get(key, math.nan) for key in told},
                "seconds": run.seconds,
                "reason": run.reason,
                "id": run.id,
            }
            for run in self._runs
        ]
        return DataFrame(rows, index=Index(range(len(rows)), name="cell"))

    @property
    def best(self) -> Run:
        """The run with the least final loss. Raises LookupError where none ends in a number."""
        if ranked := best_first(self._runs):
            return ranked[0]
        raise LookupError("no cell of the sweep ends in a number")

    def report(self, path: str | Path | None = None) -> Path:
        """Write the page that compares its cells, one file that needs no network; where it is."""
        return write_page(self._cells, self._record, path)

    def _swept(self) -> list[str]:
        if self._record:
            return [key for key in self._record.params.get("swept", "").split(", ") if key]
        return differing([cell.params for cell in self._cells])

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, place: Any) -> Any:
        return self._runs[place]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for run in self._runs:
            counts[run.outcome] = counts.get(run.outcome, 0) + 1
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "no run"
        return f"<runner.Sweep {self.name!r}: {told}>"

    def _repr_html_(self) -> str:
        """Its page, in a frame of its own."""
        from runner.report.comparison import compare
        from runner.report.page import page

        with np.errstate(all="ignore"):
            content = html.escape(page(compare(self._cells, self._record)), quote=True)
        look = f"width:100%;height:{PAGE_HEIGHT}px;border:0"
        return (
            f'<iframe title="{html.escape(self.name)}" style="{look}" srcdoc="{content}"></iframe>'
        )


def _read(record: recorded.RecordedRun) -> recorded.RecordedRun:
    """The run with its trajectory and its table in memory, for its journal will be gone."""
    trajectory, table = record.trajectory(), record.file("cells.csv")
    return replace(record, trajectory=lambda: trajectory, file={"cells.csv": table}.get)


def _value(text: str) -> Any:
    """A swept value as the number that it is, or as the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
