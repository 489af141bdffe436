"""Whether another machine has the same Python, libraries and code as the one that leads."""

import platform
import socket
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from runner.config.cell import Cell
from runner.config.schema import targets
from runner.engine.fingerprint import code_of, own_code

LIBRARIES = ("numpy", "torch")

Versions = Mapping[str, str]


def versions(cells: Iterable[Cell]) -> dict[str, str]:
    """What has to be the same here and there: of Python, of libraries, of code by its digest."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name).partition("+")[0]  # the build may be another
        except PackageNotFoundError:
            found[name] = "not installed"
    found["gradient-descent-runner"] = own_code(whole=True).hex()[:12]
    names = {name for cell in cells for name in targets(cell.values) if isinstance(name, str)}
    for name in sorted(names):
        if digest := _code(name):
            found[name] = digest
    return found


def _code(name: str) -> str:
    """Return the digest of a part's code, empty for a library's, or why it cannot be imported."""
    try:
        return code_of(name).hex()[:12]
    except (Exception, SystemExit) as error:  # whatever an import of somebody's raises
        return f"cannot be imported ({type(error).__name__}: {error})"


def differences(here: Versions, there: Versions) -> Iterator[str]:
    """What another machine has otherwise."""
    for name, own in here.items():
        if there.get(name) != own:
            yield f"{name} {there.get(name, 'not there')}, here {own}"


def of_this_machine(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The name of this machine, and its versions; `names` are those of the parts."""
    found = versions([])
    for name in names:
        if name not in found:
            found[name] = _code(name)
    return socket.gethostname(), found
