"""Whether a store's address can work at all: asked before a run begins, so by its text alone."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from runner.base import project
from runner.base.uri import without_credentials

ADDRESS = "http://HOST:PORT or a database (sqlite:///mlruns/mlflow.db)"

DRIVERS = {
    "sqlite": {"pysqlite": "sqlite3", "pysqlcipher": "pysqlcipher3"},
    "postgresql": {
        "psycopg": "psycopg",
        "psycopg2": "psycopg2",
        "psycopg2cffi": "psycopg2cffi",
        "pg8000": "pg8000",
    },
    "mysql": {
        "mysqldb": "MySQLdb",
        "pymysql": "pymysql",
        "mysqlconnector": "mysql.connector",
        "mariadbconnector": "mariadb",
        "pyodbc": "pyodbc",
    },
    "mssql": {"pyodbc": "pyodbc", "pymssql": "pymssql"},
}
"""Of each kind of database that MLflow takes, SQLAlchemy's drivers and the module of each.

The first is the one of an address that names none.
"""


LONGEST_EXPERIMENT = 500  # characters that MLflow takes

_NAMES = ("database", "dbname", "db", "service", "odbc_connect")  # in a query: which database
_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/?#\[\]\\]*)(?::(\d*))?")
_SQLITE = b"SQLite format 3\0"


def tracking_faults(tracking: Mapping[str, Any], option: str | None) -> Iterator[str]:
    """What is wrong in a config's tracking node, of which the option was chosen."""
    uri, experiment = tracking["uri"], tracking["experiment"]
    if uri is None:
        if option in ("local", "server"):
            yield f"tracking.uri: tracking={option} needs a store; without one, tracking=off"
    elif why := fault(uri):
        yield f"tracking.uri: {why}, or tracking=off"
    if not 1 <= len(experiment) <= LONGEST_EXPERIMENT:
        yield (
            f"tracking.experiment: expected a name of 1 to {LONGEST_EXPERIMENT} characters, "
            f"got {len(experiment)}"
        )
    if not is_text(experiment):
        yield (
            "tracking.experiment: expected a name of characters that a database takes, "
            f"got {experiment!a}"
        )


def is_text(value: str) -> bool:
    """Whether every database takes it: no NUL, and no byte that stands for no character."""
    return "\0" not in value and value == value.encode("utf-8", "replace").decode()


def fault(uri: str) -> str | None:
    """Why nothing can be published there, and what would do; None if something may.

    The address may hold a password, and is not shown whole.
    """
    why = next(_faults(uri), None)
    return f"{why}: expected {ADDRESS}" if why else None


def _faults(uri: str) -> Iterator[str]:
    scheme, separator, _ = uri.partition("://")
    kind, plus, driver = scheme.partition("+")
    if not uri:
        yield "a store is missing, there is nothing"
    elif not separator:
        yield f"{without_credentials(uri)} is no address of a tracking server or of a database"
    elif scheme in ("http", "https"):
        yield from _host_faults(uri, needed=True)
    elif kind not in DRIVERS or (plus and driver not in DRIVERS[kind]):
        yield f"nothing can be published into a store of the kind {scheme}://"
    else:
        yield from _driver_faults(kind, driver)
        yield from (_file_faults if kind == "sqlite" else _database_faults)(uri)


def _host_faults(uri: str, *, needed: bool) -> Iterator[str]:
    scheme, _, rest = without_credentials(uri).partition("://")
    place = re.split("[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    found = _HOST.fullmatch(place)
    if needed and not place.partition(":")[0]:
        yield f"{scheme}:// needs a host"
    elif not found or int(found[2] or 0) > 65535:
        yield f"{place} is no host with a port"


def _driver_faults(kind: str, driver: str) -> Iterator[str]:
    name = driver or _usual_driver(kind)
    module = DRIVERS[kind][name]
    try:
        installed = find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that is not there
        installed = False
    if not installed:
        there = [f"{kind}+{other}://" for other, own in DRIVERS[kind].items() if _is_there(own)]
        would = f", or name one that is: {', '.join(there)}" if there else ""
        yield f"{kind}+{name}:// needs {module}, which is not installed: install it{would}"


def _is_there(module: str) -> bool:
    return find_spec(module.partition(".")[0]) is not None


def _usual_driver(kind: str) -> str:
    """SQLAlchemy's own choice, which for PostgreSQL was another one before 2.1."""
    if kind == "postgresql":
        try:
            if version("sqlalchemy").startswith("2.0."):
                return "psycopg2"
        except PackageNotFoundError:
            pass
    return next(iter(DRIVERS[kind]))


def _database_faults(uri: str) -> Iterator[str]:
    scheme, _, rest = without_credentials(uri).partition("://")
    yield from _host_faults(uri, needed=False)
    place, _, query = rest.rpartition("@")[2].partition("?")
    host, _, name = place.partition("/")
    named = name or any(key in parse_qs(query) for key in _NAMES)
    if not named and not (scheme.startswith("mssql") and host):  # which may be one of ODBC's own
        yield f"{scheme}:// needs the name of a database, as in {scheme}://HOST/NAME"


def _file_faults(uri: str) -> Iterator[str]:
    place, _, query = uri.partition("://")[2].partition("?")
    host, slash, name = place.rpartition("@")[2].partition("/")
    if host:
        yield "sqlite:// takes three slashes before the path of a file, four before an absolute one"
    elif not slash or not name or ":memory:" in name or "mode=memory" in query:
        yield "a database in memory is gone with the process that fills it"
    elif name.startswith("file:"):
        yield "sqlite:/// takes the path of a file"
    else:
        yield from _path_faults(project.folder() / unquote(name))


def _path_faults(path: Path) -> Iterator[str]:
    """What stands in the way of a database at that path."""
    try:
        above = next(parent for parent in path.parents if parent.exists())
        if path.is_dir():
            yield f"{project.shown(path)} is a folder, and no database"
        elif not above.is_dir():
            yield f"{project.shown(above)} is no folder"
        elif path.is_file() and path.stat().st_size and not _is_sqlite(path):
            yield f"{project.shown(path)} is no SQLite database"
    except (OSError, ValueError) as error:  # a name that is too long, say
        yield f"{project.shown(path)} cannot be a file: {error}"


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except PermissionError:
        return True  # nobody knows
