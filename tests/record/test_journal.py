"""A journal gives back what was written into it, whatever has become of it since."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import JournalError
from runner.record import journal
from runner.record.journal import End, Journal, Reader, Start
from tests.support.rows import row_type
from tests.support.waiting import PATIENCE

CHUNKS, STEPS = 12, 40
TAIL = 4096 + 24 + 100  # bytes: the last page, and of the log its header too


def chunk(number, steps=STEPS):
    """Some rows of a trajectory, of which no two are alike."""
    rows = np.empty(steps, row_type(2, np.float64))
    rows["step"] = np.arange(number * steps, (number + 1) * steps)
    rows["time"] = 1_700_000_000 + rows["step"]
    for name in ("loss", "grad_norm", "parameters"):
        rows[name] = np.random.default_rng(number).normal(size=rows[name].shape)
    return rows


def begin(path, store=""):
    """A journal in which a run has begun; and the run."""
    started = Journal(path)
    return started, started.begin(Start("a run", store, "e", tensors={"w": (2,)}))


def write(path, store="", killed=False):
    """Write a journal with a whole run; with `killed`, as its process would leave it."""
    beside = path.parent / "living"
    written, run = begin(beside / path.name if killed else path, store)
    for number in range(CHUNKS):
        written.record(run, chunk(number))
    written.end(run, End("exhausted", {"final_loss": 1.0}, {"outcome": "exhausted"}))
    if killed:
        for log in ("", "-wal"):
            shutil.copy(f"{written.path}{log}", f"{path}{log}")
    written.close()
    shutil.rmtree(beside, ignore_errors=True)
    return path


def plain(record):
    """A record as something that can be compared."""
    content = record.content
    return record.run, content.tobytes() if isinstance(content, np.ndarray) else repr(content)


def read(reader):
    """What the reader has to give, and the JournalError that ended it, if one did."""
    found, before = [], -1
    try:
        while len(found) > before:
            before = len(found)
            for record in reader.read():
                found.append(plain(record))
    except JournalError as error:
        return found, str(error)
    return found, None


@pytest.fixture(scope="module")
def folder():
    """Give a folder in memory, where there is one: thousands of journals are read in it."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


class Whole:
    """The bytes of journals and their records; hypothesis would print a tuple in full."""

    def __init__(self, files, records):
        self.files, self.records = files, records


@pytest.fixture(scope="module")
def whole(folder):
    """Write a journal that was closed and one whose process was killed; their bytes, the records.

    Of the killed one, everything but the empty table is still in its log.
    """
    closed, killed = write(folder / "closed.db"), write(folder / "killed.db", killed=True)
    files = {
        "closed": closed.read_bytes(),
        "killed": killed.read_bytes(),
        "log": Path(f"{killed}-wal").read_bytes(),
    }
    records = {name: read(Reader(folder / f"{name}.db")) for name in ("closed", "killed")}
    assert {len(found) for found, _ in records.values()} == {CHUNKS + 2}
    assert {error for _, error in records.values()} == {None}
    return Whole(files, {name: found for name, (found, _) in records.items()})


def put(folder, main, log=None):
    """A journal of these bytes."""
    path = folder / "damaged.db"
    for name in ("", "-wal", "-shm"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    path.write_bytes(main)
    if log is not None:
        Path(f"{path}-wal").write_bytes(log)
    return path


# --- Damage ---


def test_cut_anywhere(folder, whole):
    """Every byte of the tail, and some of the rest: the records before the cut, and an error."""
    files, records = whole.files, whole.records
    main, expected = files["closed"], records["closed"]
    lengths = {*range(len(main) - TAIL, len(main)), *range(0, len(main), 101)}
    for length in sorted(lengths):
        found, error = read(Reader(put(folder, main[:length])))
        assert found == expected[: len(found)], length
        assert error is not None, length
        assert "damaged" in error


@pytest.mark.slow
def test_a_log_cut_anywhere(folder, whole):
    """As a kill in the middle of a write leaves it: every record that was whole, and no error."""
    files, records = whole.files, whole.records
    main, log, expected = files["killed"], files["log"], records["killed"]
    counts = []
    for length in sorted({*range(len(log) - TAIL, len(log) + 1), *range(0, len(log), 101)}):
        found, error = read(Reader(put(folder, main, log[:length])))
        assert (found, error) == (expected[: len(found)], None), length
        counts.append(len(found))
    assert counts == sorted(counts)
    assert set(counts) == set(range(CHUNKS + 3))


places = st.one_of(
    st.integers(0, 2**20),
    st.integers(0, 200),  # the headers
    st.integers(4096 - 300, 4096 + 200),  # the table's definition
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    which=st.sampled_from(["closed", "killed", "log"]),
    flips=st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=20),
)
def test_flipped_bytes(folder, whole, which, flips):
    """The records before the damage or all of them; no other error, and nothing altered."""
    files, records = whole.files, whole.records
    damaged = bytearray(files[which])
    for place, change in flips:
        damaged[place % len(damaged)] ^= change
    if which == "closed":
        path = put(folder, bytes(damaged))
    else:
        pair = {"killed": files["killed"], "log": files["log"], which: bytes(damaged)}
        path = put(folder, pair["killed"], pair["log"])
    expected = records["closed" if which == "closed" else "killed"]
    found, _ = read(Reader(path))
    assert found == expected[: len(found)]


