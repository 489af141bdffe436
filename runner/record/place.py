"""Where the pages of sweeps are."""

from pathlib import Path

from runner.base import project

PAGES = Path("mlruns/report")
"""Of the project folder."""


def pages() -> Path:
    """Their folder, absolute."""
    return project.folder() / PAGES


def page_path(run: str) -> Path:
    """Where the page of the sweep is in the project folder, by its id."""
    return PAGES / f"{run}.html"
