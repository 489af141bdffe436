"""Compose an experiment from named parts, run the loop that matches, keep the whole trajectory."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent

CONF = next(folder for folder in (_HERE / "conf", _HERE.parent / "conf") if folder.is_dir())
"""The shipped configs: in a wheel inside the package, in a checkout beside it."""