def test_a_flip_in_a_record_is_damage(folder, whole):
    """All records before that one are given back, and an error says which is the last."""
    files, records = whole.files, whole.records
    for number in range(CHUNKS):
        place = files["closed"].find(chunk(number).tobytes()[:48])
        assert place > 0
        damaged = bytearray(files["closed"])
        damaged[place + 17] ^= 1
        found, error = read(Reader(put(folder, bytes(damaged))))
        assert found == records["closed"][: number + 1]
        assert f"damaged after record {number + 1}" in error


def publish(folder, environment, *typed):
    """Run `python -m runner.publish`, which never shows a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "runner.publish", *typed],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_what_is_whole_is_published(tmp_path, environment, store):
    """Up to the damage, which is told on stderr and by the status; no run goes on RUNNING."""
    folder = tmp_path / "mlruns" / "journal"
    uri = "sqlite:///mlruns/mlflow.db"
    places = {name: write(folder / f"{name}.db", uri) for name in ("cut", "flipped", "nothing")}
    torn = write(folder / "torn.db", uri, killed=True)
    whole = {name: read(Reader(path))[0] for name, path in places.items()}
    damaged = bytearray(places["flipped"].read_bytes())
    damaged[damaged.find(chunk(7).tobytes()[:48])] ^= 1
    places["flipped"].write_bytes(damaged)
    os.truncate(places["cut"], places["cut"].stat().st_size - 10_000)
    os.truncate(places["nothing"], 5000)
    os.truncate(f"{torn}-wal", Path(f"{torn}-wal").stat().st_size // 2)

    done = publish(tmp_path, environment)
    assert done.returncode == 1
    complaints = [line for line in done.stderr.splitlines() if " INFO mlflow" not in line]
    assert [line.split()[0] for line in complaints] == ["damaged"] * 3
    for name in places:
        assert any(f"{name}.db" in line for line in complaints)
    client, runs = store(tmp_path, experiment="e")
    assert "3 run(s)" in done.stdout
    ended = sorted((run.info.status, run.data.tags["outcome"]) for run in runs)
    assert ended == [("FAILED", "failed"), ("FAILED", "failed"), ("KILLED", "interrupted")]
    of = {run.info.run_id: run for run in runs}
    for name in ("cut", "flipped"):
        run = of[whole[name][0][0]]
        assert "damaged after record" in run.data.tags["reason"]
    history = client.get_metric_history(of[whole["flipped"][0][0]].info.run_id, "loss")
    # The first point has no loss.
    expected = np.concatenate([chunk(number) for number in range(7)])[1:]
    assert [(m.step, m.value) for m in history] == [(r["step"], r["loss"]) for r in expected]
    assert not list(folder.glob("*.db*"))
    assert len(list((folder / "published").glob("*.db"))) == 4

    again = publish(tmp_path, environment)
    assert (again.returncode, again.stderr) == (0, "")
    assert "nothing was left" in again.stdout


@pytest.mark.slow
def test_what_cannot_be_read_now_is_not_damaged(tmp_path, environment, store):
    """It is kept where it is, with the reason, and published once it can be read."""
    path = write(tmp_path / "mlruns" / "journal" / "runs.db", "sqlite:///mlruns/mlflow.db", True)
    in_the_way = Path(f"{path}-shm")  # where SQLite needs a file of its own to read the log
    in_the_way.symlink_to("nowhere")  # which SQLite does not follow
    found, error = read(Reader(path))
    assert found == []
    assert "cannot be read now" in error
    done = publish(tmp_path, environment)
    assert done.returncode == 1
    assert "kept" in done.stderr
    assert "cannot be read now" in done.stderr
    assert path.exists()
    in_the_way.unlink()
    assert "1 run(s)" in publish(tmp_path, environment).stdout
    _, [run] = store(tmp_path, experiment="e")
    assert run.info.status == "FINISHED"


# --- Writer and readers ---

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import begin, chunk
journal, run = begin(Path(sys.argv[1]))
print(run, flush=True)
for number, line in enumerate(sys.stdin):
    journal.record(run, chunk(number))
    print(number, flush=True)
"""


