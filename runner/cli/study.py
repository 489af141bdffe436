"""Known results, reproduced: `python -m runner.study [NAME]`."""

import argparse
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import runner
from runner.base import project
from runner.base.console import say
from runner.base.text import counted
from runner.cli.entry import enter
from runner.errors import ConfigError, RunnerError
from runner.study import found
from runner.study.carry_out import carry_out
from runner.study.claim import AT_LEAST, AT_MOST, Claim, Findings

INTERRUPTED = "interrupted: what was run until then is in mlruns/journal"


def main(arguments: Sequence[str] | None = None) -> int:
    """List the studies, or run one; with --check the exit status is 1 where it does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.study",
        description="Known results on gradient descent, each reproduced and held against theory.",
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a study; without one, all are listed"
    )
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="for each of its experiments")
    parser.add_argument("--check", action="store_true", help="exit with 1 unless it holds")
    parser.add_argument("--html", type=Path, metavar="FILE", help="where the page goes")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="each as a file as well")
    parser.add_argument("--dir", type=Path, metavar="FOLDER", help="studies of your own")
    typed = parser.parse_intermixed_args(arguments)
    project.folder()
    if typed.name is None:
        _list(typed.dir)
        return 0
    study = found.find(typed.name, typed.dir)
    _check_places(typed.html, typed.pictures)
    try:
        findings = _run(study, typed.words, typed.html, typed.pictures)
    except OSError as error:
        place = error.filename or "the page"
        raise RunnerError(f"{place}: cannot be written: {error.strerror}") from error
    return 1 if typed.check and not findings.holds else 0


def _list(own: Path | None) -> None:
    names = found.names(own)
    width = max(map(len, names)) + 2
    for name in names:
        try:
            title = found.find(name, own).title
        except ConfigError as error:  # the others are listed all the same
            title = f"cannot be read: {str(error).splitlines()[0]}"
        say(f"{name:<{width}}{title}")


def _check_places(html: Path | None, pictures: Path | None) -> None:
    """Refuse what cannot be written to, before anything is run."""
    if html and (project.folder() / html).is_dir():
        raise ConfigError(f"--html: {html}: expected a file, and this is a folder")
    if pictures and (project.folder() / pictures).is_file():
        raise ConfigError(f"--pictures: {pictures}: expected a folder, and this is a file")


def _run(
    study: found.Study, words: Sequence[str], html: Path | None, pictures: Path | None
) -> Findings:
    from runner.report import study_page

    began, runs = time.monotonic(), {}
    say(f"{study.name}: {study.title}")
    for name, sweep in carry_out(study, runner.sweep, words):
        runs[name] = sweep
        say(f"  {name:<20}{counted(len(sweep), 'cell'):<14}after {time.monotonic() - began:.0f} s")
    findings = found.findings(study, runs)
    say("")
    rows = told(findings.claims)
    say("\n".join(table(rows)))
    page = study_page.page(study.title, study.text, rows, findings.pictures, findings.holds)
    path = study_page.write(study.name, page, html)
    say(f"\n{'holds' if findings.holds else 'does not hold'}: {study.name}")
    say(f"page: {project.shown(path)}")
    if pictures:
        folder = project.folder() / pictures
        for path in study_page.pictures_in(folder, study.name, findings.pictures):
            say(f"picture: {project.shown(path)}")
    return findings


def told(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    """Return a row for each claim, and one with the heads above."""
    rows: list[tuple[str, ...]] = [
        ("quantity", "theory", "measured", "from", "to", "tolerance", "rival", "")
    ]
    signs = {AT_MOST: "<= ", AT_LEAST: ">= "}
    for claim in claims:
        values = claim.middle, min(claim.measured), max(claim.measured)
        numbers = [f"{value + 0.0:.5g}" for value in values]  # no -0
        theory = f"{signs.get(claim.kind, '')}{claim.theory:.5g}"
        room = f"{claim.room / (abs(claim.theory) or 1.0):.2g}"
        rival = ""
        if claim.rival:
            sign = signs.get(claim.rival.kind, "")
            rival = f"{sign}{float(np.median(claim.rival.theory)):.5g}: {claim.rival.name}"
        rows.append((claim.quantity, theory, *numbers, room, rival, claim.verdict))
    return rows


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            text.ljust(width) if n in (0, 6, 7) else text.rjust(width)
            for n, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background jobs ignore it
    enter(main, failed=2, interrupted=INTERRUPTED)
