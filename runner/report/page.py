"""The page of a report: one file that needs nothing else, no network and no server."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import components
from bokeh.palettes import Cividis256
from bokeh.resources import Resources
from jinja2 import Environment, select_autoescape
from markupsafe import Markup

from runner import project
from runner.column import EVALUATIONS, LOSS, MEASURE, SCHEDULE, VALIDATION
from runner.config import ConfigError
from runner.recorded.place import page_path
from runner.recorded.run import Run
from runner.report import figures, figures_overall, sections
from runner.report.comparison import Comparison
from runner.report.drawn import choose, groups, is_wide
from runner.report.embedded import embedded, known
from runner.report.paths import Paths, paths
from runner.report.series import EXCESS, SECONDS, Key, Series, series
from runner.report.verdict import verdict
from runner.seeds import is_seed
from runner.stop import OUTCOMES

SCRIPTS = ("data", "state", "look", "controls", "table", "curves", "breaks", "paths", "start")
QUESTIONS = {
    "best": "Which setting is best, and how sure is that?",
    "converge": "How does each converge?",
    "breaks": "Where does it break?",
    "paths": "What did it do in parameter space?",
}
OF_ONE = {
    "best": "How did it end?",
    "converge": "How does it converge?",
    "breaks": "",
    "paths": "What did it do in parameter space?",
}
MOST_PLOTS = 6
USUAL = ("None", "False", "constant")
"""Values that are not told."""


def page(compared: Comparison, refresh: float | None = None) -> str:
    """The whole page as HTML; with `refresh` it reads itself again after so many seconds."""
    drawn, grouped = choose(compared), groups(compared) if compared.lines else []
    told = series(compared, drawn) if drawn else None
    way, why = _paths(compared) if drawn else (None, "")
    made: dict[str, Any] = {}
    main = _main(compared, told, drawn, made) if told else None
    breaks = _breaks(compared, made) if drawn else None
    if way:
        made["paths"] = figures.paths("paths", way.land, way.names)
    others = []
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
        "id": compared.sweep.id if compared.sweep else "",
        "plots": len(made),
        "panels": main["panels"] if main else [],
        "start": _start(told),
        "palette": Cividis256,
        "outcomeColours": figures_overall.OUTCOME_COLOURS,
        "refresh": refresh,
    }
    text: str = _template().render(
        title=compared.sweep.name if compared.sweep else _title(compared),
        facts=_facts(compared),
        questions=OF_ONE if is_one else QUESTIONS,
        things="cells" if compared.sweep else "runs",
        verdict=list(verdict(compared)),
        main=main,
        breaks=breaks,
        paths=None if not drawn else way.words if way else [f"No landscape: {why}."],
        sections=others,
        outcome_colours=figures_overall.OUTCOME_COLOURS,
        divs={name: Markup(div) for name, div in divs.items()},
        left_out=compared.left_out,
        data=Markup(embedded(data)),
        bokeh=Markup(Resources(mode="inline", components=["bokeh"]).render_js()) if made else "",
        plots=Markup(script),
        css=Markup(_own("page.css")),
        js=Markup("\n".join(_own(f"{name}.js") for name in SCRIPTS)),
    )
    return text


def write(compared: Comparison, path: Path | None = None, refresh: float | None = None) -> Path:
    """Write the page, to where it belongs in mlruns unless another is given; where it is.

    It is there whole or not at all.
    """
    lines = [line.run for line in compared.lines if line.run]
    known_run = compared.sweep or (lines[0] if lines else None)
    path = path or project.folder() / page_path(known_run.id if known_run else "nothing")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(page(compared, refresh), "utf-8", "backslashreplace")
    new.replace(path)
    return path


def _title(compared: Comparison) -> str:
    return compared.lines[0].name if len(compared.lines) == 1 else f"{len(compared.lines)} runs"


def _main(
    compared: Comparison, told: Series, drawn: Sequence[int], made: dict[str, Any]
) -> dict[str, Any]:
    """The plots over the steps, and what can be chosen for the largest of them."""
    keys = list(told.curves)
    made["converge"] = figures.curves("converge", "loss", named=True)
    beside = [key for role in (VALIDATION, MEASURE) for key in keys if key.role == role]
    beside = beside[:MOST_PLOTS]
    below = [key for key in keys if key.role == SCHEDULE][:MOST_PLOTS]
    panels = []
    for number, key in enumerate([*beside, *below]):
        made[f"panel{number}"] = figures.curves(f"panel{number}", key.name, small=True)
        panels.append({"plot": f"panel{number}", "quantity": keys.index(key)})
    names = [panel["plot"] for panel in panels]
    exact = {line.is_exact for line in compared.lines if line.has_curve}
    first = Key(EXCESS, "excess loss")
    if exact != {True} or first not in told.curves:
        first = Key(LOSS, "loss")
    along = ["step", "epoch", "gradient evaluations"]
    values = np.concatenate([curve.values for curve in told.curves[first]])
    return {
        "quantities": [key.name for key in keys if key.role not in (SECONDS, EVALUATIONS)],
        "first": first.name,
        "log": is_wide(values),
        "along": [*along, "seconds"] if any(key.role == SECONDS for key in keys) else along,
        "beside": names[: len(beside)],
        "below": names[len(beside) :],
        "panels": panels,
        "words": list(_of_curves(compared, told, drawn, exact)),
    }


def _of_curves(
    compared: Comparison, told: Series, drawn: Sequence[int], exact: set[bool]
) -> Iterator[str]:
    """What a reader of the curves should know."""
    if Key(EXCESS, "excess loss") in told.curves:
        least = "in closed form" if exact == {True} else "the best seen on the same data"
        if len(exact) > 1:
            least = "in closed form, or the best seen on the same data where there is none"
        yield f"Excess loss is the loss less the least there is, {least}."
    if len(drawn) < (there := len(compared.settings)):
        yield (
            f"Drawn are {len(drawn)} of {there} settings: the best and the worst of all and of "
            "each optimizer, and between them evenly spaced ones. What is marked is drawn as well."
        )
    if compared.seeded:
        yield (
            "A line is the median over the seeds, the band from a quarter to three quarters; a "
            "cell that has stopped goes on with its last value, one that diverged as infinite."
        )


def _start(told: Series | None) -> float | None:
    """The largest loss that a run has begun with."""
    curves = told.curves.get(Key(LOSS, "loss"), []) if told else []
    firsts = [float(one.values[0]) for one in curves if len(one.values)]
    there = [value for value in firsts if math.isfinite(value)]
    return max(there, default=None)


def _breaks(compared: Comparison, made: dict[str, Any]) -> dict[str, Any] | None:
    """A value over what was swept and is a number: over one of them, or over two."""
    numbers = [key for key in compared.swept if not is_seed(key) and _is_numeric(compared, key)]
    if not numbers:
        return None
    numbers.sort(key=lambda key: key.rpartition(".")[2] != "lr")
    plot = "heat" if len(numbers) > 1 else "sensitivity"
    draw = figures_overall.heat_map if len(numbers) > 1 else figures_overall.sensitivity
    made[plot] = draw(plot)
    values = [compared.by, *({"final loss", "excess loss"} - {compared.by})]
    values += ["epochs to tolerance", *(["outcome"] if plot == "heat" else [])]
    return {
        "plot": plot,
        "numbers": numbers,
        "choices": values,
        "words": list(_of_breaks(compared, numbers, plot)),
    }


def _is_numeric(compared: Comparison, key: str) -> bool:
    try:
        return len({float(line.swept[key]) for line in compared.lines}) > 1
    except ValueError:
        return False


def _of_breaks(compared: Comparison, numbers: Sequence[str], plot: str) -> Iterator[str]:
    if any(line.outcome == "diverged" for line in compared.lines):
        if plot == "heat":
            yield "Hatched is where half of the cells, or more, have diverged."
        else:
            yield "A cross at the top edge is a cell that diverged."
    if compared.seeded:
        yield "A value is the median over the seeds; what diverged is infinite."
    edges = [line.edge for line in compared.lines if line.edge is not None]
    if edges and any(key.rpartition(".")[2] == "lr" for key in numbers):
        low, high = min(edges), max(edges)
        said = f"{low:.6g}" if math.isclose(low, high) else f"{low:.6g} to {high:.6g}"
        yield (
            "The dashed line is the stability edge, from which on SGD moves away from the minimum: "
            f"2 / lambda_max of the loss's Hessian for plain descent, farther with momentum. It is "
            f"at {said}; other optimizers have none that is known."
        )


def _paths(compared: Comparison) -> tuple[Paths | None, str]:
    """The paths, or why there are none."""
    try:
        return paths(compared), ""
    except ConfigError as error:
        return None, str(error).splitlines()[0].rstrip(".")


def _template() -> Any:
    environment = Environment(autoescape=select_autoescape(default_for_string=True))
    return environment.from_string(_own("page.html"))


def _own(name: str) -> str:
    return resources.files("runner.report").joinpath("page_files", name).read_text("utf-8")


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


def _common(runs: Sequence[Run]) -> str:
    """The options and plain values that all runs have, so that no name has to say them."""
    params = [run.params for run in runs]
    told = {key: text for key, text in params[0].items() if "." not in key} if params else {}
    told = {key: text for key, text in told.items() if text not in USUAL}
    same = [k for k, text in told.items() if all(own.get(k) == text for own in params)]
    return " ".join(f"{key}={told[key]}" for key in same)