@pytest.fixture
def writer(tmp_path, environment):
    """Start a process that writes a chunk of its run for each line that it gets."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "runs.db", Path(__file__).parent],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.run = process.stdout.readline().strip()
        yield process
        process.kill()


def test_a_reader_follows_a_writer_until_it_is_killed(writer, tmp_path):
    """It sees each record when it is there, once; and whether more may come."""
    path = tmp_path / "runs.db"
    reader = Reader(path)
    [(run, start)], error = read(reader)
    assert (run, error) == (writer.run, None)
    assert start.startswith("Start(")
    for number in range(30):
        writer.stdin.write("go on\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == f"{number}\n"
        assert journal.is_being_written(path)
        assert read(reader) == ([(run, chunk(number).tobytes())], None)
        assert read(reader) == ([], None)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert not journal.is_being_written(path)
    assert read(reader) == ([], None)
    found, error = read(Reader(path))
    assert (len(found), error) == (31, None)


def test_a_reader_beside_a_busy_writer(tmp_path):
    """Reads come at any moment between and during writes; none shows part of a record."""
    path = tmp_path / "runs.db"
    written, run = begin(path)
    reader, found, amounts = Reader(path), [], []

    def write_all():
        for number in range(400):
            while number == 200 and not any(amounts):  # a machine may write all before a read
                time.sleep(0.001)
            written.record(run, chunk(number))

    writing = threading.Thread(target=write_all)
    writing.start()
    over = False
    while not over or amounts[-1]:
        over = not writing.is_alive()  # asked first: what it wrote until then is read now
        more, error = read(reader)
        assert error is None
        found += more
        amounts.append(len(more))
    written.close()
    assert found[1:] == [(run, chunk(number).tobytes()) for number in range(400)]
    assert len([amount for amount in amounts if amount]) > 1


def test_ids_are_in_the_order_of_time(tmp_path):
    """UUIDs of version 7 by Python's own reading of them, each at its millisecond, none twice."""
    written, first = begin(tmp_path / "runs.db")
    before = time.time_ns() // 10**6
    runs = [written.begin(Start("a run", "", "e")) for _ in range(2000)]
    after = time.time_ns() // 10**6
    written.close()
    assert len({first, *runs}) == 2001
    ids = [uuid.UUID(hex=run) for run in runs]
    assert {(found.version, found.variant) for found in ids} == {(7, uuid.RFC_4122)}
    times = [found.int >> 80 for found in ids]
    assert times == sorted(times)
    assert before <= times[0] < times[-1] <= after


def test_asking_does_not_look_like_writing(tmp_path):
    """Of several who ask whether a journal is being written, none takes another for its writer."""
    path = write(tmp_path / "runs.db")
    assert list(tmp_path.glob("*.lock"))  # the lock of its process, which is nobody's now
    answers = []

    def ask():
        for _ in range(200):
            answers.append(journal.is_being_written(path))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert answers == [False] * 400


def test_asking_leaves_nothing_behind(tmp_path):
    """Where there is no lock, none is made."""
    assert not journal.is_being_written(tmp_path / "runs.db")
    assert not list(tmp_path.iterdir())


def test_a_journal_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    """It gets its name when it can be read: a reader or a kill may come while it is made."""
    monkeypatch.setattr(journal.writer, "SCHEMA", "CREATE TABLE half-way")
    with pytest.raises(JournalError, match="cannot be created"):
        Journal(tmp_path / "first.db")
    assert not (tmp_path / "first.db").exists()
    monkeypatch.undo()
    written = Journal(tmp_path / "second.db")
    assert read(Reader(written.path)) == ([], None)
    assert not list(tmp_path.glob("second*.new"))
    written.close()


