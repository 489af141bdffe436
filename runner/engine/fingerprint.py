"""What tells two runs apart that give different trajectories: config, data, code."""

import ast
import hashlib
import importlib
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from runner.base.paths import PACKAGE
from runner.config.cell import NOT_THE_EXPERIMENT
from runner.config.schema import Values, targets

TAG = "fingerprint"

DECIDE = (
    *("base/percell.py", "base/rows.py", "config/build.py", "dataset", "device.py", "engine"),
    *("loss.py", "model", "objective", "optimizer.py", "schedule.py"),
)
"""The rooms and files of this package that a trajectory depends on."""

SHOW = ("engine/dataset_input.py", "engine/fitted.py", "engine/identity.py")
"""Of those, the files that only say what has run."""

STUDIES = "runner.study."
"""Modules whose functions are parts of their experiments, as a user's are."""

NOT_IN_IT = ("device", *NOT_THE_EXPERIMENT)
LIBRARIES = ("numpy", "runner", "sklearn", "torch")


def fingerprint(values: Values, data: str) -> str:
    """64 hexadecimal digits, from the plain values and the digest of the dataset as prepared."""
    config = {key: value for key, value in values.items() if key not in NOT_IN_IT}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    digest.update(data.encode())
    digest.update(own_code())
    for name in sorted({name for name in targets(config) if isinstance(name, str)}):
        digest.update(code_of(name))
    return digest.hexdigest()


@cache
def own_code(package: Path = PACKAGE, *, whole: bool = False) -> bytes:
    """Return a digest of this package's files: of those that decide a trajectory, or of all."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        decides = f"{name}/".startswith(tuple(f"{room}/" for room in DECIDE)) and name not in SHOW
        if whole or decides:
            digest.update(path.read_bytes())
    return digest.digest()


@cache
def code_of(name: str) -> bytes:
    """Return a digest of the file that defines a user's class, and of those that it imports.

    The module is imported first, so that the digest does not depend on what was imported before.
    Raises whatever that import raises.
    """
    if name.split(".")[0] in LIBRARIES and not name.startswith(STUDIES):
        return b""
    digest = hashlib.sha256()
    for path in sorted(_files(_module_of(name))):
        digest.update(path.read_bytes())
    return digest.digest()


def _module_of(name: str) -> str:
    """Import and return the module that defines what the dotted name leads to.

    That is its longest beginning that can be imported, as `pkgutil.resolve_name` has it.
    """
    module, *rest = name.split(".")
    importlib.import_module(module)
    for part in rest:
        try:
            importlib.import_module(f"{module}.{part}")
        except ImportError:  # a class, or a function
            break
        module = f"{module}.{part}"
    return module


def _files(defining: str) -> set[Path]:
    """The module's file, and of what it imports those files that are the user's own."""
    found: set[Path] = set()
    waiting = [defining]
    seen = {defining}
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or (_is_installed(path) and name != defining):
            continue
        found.add(path)
        more = {*_imports(name, path), *_kept(name), *_packages(name)} - seen
        seen |= more
        waiting += sorted(more)
    return found


def _file(name: str) -> Path | None:
    """The source of the module of that name, if it has one."""
    file = getattr(sys.modules[name], "__file__", None) if name in sys.modules else _origin(name)
    path = Path(file) if file and file.endswith(".py") else None
    return path.resolve() if path is not None and path.is_file() else None


def _origin(name: str) -> str | None:
    """The file that an import would take, found without importing anything."""
    places, spec = None, None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        if count > 1 and places is None:  # below what is no package
            return None
        spec = PathFinder.find_spec(".".join(parts[:count]), places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return spec.origin if spec else None


def _imports(name: str, path: Path) -> Iterator[str]:
    """What the file imports, at its top or anywhere else: modules, and what may be one."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):  # nobody has imported it yet
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        if isinstance(node, ast.ImportFrom):
            source, names = "." * node.level + (node.module or ""), node.names
        elif isinstance(node, ast.Call) and (imported := _imported_by_call(node)):
            source, names = imported, []
        else:
            continue
        try:
            source = importlib.util.resolve_name(source, package)
        except ImportError:
            continue
        yield source
        yield from (f"{source}.{alias.name}" for alias in names)


def _imported_by_call(call: ast.Call) -> str:
    """Return what `importlib.import_module("...")` imports; empty for any other call."""
    function, argument = call.func, call.args[0] if call.args else None
    called = getattr(function, "attr", getattr(function, "id", ""))
    is_import = called in ("import_module", "__import__")
    text = argument.value if is_import and isinstance(argument, ast.Constant) else None
    return text if isinstance(text, str) else ""


def _kept(name: str) -> Iterator[str]:
    """Yield the modules that it holds, however it has come by them.

    But for those that Python has put there: a package holds each module in it once anybody has
    imported that, which must not tell one process from another.
    """
    if (module := sys.modules.get(name)) is not None:
        for key, value in vars(module).items():
            if isinstance(value, ModuleType) and value.__name__ != f"{name}.{key}":
                yield value.__name__


def _packages(name: str) -> Iterator[str]:
    """The packages that it is in: they are imported as well."""
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts)))


@cache
def _installed() -> list[Path]:
    places = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(sysconfig.get_path(place)).resolve() for place in places] + [PACKAGE]


def _is_installed(path: Path) -> bool:
    """Whether it belongs to Python, to a package that was installed, or to this project."""
    return any(path.is_relative_to(folder) for folder in _installed())
