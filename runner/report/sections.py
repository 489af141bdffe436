"""The sections of a page that only some have: loops against each other, and what failed."""

from typing import NamedTuple

import numpy as np

from runner.report.comparison import Comparison
from runner.report.drawn import label
from runner.report.parity import Parity, parity

MOST_ROWS = 100
ODD = ("failed", "interrupted", "not run", "running")


class Section(NamedTuple):
    """A heading, sentences, and perhaps a table; a plot has the section's name."""

    id: str
    title: str
    words: list[str]
    head: list[str]
    body: list[list[str]]


def loops(compared: Comparison) -> tuple[Section, Parity] | None:
    """How far loops differ on the same experiment, step by step."""
    runs = [line.run for line in compared.lines if line.run is not None and line.epochs]
    found = parity(runs)
    if not found.pairs:
        return None
    words = [
        "Runs of one experiment through several loops: at each epoch the largest difference of a "
        "parameter. Where two agree to the last bit there is no point."
    ]
    if found.left_out:
        words.append(f"Compared are {len(found.pairs)} pairs; {found.left_out} more are left out.")
    if not any(pair.parameters.any() for pair in found.pairs):
        words.append("All agree to the last bit.")
    head = ["loops", "epochs", "largest difference of a parameter", "of the loss", "relative"]
    body = [
        [
            pair.name,
            f"{pair.epochs[-1]:g}",
            f"{pair.parameters.max():.3g}",
            f"{np.nanmax(pair.loss, initial=0):.3g}",
            f"{pair.relative:.3g}",
        ]
        for pair in found.pairs
    ]
    return Section("loops", "Do the loops agree?", words, head, body), found


def unfinished(compared: Comparison) -> Section | None:
    """What failed, was interrupted or not run, and why."""
    some = [index for index, line in enumerate(compared.lines) if line.outcome in ODD]
    if not some:
        return None
    rows = [
        [label(compared, index), compared.lines[index].outcome, compared.lines[index].reason]
        for index in some[:MOST_ROWS]
    ]
    words = [f"The first {MOST_ROWS} of {len(some)}."] if len(some) > MOST_ROWS else []
    return Section("unfinished", "What failed?", words, ["cell", "outcome", "why"], rows)