KILLED_TOO_SOON = """
import os, signal, sys
from pathlib import Path
from runner.record import journal
connect = journal.writer.sqlite3.connect
def with_a_kill(*args, **how):
    database = connect(*args, **how)
    database.execute("CREATE TABLE half_way (a)")
    os.kill(os.getpid(), signal.SIGKILL)
journal.writer.sqlite3.connect = with_a_kill
journal.Journal(Path(sys.argv[1]))
"""


def test_tidy(tmp_path):
    """What a kill leaves of a journal that was not there yet goes; what somebody holds stays."""
    subprocess.run([sys.executable, "-c", KILLED_TOO_SOON, tmp_path / "dead.db"], check=False)
    left = {path.name for path in tmp_path.iterdir()}
    assert {"dead.lock", "dead.new"} <= left
    assert "dead.db" not in left
    whole = write(tmp_path / "whole.db")
    with FileLock(tmp_path / "coming.lock"):
        journal.tidy(tmp_path)
        there = {path.name for path in tmp_path.iterdir()}
    assert there == {"coming.lock", "whole.db", "whole.lock"}
    assert read(Reader(whole))[1] is None


def test_publishing_tidies(tmp_path, environment):
    """Also where there is nothing to publish."""
    folder = tmp_path / "mlruns" / "journal"
    folder.mkdir(parents=True)
    for name in ("dead.lock", "dead.new"):
        (folder / name).touch()
    command = [sys.executable, "-m", "runner.publish"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert not list(folder.iterdir())


def test_a_ctrl_c_at_any_moment_loses_and_repeats_nothing(tmp_path):
    """The writer of an interrupted record tries it again, whether or not it was written."""
    written, run = begin(tmp_path / "runs.db")
    rng, interrupted = np.random.default_rng(0), 0

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(300):
            rows = chunk(number, 4000)
            while True:
                try:
                    try:
                        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 2e-3))
                        written.record(run, rows)
                    finally:
                        signal.setitimer(signal.ITIMER_REAL, 0)
                    break
                except KeyboardInterrupt:
                    interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 20
    written.close()
    found, error = read(Reader(tmp_path / "runs.db"))
    assert error is None
    assert found[1:] == [(run, chunk(number, 4000).tobytes()) for number in range(300)]


@pytest.mark.parametrize("killed", [True, False])
def test_put_away(killed, tmp_path):
    """As one file that reads as before, or not at all; nothing stays behind."""
    path = write(tmp_path / "runs.db", killed=killed)
    journal.put_away(path, keep=True)
    assert [file.name for file in tmp_path.rglob("*")] == ["published", "runs.db"]
    found, error = read(Reader(tmp_path / "published" / "runs.db"))
    assert (len(found), error) == (CHUNKS + 2, None)
    journal.put_away(tmp_path / "published" / "runs.db", keep=False)
    assert [file.name for file in tmp_path.rglob("*")] == ["published"]


def test_put_away_while_somebody_reads(tmp_path, monkeypatch):
    """It waits for a while, and then leaves the journal as it is: moved, it would be torn."""
    path = write(tmp_path / "runs.db", killed=True)
    reading = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with closing(reading) as other:
        other.execute("BEGIN")
        assert len(other.execute("SELECT id FROM record").fetchall()) == CHUNKS + 2
        monkeypatch.setattr(journal.files, "PATIENCE_SECONDS", 0.1)
        journal.put_away(path, keep=True)
        assert path.exists()
        assert len(list(journal.ends(path))) == 1
        monkeypatch.undo()
        threading.Timer(0.3, other.close).start()
        journal.put_away(path, keep=True)
    assert [file.name for file in tmp_path.rglob("*")] == ["published", "runs.db"]
    found, error = read(Reader(path))  # as it was known before
    assert (len(found), error) == (CHUNKS + 2, None)


def test_a_journal_that_moves_is_never_missed(tmp_path, monkeypatch):
    """However journals are put away while somebody looks, each is found and read, once."""
    monkeypatch.chdir(tmp_path)
    journal.FOLDER.mkdir(parents=True)
    first = write(journal.FOLDER / "0.db")
    copies = [shutil.copy(first, first.with_name(f"{number}.db")) for number in range(1, 100)]
    moving = threading.Thread(
        target=lambda: [journal.put_away(path, keep=True) for path in [first, *copies]]
    )
    moving.start()
    looks = 0
    while moving.is_alive():
        found = journal.paths()
        assert sorted(path.name for path in found) == sorted(f"{n}.db" for n in range(100))
        assert [len(list(journal.ends(path))) for path in found] == [1] * 100
        looks += 1
    moving.join()
    assert looks
    assert {path.parent.name for path in journal.paths()} == {"published"}


