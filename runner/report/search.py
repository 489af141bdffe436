"""How a search went: the value of each sample, the best so far, and what it was due to."""

import json
import math
from typing import Any

from runner.base.seeds import spread
from runner.report.comparison import Comparison
from runner.report.figures_overall import samples
from runner.report.line import Line
from runner.report.sections import Section


def search(compared: Comparison, made: dict[str, Any]) -> tuple[Section, dict[str, Any]] | None:
    """Its section, and what the page's scripts know of it; None where nothing was searched for."""
    tags = compared.sweep.tags if compared.sweep else {}
    wanted = tags.get("minimise")
    if wanted is None:
        return None
    made["search"] = samples("search", wanted)
    settings = sorted(compared.settings, key=lambda setting: setting.lines[0])
    values = [_value(line, wanted) for line in compared.lines]
    order = {index: number for number, own in enumerate(settings, 1) for index in own.lines}
    least, best = math.inf, []
    for setting in settings:
        own = [compared.lines[index] for index in setting.lines]
        if not any(line.outcome == "pruned" for line in own):
            found = spread([values[index] for index in setting.lines]).middle
            least = min(least, math.inf if math.isnan(found) else found)
        best.append(least)
    known = {
        "values": [_plain(value) for value in values],
        "samples": [order[index] for index in range(len(values))],
        "best": [_plain(value) for value in best],
    }
    return _section(compared, tags, wanted), known


def _section(compared: Comparison, tags: Any, wanted: str) -> Section:
    words = [
        f"The samples in the order in which {tags.get('sampler')} asked for them, and the least "
        f"{wanted} so far."
    ]
    if found := tags.get("found"):
        words.append(f"Found: {found}.")
    if compared.seeded:
        words.append("What counts of a sample is the median over its seeds.")
    if any(line.outcome == "diverged" for line in compared.lines):
        words.append("A cross at the top edge is a cell that diverged.")
    pruned = sum(line.outcome == "pruned" for line in compared.lines)
    if pruned:
        words.append(
            f"Hollow are the {pruned} cells that were pruned: at an eighth, a quarter or half of "
            "their epochs they were worse than the median of their stack."
        )
    rows = []
    if told := tags.get("importance"):
        rows = _shares(told)
    if rows:
        words.append(
            "The importance of each is the share of the variance of the samples' ranks that a "
            "random forest explains by it alone (fANOVA: Hutter, Hoos and Leyton-Brown, 2014)."
        )
    return Section("search", "How did the search go?", words, ["what", "importance"], rows)


def _shares(text: str) -> list[list[str]]:
    """Return a row for each share; none where the tag is not ours."""
    try:
        return [[key, f"{100 * share:.0f} %"] for key, share in json.loads(text).items()]
    except (ValueError, TypeError, AttributeError):
        return []


def _value(line: Line, wanted: str) -> float:
    """Of what is minimised; infinite where it diverged."""
    if line.outcome == "diverged":
        return math.inf
    return line.run.figures.get(wanted, math.nan) if line.run else math.nan


def _plain(value: float) -> Any:
    """As JSON has it."""
    return value if math.isfinite(value) else "inf" if value > 0 else None
