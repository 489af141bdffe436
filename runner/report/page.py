"""The page of a report: one file that needs nothing else, no network and no server."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bokeh.embed import components
from bokeh.palettes import Cividis256
from bokeh.resources import Resources
from markupsafe import Markup

from runner.base import project
from runner.base.files import write_atomic
from runner.engine.stop import OUTCOMES
from runner.errors import ConfigError
from runner.record.column import LOSS
from runner.record.place import page_path
from runner.record.run import RecordedRun
from runner.report import figures, figures_overall, sections
from runner.report.breaks import breaks
from runner.report.comparison import Comparison
from runner.report.convergence import convergence
from runner.report.drawn import choose, groups
from runner.report.embedded import embedded, known
from runner.report.own_files import own_file, template
from runner.report.paths import Paths, paths
from runner.report.search import search
from runner.report.series import Key, Series, series
from runner.report.verdict import verdict

SCRIPTS = ("data", "state", "look", "controls", "table", "curves", "breaks", "paths", "search")
QUESTIONS = {
    "best": "Which setting is best, and how sure is that?",
    "converge": "How does each converge?",
    "breaks": "Where does it break?",
    "paths": "What did it do in parameter space?",
}
OF_ONE = {
    "best": "How did it end?",
    "converge": "How does it converge?",
    "paths": "What did it do in parameter space?",
}
USUAL = ("None", "False", "constant")
"""Values that are not told."""


def page(compared: Comparison, refresh: float | None = None) -> str:
    """The whole page as HTML; with `refresh` it reads itself again after so many seconds."""
    drawn, grouped = choose(compared), groups(compared) if compared.lines else []
    told = series(compared, drawn) if drawn else None
    way, why = _paths(compared) if drawn else (None, "")
    made: dict[str, Any] = {}
    main = convergence(compared, told, drawn, made) if told else None
    broken = breaks(compared, made) if drawn else None
    if way:
        made["paths"] = figures.paths("paths", way.land, way.names)
    others, searched = [], search(compared, made) if drawn else None
    if searched:
        others.append(searched[0])
    if looped := sections.loops(compared):
        section, found = looped
        pairs = {pair.name: (pair.epochs, pair.parameters) for pair in found.pairs}
        if any(apart.any() for _, apart in pairs.values()):
            made["loops"] = figures_overall.differences(pairs)
        others.append(section)
    others += filter(None, [sections.unfinished(compared)])
    script, divs = components(made) if made else ("", {})
    is_one = len(compared.lines) == 1
    data = known(compared, grouped, drawn, told, way) | {
        "id": compared.sweep.id if compared.sweep else " ".join(_ids(compared)),
        "plots": len(made),
        "panels": main["panels"] if main else [],
        "start": _start(told),
        "samples": (broken or {}).get("samples"),
        "palette": Cividis256,
        "outcomeColours": figures_overall.OUTCOME_COLOURS,
        "refresh": refresh,
        "search": searched[1] if searched else None,
    }
    text: str = template("page.html").render(
        title=compared.sweep.name if compared.sweep else _title(compared),
        facts=_facts(compared),
        questions=OF_ONE if is_one else QUESTIONS,
        things="cells" if compared.sweep else "runs",
        verdict=list(verdict(compared)),
        seeded=compared.seeded,
        main=main,
        breaks=broken,
        paths=None if not drawn else way.words if way else [f"No landscape: {why}."],
        sections=others,
        outcome_colours=figures_overall.OUTCOME_COLOURS,
        divs={name: Markup(div) for name, div in divs.items()},
        left_out=compared.left_out,
        data=Markup(embedded(data)),
        bokeh=Markup(Resources(mode="inline", components=["bokeh"]).render_js()) if made else "",
        plots=Markup(script),
        css=Markup(own_file("page.css")),
        js=Markup("\n".join(own_file(f"{name}.js") for name in (*SCRIPTS, "start"))),
    )
    return text


def write(compared: Comparison, path: Path | None = None, refresh: float | None = None) -> Path:
    """Write the page, to where it belongs in mlruns unless another is given; where it is.

    It is there whole or not at all.
    """
    lines = [line.run for line in compared.lines if line.run]
    known_run = compared.sweep or (lines[0] if lines else None)
    path = path or project.folder() / page_path(known_run.id if known_run else "nothing")
    write_atomic(path, page(compared, refresh))
    return path


def _ids(compared: Comparison) -> list[str]:
    return [line.run.id for line in compared.lines if line.run]


def _title(compared: Comparison) -> str:
    return compared.lines[0].name if len(compared.lines) == 1 else f"{len(compared.lines)} runs"


def _start(told: Series | None) -> float | None:
    """The largest loss that a run has begun with."""
    curves = told.curves.get(Key(LOSS, "loss"), []) if told else []
    firsts = [float(one.values[0]) for one in curves if len(one.values)]
    there = [value for value in firsts if math.isfinite(value)]
    return max(there, default=None)


def _paths(compared: Comparison) -> tuple[Paths | None, str]:
    """The paths, or why there are none."""
    try:
        return paths(compared), ""
    except ConfigError as error:
        return None, str(error).splitlines()[0].rstrip(".")


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
    what = "in common" if len(compared.lines) > 1 else "config"
    facts.append((what, _common([line.run for line in compared.lines if line.run])))
    counted = Counter(line.outcome for line in compared.lines)
    order = [*OUTCOMES, *(outcome for outcome in counted if outcome not in OUTCOMES)]
    said = [f"{counted[outcome]} {outcome}" for outcome in order if counted[outcome]]
    if len(compared.lines) > 1:
        what = "cells" if compared.sweep else "runs"
        facts.append((what, f"{len(compared.lines)}: " + ", ".join(said)))
    return facts


def _common(runs: Sequence[RecordedRun]) -> str:
    """The options and plain values that all runs have, so that no name has to say them."""
    params = [run.params for run in runs]
    told = {key: text for key, text in params[0].items() if "." not in key} if params else {}
    told = {key: text for key, text in told.items() if text not in USUAL}
    same = [k for k, text in told.items() if all(own.get(k) == text for own in params)]
    return " ".join(f"{key}={told[key]}" for key in same)
