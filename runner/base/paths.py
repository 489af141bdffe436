"""Where the package lies, and the configs that it ships."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if folder.is_dir())
"""The shipped configs: in a wheel inside the package, in a checkout beside it."""
