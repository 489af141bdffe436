"""The project folder: where the command was started, and where its `mlruns/` is.

Hydra (`hydra.job.chdir=true`) or a part of the user's may change the current folder at any time.
So it is looked up once, before either can, and whatever is kept has its place below it. What is
printed and recorded are paths relative to it: a project may be moved.
"""

from functools import cache
from pathlib import Path


@cache
def folder() -> Path:
    """The project folder, absolute: the current one when this is first asked."""
    return Path.cwd()


def shown(path: Path) -> str:
    """The path as a person sees it: relative to the project folder if it is below it."""
    return str(path.relative_to(folder()) if path.is_relative_to(folder()) else path)