def test_a_journal_that_is_deleted_has_no_ends(tmp_path):
    """One that cannot be read although it is there is an error: it may have some."""
    path = write(tmp_path / "runs.db")
    assert len(list(journal.ends(path))) == 1
    path.unlink()
    assert list(journal.ends(path)) == []
    path.mkdir()
    with pytest.raises(journal.JournalUnavailable, match="cannot be read now"):
        list(journal.ends(path))


# --- No room ---

ENDLESS = ["gradient=by_hand", "tolerance=0", "epochs=1000000000", "print_every=0", "lr=1e-7"]
ENDLESS += ["tracking.points=null"]  # all of it is published


def run_endless(folder, environment, **more):
    """A run that goes on until there is no room: one clear error, and what was recorded is kept."""
    done = subprocess.run(
        [sys.executable, "-m", "runner", *ENDLESS],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        **more,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("the journal cannot be written") == 1
    assert done.stderr.count("What was recorded before is kept") == 1
    [path] = (folder / "mlruns" / "journal").glob("*.db")
    assert not journal.is_being_written(path)
    return path


def assert_publishable(path, folder, environment, store):
    """All that the journal has comes into a store that no fault has broken; how the run ended."""
    chunks = [r.content for r in Reader(path).read() if isinstance(r.content, np.ndarray)]
    rows = np.concatenate(chunks)
    assert len(rows) > 1000
    done = publish(folder, environment)
    assert done.returncode == 0, done.stderr
    client, [run] = store(folder)
    points = client.get_metric_history(run.info.run_id, "w")
    assert [m.step for m in points] == rows["step"].tolist()
    assert [m.value for m in points] == rows["parameters"][:, 0].tolist()
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return run.info.status, run.data.tags["reason"]


@pytest.mark.slow
def test_no_room_by_a_limit(tmp_path, environment, store):
    """A file may not grow any more: neither the journal nor, while the run goes on, the store."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    path = run_endless(tmp_path, environment, preexec_fn=limit)
    status, reason = assert_publishable(path, tmp_path, environment, store)
    assert status == "FAILED"
    assert "the journal cannot be written" in reason


FULL = """
import resource
from pathlib import Path
from runner.record.journal import End, File, Journal, JournalError, Start
journal = Journal(Path("journal.db"))
run = journal.begin(Start("full", "", ""))
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
for size in (100_000, 10_000, 1):
    try:
        for number in range(1_000_000):
            journal.attach(run, File(f"filler {number}", bytes(size)))
    except JournalError:
        pass
journal.end(run, End("failed", reason="x" * 3000))
journal.close()
"""


def test_an_end_fits_where_nothing_else_does(tmp_path, environment):
    """Not a byte more goes into the log: then that goes into the database, and begins anew."""
    command = [sys.executable, "-c", FULL]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [summary] = journal.summaries(tmp_path / "journal.db").values()
    assert summary.end.outcome == "failed"


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of a few MiB; give its folder and a way to enlarge it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        done = subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], check=False)
        return done.returncode == 0

    if not shutil.which("mount") or os.geteuid() != 0 or not mount("-o", "size=6m"):
        pytest.skip("needs to mount a file system: run it as root")
    yield folder, lambda: mount("-o", "remount,size=200m")
    subprocess.run(["umount", "--lazy", folder], check=True)  # our own clients are in it


@pytest.mark.slow
def test_no_room_on_the_disk(small_disk, environment, store):
    """The whole disk is full: nothing is lost that was recorded, and no command breaks."""
    folder, enlarge = small_disk
    path = run_endless(folder, environment)
    room = shutil.disk_usage(folder).free  # what the run has given back at its end
    (folder / "filler").write_bytes(bytes(room))
    done = subprocess.run(
        [sys.executable, "-m", "runner", "gradient=by_hand"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the journal cannot be created" in done.stderr
    kept = publish(folder, environment)
    assert kept.returncode == 1
    assert kept.stderr.startswith("kept")
    assert path.exists()
    assert enlarge()
    status, _ = assert_publishable(path, folder, environment, store)
    assert status in ("FAILED", "KILLED")  # the second where not even the reason had room
