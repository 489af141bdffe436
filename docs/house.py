"""The rooms of `runner/`, as docs/inside.md shows them: `python -m docs.house` writes them anew."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNNER = ROOT / "runner"
PAGE = ROOT / "docs" / "inside.md"

PARTS = ("dataset", "model", "loss", "optimizer", "schedule", "objective", "device")
"""Each is a group in conf/, and mathematics alone."""

ROOMS = (
    *("errors", "base", *PARTS, "config", "record", "engine", "tracking", "sweeps", "report"),
    *("study", "cli", "root"),
)
"""From the ground up: a room imports only rooms before it. The root is a room like any other."""


def files() -> list[Path]:
    """Return the files of the package; its `__init__.py` is no room: its imports are lazy."""
    return sorted(path for path in RUNNER.rglob("*.py") if path != RUNNER / "__init__.py")


def room_of(path: Path) -> str:
    """Return the room that a file is in."""
    name = path.relative_to(RUNNER).parts[0].removesuffix(".py")
    return name if name in ROOMS else "root"


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, at its top or anywhere else."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows() -> dict[str, set[str]]:
    """Return for each room those that it imports."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    modules = {path.relative_to(RUNNER).parts[0].removesuffix(".py") for path in files()}
    for path in files():
        for name in imported(path):
            top, _, rest = name.partition(".")
            there = rest.partition(".")[0]
            if top == "runner" and there in modules:
                found[room_of(path)].add(there if there in ROOMS else "root")
    return {room: others - {room} for room, others in found.items()}


def picture() -> str:
    """Return the rooms as a Mermaid flowchart, without the arrows that others imply."""
    stands_on = arrows()
    below: dict[str, set[str]] = {}
    for room in ROOMS:
        below[room] = stands_on[room].union(*(below.get(other, set()) for other in stands_on[room]))
    lines = ["flowchart TD"]
    for room in reversed(ROOMS):
        implied = set().union(*(below.get(other, set()) for other in stands_on[room]))
        direct = sorted(stands_on[room] - implied, key=ROOMS.index, reverse=True)
        lines += [f"    {room} --> {other}" for other in direct]
    return "\n".join(lines)


def listing() -> str:
    """Return the files of each room, with the first line of each."""
    lines = []
    for room in ROOMS:
        own = [path for path in files() if room_of(path) == room]
        folder = RUNNER / room
        if folder.is_dir():
            lines.append(f"runner/{room}/  {_summary(folder / '__init__.py')}")
            own = [path for path in own if path != folder / "__init__.py"]
        for path in own:
            name = path.relative_to(folder if folder.is_dir() else RUNNER).as_posix()
            indent = "  " if folder.is_dir() else "runner/"
            lines.append(f"{indent}{name.removesuffix('/__init__.py')}  {_summary(path)}")
    return "\n".join(lines)


def _summary(path: Path) -> str:
    """Return the first line of the module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0]


def page() -> str:
    """Return the text of docs/inside.md with picture and listing as they are now."""
    text = PAGE.read_text()
    for name, kind, content in (("rooms", "mermaid", picture()), ("files", "text", listing())):
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}```{kind}\n{content}\n```\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
