"""A publisher that cannot do its work says so and ends, and what was recorded is kept.

Real processes, and stores that refuse, hang or vanish.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from runner.record import journal
from runner.tracking.waiting import locked
from tests.support.waiting import PATIENCE, wait_for
from tests.tracking.test_crash import is_there, printed, publisher_of, start

SHORT = ["gradient=by_hand", "epochs=3"]
ENDLESS = ["gradient=by_hand", "dataset=noisy_line", "dataset.samples=200000", "tolerance=0"]
ENDLESS += ["lr=1e-4", "print_every=0", "epochs=1000000000", "record.most_bytes=8000000000"]


def journals(folder):
    """The journals that wait to be published."""
    return list((folder / "mlruns" / "journal").glob("*.db"))


def runs_in(folder):
    """The status of each run in the folder's store."""
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as database:
        return database.execute("SELECT status FROM runs").fetchall()


def run_once(folder, environment, *typed):
    """Run a command until its publisher has ended too; what it printed."""
    process = start(folder, environment, "runner", *SHORT, *typed)
    publisher = wait_for(lambda: publisher_of(process))
    assert process.wait(PATIENCE) == 0, printed(process)
    wait_for(lambda: not is_there(publisher))
    assert "Traceback" not in printed(process)
    return printed(process)


@pytest.fixture
def read_only(tmp_path):
    """A folder in which nothing can be created, whoever asks."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to mount a file system: run it as root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def linked_to_itself(folder):
    (folder / "loop.db").symlink_to(folder / "loop.db")
    return f"sqlite:///{folder}/loop.db"


UNOPENABLE = {
    "no folder for files": lambda folder, request: "sqlite:////proc/x.db",
    "no room": lambda folder, request: "sqlite:////dev/full",
    "read-only": lambda f, request: f"sqlite:///{request.getfixturevalue('read_only')}/x.db",
    "a link to itself": lambda folder, request: linked_to_itself(folder),
    "a folder instead": lambda folder, request: f"sqlite:///{folder}/x.db",
}


@pytest.mark.slow
@pytest.mark.parametrize("which", UNOPENABLE)
def test_a_store_that_cannot_be_opened(which, request, tmp_path, environment, store):
    """It says so, ends, keeps the journal, and stops no later run of the same folder."""
    uri = UNOPENABLE[which](tmp_path, request)
    if not os.path.exists("/proc/self"):
        pytest.skip("needs Linux")
    if which == "a folder instead":  # since the address was looked at
        (tmp_path / "x.db.new").mkdir()
    said = run_once(tmp_path, environment, f"tracking.uri={uri}")
    assert "kept        mlruns/journal: " in said
    assert len(journals(tmp_path)) == 1
    said = run_once(tmp_path, environment)
    assert "see it" in said
    _, [run] = store(tmp_path)
    assert run.info.status == "FINISHED"
    assert len(journals(tmp_path)) == 1  # that for the other store


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["database", "store.opening", "x.db.new.lock"])
def test_what_another_process_locks_for_long(lock, tmp_path, environment, empty_store):
    """It is waited for, but not for ever; the run is kept, and published once it is free."""
    uri = f"sqlite:///{tmp_path}/x.db"
    (tmp_path / "mlruns" / "journal").mkdir(parents=True)
    if lock == "database":
        os.rename(empty_store(tmp_path).removeprefix("sqlite:///"), tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db" if lock == "database" else ":memory:")) as held:
        held.execute("BEGIN EXCLUSIVE")
        place = tmp_path / "mlruns" / "journal" / lock if lock[0] == "s" else tmp_path / lock
        with locked(place, "in the way"):
            said = run_once(tmp_path, environment, f"tracking.uri={uri}")
    assert "kept        mlruns/journal: " in said
    assert ("locked" if lock == "database" else "another process has been") in said
    assert len(journals(tmp_path)) == 1
    said = run_once(tmp_path, environment, f"tracking.uri={uri}")
    assert "see it" in said
    assert journals(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg2"])
def test_a_server_that_never_answers(scheme, tmp_path, environment):
    """It takes a connection, and that is all."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        uri = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}" + "/x" * (scheme != "http")
        said = run_once(tmp_path, environment, f"tracking.uri={uri}")
    assert "kept        mlruns/journal: " in said
    assert len(journals(tmp_path)) == 1


