"""The page of a study: its verdict, the theory over what was measured, and where it is from."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from runner import project
from runner.recorded.place import pages
from runner.report.own_files import own_file, template
from runner.report.theory import Picture, as_svg


def page(
    title: str, text: str, rows: Sequence[Sequence[str]], pictures: Sequence[Picture], holds: bool
) -> str:
    """The page as HTML. `rows` are those of the table, the first its heads."""
    made: str = template("study.html").render(
        title=title,
        paragraphs=[" ".join(part.split()) for part in text.split("\n\n")],
        head=rows[0],
        rows=rows[1:],
        holds=holds,
        pictures=[(picture, Markup(as_svg(picture))) for picture in pictures],
        css=Markup(own_file("page.css")),
    )
    return made


def write(name: str, text: str, path: Path | None = None) -> Path:
    """Write the page, to mlruns/report unless another place is given; where it is.

    It is there whole or not at all.
    """
    place = (project.folder() / path) if path else pages() / f"study-{name}.html"
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(place)
    return place
