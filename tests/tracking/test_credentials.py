"""A store's user and password are written down nowhere."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.base.uri import scrubbed, without_credentials
from runner.record.journal import summaries

PLAIN = {
    # a URI: as it may be written down
    "sqlite:///mlruns/mlflow.db": "sqlite:///mlruns/mlflow.db",
    "sqlite:////tmp/a@b/mlflow.db?mode=ro": "sqlite:////tmp/a@b/mlflow.db?mode=ro",
    "sqlite+pysqlcipher://:hunter2@/mlflow.db": "sqlite+pysqlcipher:///mlflow.db",
    "./mlruns": "./mlruns",
    "databricks": "databricks",
    "databricks://profile": "databricks://profile",
    "http://127.0.0.1:5000": "http://127.0.0.1:5000",
    "http://user:hunter2@host:5000/path": "http://host:5000/path",
    "http://me@here.org:hunter2@host:5000": "http://host:5000",
    "https://hunter2@host": "https://host",
    "https://:hunter2@host": "https://host",
    "https://host/?token=hunter2": "https://host/",
    "postgresql://host/db": "postgresql://host/db",
    "postgresql://user@host/db": "postgresql://user@host/db",
    "postgresql://user:@host/db": "postgresql://user@host/db",
    "postgresql://user:hunter2@host:5432/db": "postgresql://user@host:5432/db",
    "postgresql+psycopg2://user:hunter2@/db?host=/tmp": "postgresql+psycopg2://user@/db?host=/tmp",
    "postgresql://user:hunter2@[::1]:5432/db": "postgresql://user@[::1]:5432/db",
    "postgresql://user:hun/ter2@host/db": "postgresql://user@host/db",
    "postgresql://user:hun?ter2@host/db": "postgresql://user@host/db",
    "postgresql://user:hun#ter2@host/db": "postgresql://user@host/db",
    "postgresql://user:hun@ter2@host/db": "postgresql://user@host/db",
    "postgresql://user:hunter2@host/db?options=a@b": "postgresql://user@host/db?options=a@b",
    "postgresql://host/db?user=me&password=hunter2": "postgresql://host/db?user=me",
    "postgresql://host/db?password=hunter2&user=me": "postgresql://host/db?user=me",
    "postgresql://h/db?sslmode=require&sslpassword=hunter2": "postgresql://h/db?sslmode=require",
    "mysql://user:hunter2@host/db?passwd=hunter2": "mysql://user@host/db",
}


@pytest.mark.parametrize("uri", PLAIN)
def test_uris_as_they_may_be_written_down(uri):
    """No password; a database keeps its user; what is left is left as it was."""
    assert without_credentials(uri) == PLAIN[uri]
    assert without_credentials(PLAIN[uri]) == PLAIN[uri]


@pytest.mark.parametrize("uri", [uri for uri in PLAIN if "ter2" in uri])
def test_error_messages_are_scrubbed(uri):
    """Of the URI, of the password alone, and nothing else is touched."""
    said = f"API request to {uri}/api failed: 500 require; host:5432 said 'hunter2' is no mode=1"
    done = scrubbed(said, uri)
    assert "ter2@" not in done
    assert without_credentials(uri) in done
    assert "500 require; host:5432 said" in done
    if "hunter2" in uri:
        assert "hunter2" not in done


def test_a_password_is_scrubbed_as_it_is_meant_too():
    """A driver's message holds it without the percent signs that a URI needs."""
    said = "password authentication failed: 'p@ss/word', not p%40ss%2Fword"
    done = scrubbed(said, "postgresql://user:p%40ss%2Fword@host/db")
    assert done == "password authentication failed: '***', not ***"


@given(
    scheme=st.sampled_from(["http", "https", "postgresql", "mysql+pymysql"]),
    user=st.from_regex("[a-z]{0,5}", fullmatch=True),
    password=st.text("ABCDEF:/?#@%&= ", min_size=1),
    rest=st.sampled_from(["host", "host:80", "host:80/path", "host/db?a=b&c=d", "/db?host=x"]),
)
def test_any_password_goes(scheme, user, password, rest):
    """Whatever characters a password has that a database's driver would take as one."""
    if "@" in password:  # ambiguous past this, for the drivers as well
        password = password.replace("/", "").replace("?", "").replace("#", "")
    plain = without_credentials(f"{scheme}://{user}:{password}@{rest}")
    name = f"{user}@" if user and not scheme.startswith("http") else ""
    assert plain == f"{scheme}://{name}{rest}"


