"""Many files are written by a process beside, and come into being whichever way that goes."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from runner.tracking.files import MANY, Files
from tests.support.waiting import wait_for
from tests.tracking.test_crash import is_there


def many(folder, write=Path.touch):
    """More files than are written without the process."""
    return [(folder / str(number) / "artifacts" / "f.txt", write) for number in range(MANY)]


def text(content, path):
    """Write the content, as a run's files are written."""
    path.write_text(content)


def of_nobody(path):
    """Write nothing, and say so in a way that no process can hand on."""
    raise RuntimeError(lambda: path)


@pytest.fixture
def files(monkeypatch):
    """The process will find what these tests have it call."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    made = Files()
    yield made
    made.stop()


def test_many_files_come_from_the_process(files, tmp_path):
    """All of them, whole, and a second time over what is there."""
    for content in ("one", "two"):
        files.write(many(tmp_path, partial(text, content)))
        assert [path.read_text() for path, _ in many(tmp_path)] == [content] * MANY
        assert sum(path.is_file() for path in tmp_path.rglob("*")) == MANY
    assert files._process
    assert files._process.poll() is None


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_a_process_that_is_killed_is_done_without(when, files, tmp_path):
    """What it has not written is written here."""
    files.write(many(tmp_path / "first"))
    process = files._process
    if when == "before":
        process.kill()
        process.wait()
    files.write(many(tmp_path, partial(killing, process.pid)))
    assert all(path.exists() for path, _ in many(tmp_path))
    assert process.returncode == -signal.SIGKILL


def killing(pid, path):
    """Write a file; the process of that number gets no further."""
    if os.getpid() == pid:
        os.kill(pid, signal.SIGKILL)
    path.touch()


def test_what_goes_wrong_is_raised(files, tmp_path):
    """An error of the system as it is; any other by who has asked for it."""
    (tmp_path / "7").touch()  # where a folder belongs
    with pytest.raises(OSError, match="artifacts"):
        files.write(many(tmp_path))
    with pytest.raises(RuntimeError):
        files.write(many(tmp_path / "other", of_nobody))


def test_two_threads_share_the_files(files, tmp_path):
    """Each is written once, by the process or here."""
    files.start()
    files.put(many(tmp_path, partial(text, "x")) * 5)
    with ThreadPoolExecutor(1) as beside:
        other = beside.submit(files.write_beside)
        files.write_here()
        other.result()
    assert all(path.read_text() == "x" for path, _ in many(tmp_path))


HELD = """
import sys, time
from pathlib import Path
from tests.tracking.test_files import many
from runner.tracking.files import Files
files = Files()
files.write(many(Path(sys.argv[1])))
print(files._process.pid, flush=True)
time.sleep(60)
"""


def test_it_does_not_outlive_the_publisher(tmp_path):
    """Whichever way that dies."""
    command = [sys.executable, "-c", HELD, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
        pid = int(publisher.stdout.readline())
        assert is_there(pid, "runner.tracking.files")
        publisher.kill()
    wait_for(lambda: not is_there(pid, "runner.tracking.files"))
