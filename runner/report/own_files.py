"""The files that pages are made of."""

from importlib import resources
from typing import Any

from jinja2 import Environment, select_autoescape


def own_file(name: str) -> str:
    """Its text."""
    return resources.files("runner.report").joinpath("page_files", name).read_text("utf-8")


def template(name: str) -> Any:
    """To be filled; what is filled in is escaped."""
    environment = Environment(autoescape=select_autoescape(default_for_string=True))
    return environment.from_string(own_file(name))
