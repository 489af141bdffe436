"""Where the pages of sweeps are."""

import errno
import os
from pathlib import Path

from runner.base import project

PAGES = Path("mlruns/report")
"""Of the project folder."""


def pages() -> Path:
    """Their folder, absolute."""
    return project.folder() / PAGES


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, and leave nothing beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(content)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def page_path(run: str) -> Path:
    """Where the page of the sweep is in the project folder, by its id."""
    return PAGES / f"{run}.html"