@pytest.mark.slow
def test_a_table_that_another_connection_locks(tmp_path, environment, postgres):
    """PostgreSQL itself would wait for ever."""
    import psycopg2

    own = {**environment, "MLFLOW_TRACKING_URI": postgres()}
    said = run_once(tmp_path, own)  # creates the tables
    assert "see it" in said
    plain = own["MLFLOW_TRACKING_URI"].replace("+psycopg2", "")
    with closing(psycopg2.connect(plain)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE metrics IN ACCESS EXCLUSIVE MODE")
        said = run_once(tmp_path, own)
    assert "kept        mlruns/journal: " in said
    assert len(journals(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "renamed", "its journal alone"])
def test_a_folder_that_is_gone(how, tmp_path, environment):
    """The publisher ends although its run goes on, and puts nothing back in its place."""
    folder = tmp_path / "project"
    folder.mkdir()
    process = start(folder, environment, "runner", *ENDLESS)
    try:
        publisher = wait_for(lambda: publisher_of(process), process)
        wait_for(lambda: (folder / "mlruns" / "mlflow.db").exists(), process)
        if how == "deleted":
            shutil.rmtree(folder)
        elif how == "renamed":
            folder.rename(tmp_path / "elsewhere")
        else:
            [path] = journals(folder)
            path.unlink()
        wait_for(lambda: not is_there(publisher), process)
        assert process.poll() is None
        assert folder.exists() == (how == "its journal alone")
    finally:
        process.kill()
        process.wait()


LEADER = """
import os, signal, sys, time
from runner.tracking import process
ahead = process.start_ahead([])
if sys.argv[1] != "without orders":
    from runner.record import journal
    from runner.record.journal import Journal, Start
    from runner.tracking.session import Settings
    uri = "sqlite:///mlruns/mlflow.db"
    settings = Settings(uri, "x", True, True, True, None, False, False, False)
    process.start({**settings.orders(), "name": "mine", "runs": 1}, ahead)
    start = Start("first", uri, "x")
    Journal(journal.folder() / "mine.db").begin(start)
if os.fork() == 0:  # it has the publisher's pipe as well
    if sys.argv[1] == "still writing":
        own = Journal(journal.folder() / "mine-1.db")
        own.begin(start)
        open("writes", "w").close()
    time.sleep(1000)
while sys.argv[1] == "still writing" and not os.path.exists("writes"):
    time.sleep(0.01)
with open("publisher", "w") as file:
    file.write(str(ahead.pid))
"""


@pytest.mark.slow
@pytest.mark.parametrize("orders", ["without orders", "with orders", "still writing"])
def test_a_leading_process_that_is_killed(orders, tmp_path, environment, empty_store):
    """The publisher ends, although a process that the dead one forked holds its pipe open.

    It publishes what it can, and leaves the journal that the other process has not closed.
    """
    empty_store(tmp_path / "mlruns")
    script = LEADER + "os.kill(os.getpid(), signal.SIGKILL)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script, orders],
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    )
    assert process.wait(PATIENCE) == -signal.SIGKILL
    try:
        publisher = int((tmp_path / "publisher").read_text())
        wait_for(lambda: not is_there(publisher))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    left = {"mine", "mine-1"} if orders == "still writing" else set()
    assert {path.stem for path in journals(tmp_path)} == left
    assert (
        len(runs_in(tmp_path))
        == {"without orders": 0, "with orders": 1, "still writing": 2}[orders]
    )


def test_a_lock_in_a_folder_that_is_gone_is_refused(tmp_path):
    """At once, and the folder does not come back."""
    with pytest.raises(FileNotFoundError), locked(tmp_path / "gone" / "lock", "opening"):
        raise AssertionError("it is held")
    assert not (tmp_path / "gone").exists()
    assert journal.paths("x") == []
