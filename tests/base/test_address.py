"""Addresses of stores that can never work are refused before anything runs, with what would do."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from runner.base.address import fault, is_text

GOOD = [
    "http://127.0.0.1:5000",
    "https://user:hun/ter2@host/path?x=1",
    "http://[::1]:5000",
    "http://größe.example",
    "sqlite:///mlruns/mlflow.db",
    "sqlite:////nowhere/yet/mlflow.db",
    "sqlite+pysqlite:///mlflow.db",
    "sqlite:///there.db",
    "sqlite:///empty.db",
    'sqlite:///a b/100%/it\'s "x".db',
    "postgresql+psycopg2://user:secret@host:5432/db",
    "postgresql+psycopg2://user@/db?host=/tmp",
    "postgresql+psycopg2://?service=mine",
]

BAD = {
    "": "nothing",
    "foo": "foo is no address",
    "./mlruns": "./mlruns is no address",
    "/tmp/mlruns": "no address",
    "databricks": "databricks is no address",
    "file:mlruns": "no address",
    "sqlite:mlflow.db": "no address",
    "http:/host": "no address",
    "file:///tmp/mlruns": "file://",
    "databricks://profile": "databricks://",
    "databricks-uc://profile": "databricks-uc://",
    "ftp://x": "ftp://",
    "s3://bucket": "s3://",
    "oracle://host/db": "oracle://",
    "postgres://host/db": "postgres://",
    "postgresql+asyncpg://host/db": "postgresql+asyncpg://",
    "sqlite+aiosqlite:///a.db": "sqlite+aiosqlite://",
    "sqlite+a+b:///a.db": "sqlite+a+b://",
    "http://": "needs a host",
    "https:///path": "needs a host",
    "http://user:hush@": "needs a host",
    "http://:5000": "needs a host",
    "http://host:port": "host:port",
    "http://host:99999": "host:99999",
    "http://ho st": "ho st",
    "sqlite://": "in memory",
    "sqlite:///": "in memory",
    "sqlite:///:memory:": "in memory",
    "sqlite:///a.db?mode=memory": "in memory",
    "sqlite:///file:a.db?uri=true": "the path of a file",
    "sqlite://a.db": "three slashes",
    "sqlite:///folder": "folder is a folder",
    "sqlite:///text.txt": "text.txt is no SQLite database",
    "sqlite:///text.txt/a.db": "text.txt is no folder",
    f"sqlite:///{'x' * 300}": "cannot be a file",
    "postgresql+psycopg2://host": "the name of a database",
    "postgresql+psycopg2://host/": "the name of a database",
    "postgresql+psycopg2://host:port/db": "host:port",
    "mysql+pymysql://me:hush@host/db": "pymysql, which is not installed",
    "mysql://host/db": "MySQLdb, which is not installed",
    "mssql://host/db": "pyodbc, which is not installed",
    "postgresql+pg8000://host/db": "not installed: install it, or name one that is: postgresql+",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with a database, a text and another folder the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("no database\n" * 100)
    (tmp_path / "empty.db").touch()
    with closing(sqlite3.connect("there.db")) as there:
        there.execute("CREATE TABLE one (two)")
    return tmp_path


@pytest.mark.parametrize("uri", GOOD)
def test_addresses_that_may_work(uri, folder):
    """Nobody is asked whether they do."""
    assert fault(uri) is None


@pytest.mark.parametrize("uri", BAD)
def test_addresses_that_never_work(uri, folder):
    """What is wrong, what would do, and no password."""
    why = fault(uri)
    assert BAD[uri] in why
    assert "expected http://HOST:PORT or a database" in why
    assert "hush" not in why
    assert sorted(os.listdir(folder)) == ["empty.db", "folder", "text.txt", "there.db"]


TEXTS = {"größe 🚀\n": True, "a\0b": False, "a\udce9": False}


@pytest.mark.parametrize("name", TEXTS, ids=ascii)
def test_what_a_database_takes_as_text(name):
    """Neither NUL nor a byte of another encoding, as the command line hands them on."""
    assert is_text(name) is TEXTS[name]


@pytest.fixture
def refused(environment):
    """Start a command that is to say one thing and leave nothing: what it says."""

    def run(folder, module, *typed, **variables):
        before = sorted(folder.rglob("*"))
        done = subprocess.run(
            [sys.executable, "-m", module, *typed],
            cwd=folder,
            env={**environment, **variables},
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert sorted(folder.rglob("*")) == before
        return done.stderr

    return run


COMMANDS = {
    # what is typed: what is said
    ("runner", "tracking.uri=foo"): "tracking.uri: foo is no address",
    (
        "runner",
        "-m",
        "lr=0.1,0.2",
        "tracking.uri='sqlite://'",
    ): "tracking.uri: a database in memory",
    ("runner", b"tracking.experiment='caf\xe9'"): r"a database takes, got 'caf\udce9'",
    ("runner.publish", "--uri", "ftp://x"): "--uri: nothing can be published into",
    ("runner.publish", "--uri", "sqlite://"): "--uri: a database in memory",
    ("runner.report", "latest", "--uri", "./mlruns"): "--uri: ./mlruns is no address",
    ("runner.report", "latest", "--uri", "sqlite:///nope.db"): "nope.db: there is no such database",
    ("runner.report", "latest", "--uri", "sqlite:///empty.db"): "empty.db: holds no MLflow store",
    ("runner.report", "latest", "--uri", "sqlite:///there.db"): "there.db: holds no MLflow store",
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("typed", COMMANDS, ids=str)
def test_commands_refuse_them(typed, folder, refused):
    """In one message, before anything is there."""
    assert COMMANDS[typed] in refused(folder, *typed)


def test_the_environments_store_is_looked_at_too(folder, refused):
    """When a report needs it."""
    said = refused(folder, "runner.report", "x", MLFLOW_TRACKING_URI="sqlite:///nope.db")
    assert said == "MLflow cannot be read: nope.db: there is no such database\n"
