"""The page of a study: its verdict, the theory over what was measured, and where it is from."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from markupsafe import Markup

from runner.base import project
from runner.base.files import write_atomic
from runner.record.place import pages
from runner.report.animation import as_gif
from runner.report.own_files import own_file, template
from runner.report.theory import Picture, as_png, as_svg


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
        pictures=[(picture, Markup(_drawn(picture))) for picture in pictures],
        css=Markup(own_file("page.css")),
    )
    return made


def _drawn(picture: Picture) -> str:
    if not picture.moves:
        return as_svg(picture)
    film = base64.b64encode(as_gif(picture)).decode()
    return f'<img src="data:image/gif;base64,{film}" alt="{escape(picture.title)}, step by step">'


def pictures_in(folder: Path, name: str, pictures: Sequence[Picture]) -> list[Path]:
    """Write each as a file of its own, a PNG or a GIF."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, picture in enumerate(pictures, 1):
        path = folder / f"{name}-{number}.{'gif' if picture.moves else 'png'}"
        if picture.moves:
            path.write_bytes(as_gif(picture))
        else:
            as_png(picture, path)
        made.append(path)
    return made


def write(name: str, text: str, path: Path | None = None) -> Path:
    """Write the page, to mlruns/report unless another place is given; where it is.

    It is there whole or not at all.
    """
    place = (project.folder() / path) if path else pages() / f"study-{name}.html"
    write_atomic(place, text)
    return place