# --- The commands ---

SECRET = "hunter2"


def assert_nowhere(folder, *printed):
    """No file that the command has left holds the password, and nothing that we print."""
    files = [path for path in (folder / "mlruns").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    said = [line for text in printed for line in text.splitlines()]
    assert [line for line in said if SECRET in line and not is_echo(line)] == []


def is_echo(line):
    """Whether Hydra repeats what was typed."""
    return "\t#" in line or line.startswith("Error executing job with overrides")


def cells(runs):
    """Without the sweep's own."""
    return [run for run in runs if "plan" not in run.data.tags]


@pytest.mark.slow
@pytest.mark.parametrize("typed", [["seed=1"], ["-m", "seed=1,2"]])
@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg2"])
def test_credentials_of_an_absent_store(scheme, typed, tmp_path, runner, environment, closed_port):
    """Typed, in a run and in a multirun; kept, and not published by the next command either."""
    uri = f"{scheme}://user:{SECRET}@127.0.0.1:{closed_port()}/mlflow"
    done = runner(tmp_path, *typed, "gradient=by_hand", "tracking=server", f"tracking.uri={uri}")
    assert "kept" in done.stdout
    assert_nowhere(tmp_path, done.stdout, done.stderr)
    again = subprocess.run(
        [sys.executable, "-m", "runner.publish"],
        cwd=tmp_path,
        env={**environment, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
    )
    assert again.returncode == 1
    assert_nowhere(tmp_path, again.stdout, again.stderr)
    journals = (tmp_path / "mlruns" / "journal").glob("*.db")
    kept = {run.start.store for path in journals for run in summaries(path).values()}
    assert kept == {uri.replace(f"user:{SECRET}@", "" if scheme == "http" else "user@")}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("wrong", ["optimizer=adm", "lr=fast", "lr=-1"])
@pytest.mark.parametrize("typed", [["seed=1"], ["-m", "seed=1,2"]])
def test_credentials_beside_a_mistake(wrong, typed, tmp_path, runner):
    """A config that is refused leaves nothing behind that holds them."""
    uri = f"http://user:{SECRET}@127.0.0.1:1"
    done = runner(tmp_path, *typed, wrong, "tracking=server", f"tracking.uri={uri}", status=1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert [x for x in done.stderr.splitlines() if SECRET in x and not is_echo(x)] == []


@pytest.mark.slow
@pytest.mark.parametrize("typed", [["seed=1"], ["-m", "seed=1,2"]])
def test_credentials_of_a_server(typed, tmp_path, runner, server, store):
    """In the URI of a server that is there; its runs are published."""
    experiment = f"{len(typed)} words"
    uri = server.uri.replace("://", f"://user:{SECRET}@")
    where = ["tracking=server", f"tracking.uri={uri}", f"tracking.experiment={experiment}"]
    done = runner(tmp_path, *typed, *where, "gradient=by_hand")
    assert "see it      " in done.stdout
    assert_nowhere(tmp_path, done.stdout, done.stderr)
    _, runs = store(tmp_path, server.uri, experiment)
    assert len(cells(runs)) == len(typed)
    assert SECRET not in str([run.to_dictionary() for run in runs])


@pytest.mark.slow
@pytest.mark.parametrize("typed", [["seed=1"], ["-m", "seed=1,2"]])
def test_credentials_of_a_database(typed, tmp_path, runner, postgres, store):
    """In the URI of a database, which the next `python -m runner.publish` does without."""
    uri = postgres().replace("secret", SECRET)
    done = runner(tmp_path, *typed, "gradient=by_hand", MLFLOW_TRACKING_URI=uri)
    assert "-m runner.ui" in done.stdout
    assert_nowhere(tmp_path, done.stdout, done.stderr)
    _, runs = store(tmp_path, uri)
    assert len(cells(runs)) == len(typed)
