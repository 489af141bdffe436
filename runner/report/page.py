"""The page of a report: one file that needs nothing else, no network and no server."""

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, select_autoescape
from markupsafe import Markup

from runner import project
from runner.differing import distinct
from runner.recorded.place import page_path
from runner.recorded.run import Run
from runner.report import curves, overall
from runner.report.comparison import Comparison
from runner.report.drawn import choose, groups, label
from runner.stop import OUTCOMES, is_ranked

LABELS = {
    "rank": "rank",
    "outcome": "outcome",
    "epochs": "epochs",
    "final_loss": "final loss",
    "best_loss": "best loss",
    "reached": "to tolerance",
    "distance": "from optimum",
    "seconds": "seconds",
    "reason": "reason",
    "name": "run",
    "id": "id",
}
TEXT = ("outcome", "reason", "name", "id")


def page(compared: Comparison) -> str:
    """The whole page as HTML."""
    indices = choose(compared)
    lines = ((index, compared.lines[index]) for index in indices)
    rows = {index: line.run.trajectory() for index, line in lines if line.run}
    some = groups(compared, indices)
    made = []
    if rows:
        made = [
            curves.curves(compared, some, rows),
            *curves.paths(compared, some, rows),
            *filter(None, [curves.measures(compared, some, rows)]),
        ]
    made += filter(None, (make(compared) for make in overall.SECTIONS))
    figures = {
        f"{part.id}{number}": plot for part in made for number, plot in enumerate(part.plots)
    }
    script, divs = components(figures) if figures else ("", {})
    text: str = _template().render(
        title=compared.sweep.name if compared.sweep else f"{len(compared.lines)} runs",
        facts=_facts(compared),
        sections=made,
        divs={name: Markup(div) for name, div in divs.items()},
        groups=some,
        cells=Markup(_embedded(_table(compared))),
        left_out=compared.left_out,
        bokeh=Markup(Resources(mode="inline", components=["bokeh"]).render_js()) if figures else "",
        plots=Markup(script),
        css=Markup(_own("page.css")),
        js=Markup(_own("page.js")),
    )
    return text


def write(compared: Comparison, path: Path | None = None) -> Path:
    """Write the page, to where it belongs in mlruns unless another is given; where it is."""
    lines = [line.run for line in compared.lines if line.run]
    known = compared.sweep or (lines[0] if lines else None)
    path = path or project.folder() / page_path(known.id if known else "nothing")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(compared), "utf-8", "backslashreplace")
    return path


def _template() -> Any:
    environment = Environment(autoescape=select_autoescape(default_for_string=True))
    return environment.from_string(_own("page.html"))


def _own(name: str) -> str:
    return resources.files("runner.report").joinpath(name).read_text(encoding="utf-8")


def _facts(compared: Comparison) -> list[tuple[str, str]]:
    """The headline, in pairs of what and which."""
    facts = []
    if compared.sweep is not None:
        facts.append(("swept", ", ".join(compared.swept)))
        facts.append(("command", compared.sweep.tags.get("command", "")))
        began = time.localtime(compared.sweep.time)
        took = compared.sweep.figures.get("seconds", math.nan)
        lasted = "" if math.isnan(took) else f", {took:.3g} s"
        facts.append(("when", time.strftime("%Y-%m-%d %H:%M", began) + lasted))
    elif compared.swept:
        facts.append(("differ in", ", ".join(compared.swept)))
    facts.append(("in common", _common([line.run for line in compared.lines if line.run])))
    counted = Counter(line.outcome for line in compared.lines)
    order = [*OUTCOMES, *(outcome for outcome in counted if outcome not in OUTCOMES)]
    said = [f"{counted[outcome]} {outcome}" for outcome in order if counted[outcome]]
    facts.append(
        ("cells" if compared.sweep else "runs", f"{len(compared.lines)}: " + ", ".join(said))
    )
    for index in compared.ranked()[:1]:
        best = compared.lines[index]
        if best.epochs and is_ranked(best.outcome, best.final_loss):
            text = f"{label(compared, index)}: loss {best.final_loss:.6g}"
            facts.append(("best", f"{text} after {best.epochs} epochs, {best.outcome}"))
    return facts


def _common(runs: Sequence[Run]) -> str:
    """The options and plain values that all runs have, so that no name has to say them."""
    params = [run.params for run in runs]
    told = {key: text for key, text in params[0].items() if "." not in key} if params else {}
    same = [k for k, text in told.items() if all(own.get(k) == text for own in params)]
    return " ".join(f"{key}={told[key]}" for key in same)


def _table(compared: Comparison) -> dict[str, Any]:
    """The table of cells: columns, and a row of plain values each, the best first."""
    figures = ["outcome", "epochs", "final_loss", "best_loss", "reached"]
    if any(not math.isnan(line.distance) for line in compared.lines):
        figures.append("distance")
    figures.append("seconds")
    if any(line.reason for line in compared.lines):
        figures.append("reason")
    labels = dict(LABELS)
    if compared.to is not None:
        labels["reached"] = f"to {compared.to:g}"
    measures = compared.measures()
    names = distinct(compared.swept, [*labels.values(), *measures])
    columns = [
        {"key": "rank", "label": "rank", "text": False},
        *(
            {"key": f"swept {key}", "label": label, "text": False}
            for key, label in zip(compared.swept, names, strict=True)
        ),
        *({"key": k, "label": labels[k], "text": k in TEXT} for k in figures),
        *({"key": f"measure {k}", "label": k, "text": False} for k in measures),
        *({"key": k, "label": labels[k], "text": True} for k in ("name", "id")),
    ]
    rows = []
    for rank, index in enumerate(compared.ranked(), 1):
        line = compared.lines[index]
        own = [_value(getattr(line, key)) for key in figures]
        own += [_value(line.measures.get(key, math.nan)) for key in measures]
        swept = [_number(line.swept[key]) for key in compared.swept]
        rows.append([rank, *swept, *own, line.name, line.run.id if line.run else ""])
    return {"columns": columns, "rows": rows}


def _value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _number(text: str) -> Any:
    """A swept value as a number, if it is one, so that it is sorted as one."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _embedded(value: Any) -> str:
    """JSON that stands in a page without ending its script."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
