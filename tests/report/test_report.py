"""Reports: a sweep's page, a run's pictures, and the command that compares runs afterwards."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter

import matplotlib.image
import numpy as np
import pytest

from runner.config.schema import plain
from runner.config.spec import typed as spec_of
from runner.engine import stack
from runner.objective import closed_form
from runner.report.problem import edge, problem
from tests.conftest import ROOT
from tests.support.waiting import PATIENCE, wait_for
from tests.tracking.test_crash import publish

PICTURES = "report.pictures=null"
DRAWING = ("report.page=true", PICTURES)  # what is so outside of the tests


@pytest.fixture(scope="module")
def report(environment):
    """Run `python -m runner.report` in a folder; return the process, its exit status checked."""

    def run(folder, *typed, status=0, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "runner.report", *typed],
            cwd=folder,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def artifact(client, run, name, folder):
    """The path of a run's artifact, waited for: it may be drawn when the command has returned."""
    run_id = run.info.run_id
    wait_for(lambda: [f for f in client.list_artifacts(run_id) if f.path == name])
    return client.download_artifacts(run_id, name, str(folder))


def table_of(page):
    """The table of a page: a dictionary for each row, with the values in full precision."""
    table = data_of(page)["table"]
    keys = [column["key"] for column in table["columns"]]
    return [dict(zip(keys, table["cells"][index], strict=True)) for index in table["order"]]


def settings_of(page):
    """The same of the rows of its settings."""
    table = data_of(page)["table"]
    keys = [column["key"] for column in table["columns"]]
    return [dict(zip(keys, row, strict=True)) for row in table["settings"]]


def data_of(page):
    """What the page's scripts know."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]
    return json.loads(text)


def section_of(page, name):
    """The words and the rows of the table in one section of a page; None if there is none."""
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.S)
    if found is None:
        return None
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.S)
    words = " ".join(re.findall(r"<p>(.*?)</p>", found[1], re.S))
    return words, [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]


def rows_of(path):
    """The rows of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- A sweep with its page ---


@pytest.fixture(scope="module")
def swept(tmp_path_factory, runner, store):
    """A sweep of six cells, of which one diverges: folder, what was printed, client, parent."""
    folder = tmp_path_factory.mktemp("swept")
    typed = ["-m", "gradient=by_hand", "optimizer=sgd,adam", "lr=0.01,0.1,1"]
    printed = runner(folder, *typed, "report.page=true").stdout
    client, runs = store(folder)
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return folder, printed, client, parent, [run for run in runs if run is not parent]


@pytest.fixture(scope="module")
def page(swept, tmp_path_factory):
    """The page of that sweep, as it is in MLflow."""
    _, _, client, parent, _ = swept
    path = artifact(client, parent, "report.html", tmp_path_factory.mktemp("page"))
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_a_sweeps_page_is_on_its_run_and_in_mlruns(swept, page):
    """The same file; the closing lines and the parent's note say where."""
    folder, printed, _, parent, _ = swept
    [line] = [line for line in printed.splitlines() if line.startswith("report ")]
    path = f"mlruns/report/{parent.info.run_id}.html"
    assert line == f"report      {path}, in a moment"
    assert (folder / path).read_text(encoding="utf-8") == page
    assert "report.html" in parent.data.tags["mlflow.note.content"]


def test_a_page_needs_nothing_else(page):
    """No script, style or picture from elsewhere, and no more of Bokeh than it uses."""
    ours = re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!data:)', ours)
    assert not re.findall(r"<script[^>]+src=", page)
    assert len(page) < 2_000_000


def test_numbers_on_the_page_are_mlflows(swept, page):
    """Cell by cell, to the last digit; and the table of cells says the same."""
    _, _, client, parent, children = swept
    rows = table_of(page)
    assert {row["id"] for row in rows} == {child.info.run_id for child in children}
    assert [row["rank"] for row in rows] == list(range(1, 7))
    for child in children:
        [row] = [row for row in rows if row["id"] == child.info.run_id]
        metrics, params = child.data.metrics, child.data.params
        assert row["name"] == child.info.run_name
        assert row["outcome"] == child.data.tags["outcome"]
        assert row["epochs"] == metrics["epochs_run"]
        for name in ("final_loss", "best_loss", "seconds"):
            assert row[name] == metrics[name]
        assert row["swept optimizer"] == params["optimizer"]
        assert row["swept lr"] == float(params["lr"])
        points = client.get_metric_history(child.info.run_id, "loss")
        below = [point.step for point in points if point.value < float(params["tolerance"])]
        assert row["reached"] == (min(below) if below else None)
        assert row["distance"] == pytest.approx(abs(metrics["w"] - 2), rel=1e-12)
    best = min(children, key=lambda c: (c.data.metrics["final_loss"], c.data.metrics["epochs_run"]))
    assert rows[0]["id"] == best.info.run_id == parent.data.tags["best_run"]
    assert rows[-1]["outcome"] == "diverged"


def test_the_page_tells_the_sweep(swept, page):
    """What was swept, the command, counts by outcome, and the stability edge from the data."""
    _, _, _, parent, children = swept
    assert parent.data.tags["command"] in page
    for outcome, count in Counter(child.data.tags["outcome"] for child in children).items():
        assert f"{count} {outcome}" in page
    words, _ = section_of(page, "breaks")
    x = np.array([1.0, 2, 3, 4])
    assert f"It is at {2 / (2 * np.mean(x * x)):.6g};" in words  # the Hessian of mean((w x - y)^2)
    assert "cross at the top edge" in words
    words, _ = section_of(page, "paths")
    assert "w = 2, loss" in words
    assert section_of(page, "unfinished") is None
    assert section_of(page, "loops") is None


@pytest.fixture(scope="module")
def from_journals(swept, page, report):
    """The table of `python -m runner.report latest`, and the journals' rows as CSV."""
    folder = swept[0]
    done = report(folder, "latest", "--csv", "journals.csv", "--html", "again.html")
    return done.stdout, rows_of(folder / "journals.csv")


def test_the_command_tells_the_same_from_journals(swept, page, from_journals):
    """Its page has the numbers of the one in MLflow, the CSV in full precision."""
    folder = swept[0]
    printed, rows = from_journals
    again = table_of((folder / "again.html").read_text(encoding="utf-8"))
    assert again == table_of(page)
    assert [row["run"] for row in rows] == [row["id"] for row in again]
    for row, there in zip(rows, again, strict=True):
        for name in ("final_loss", "best_loss", "distance", "seconds"):
            assert float(row[name]) == there[name]
        assert row["reached"] == ("" if there["reached"] is None else str(there["reached"]))
    lines = printed.splitlines()
    assert lines[0].split() == [
        "run",
        "outcome",
        "epochs",
        "final",
        "best",
        "to",
        "tol",
        "off",
        "sec",
    ]
    assert lines[1].startswith("sgd lr=0.1  ")
    assert lines[-1] == "report      again.html"
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.slow
def test_and_from_mlflow_alone(swept, from_journals, report, tmp_path):
    """With the journals deleted; every figure the same."""
    folder, _, _, parent, _ = swept
    shutil.copytree(folder / "mlruns", tmp_path / "mlruns")
    shutil.rmtree(tmp_path / "mlruns" / "journal")
    done = report(tmp_path, parent.info.run_id[:12], "--csv", "mlflow.csv")
    assert rows_of(tmp_path / "mlflow.csv") == from_journals[1]
    assert done.stdout.splitlines()[:-2] == from_journals[0].splitlines()[:-2]


@pytest.mark.slow
def test_and_from_a_server(swept, from_journals, report, server, environment, tmp_path):
    """Over HTTP, where runs have ids of the server's own."""
    journals = tmp_path / "mlruns" / "journal"
    shutil.copytree(swept[0] / "mlruns" / "journal" / "published", journals)
    publish(tmp_path, environment, "--uri", server.uri)
    report(tmp_path, swept[3].info.run_id, "--uri", server.uri, "--csv", "server.csv")
    there, here = rows_of(tmp_path / "server.csv"), from_journals[1]
    assert [{**row, "run": ""} for row in there] == [{**row, "run": ""} for row in here]


@pytest.mark.slow
def test_a_page_and_pictures_reach_a_server(runner, server, store, tmp_path):
    """Added over HTTP to runs that have ended."""
    uri = [f"tracking.uri={server.uri}", "tracking.experiment=drawn"]
    runner(tmp_path, "-m", "gradient=by_hand", "lr=0.1,0.2", "tracking=server", *uri, *DRAWING)
    client, runs = store(tmp_path, server.uri, "drawn")
    for run in runs:
        name = "landscape.png" if "mlflow.parentRunId" in run.data.tags else "report.html"
        artifact(client, run, name, tmp_path)


def test_a_tolerance_of_ones_own(swept, from_journals, report):
    """`--to`: the first epoch whose loss is below; several runs by their names."""
    folder, _, client, _, _ = swept
    names = ["adam lr=0.1", "adam lr=1"]
    done = report(folder, *names, "--to", "1e-2", "--csv", "two.csv", "--html", "two.html")
    assert "<0.01" in done.stdout.splitlines()[0]
    rows = rows_of(folder / "two.csv")
    assert sorted(row["name"] for row in rows) == names
    for row in rows:
        points = client.get_metric_history(row["run"], "loss")
        assert int(row["reached"]) == min(p.step for p in points if p.value < 1e-2)


@pytest.mark.slow
def test_what_is_not_there_is_one_message(swept, from_journals, report):
    """With the nearest names; status 1, and 2 where the command itself is wrong."""
    done = report(swept[0], "adam lr=0.2", status=1)
    assert done.stderr.startswith("adam lr=0.2: no such run, by id or by name")
    assert "  adam lr=0.1" in done.stderr.splitlines()
    report(swept[0], status=2)


# --- What else a page tells ---


@pytest.fixture(scope="module")
def seeds(tmp_path_factory, runner, report):
    """A sweep over seeds that draw the data, without any tracking: folder, page, what was told."""
    folder = tmp_path_factory.mktemp("seeds")
    parts = ["gradient=by_hand", "dataset=noisy_line", "model=linear", "epochs=60"]
    runner(folder, "-m", *parts, "lr=0.1,0.3,3", "seed=range(10)", "tracking=off")
    done = report(folder, "latest", "--html", "page.html", "--csv", "page.csv")
    return folder, (folder / "page.html").read_text(encoding="utf-8"), done.stdout


def test_a_line_a_setting(seeds):
    """Medians over the seeds by NumPy; on the page, in the table printed, and what diverged."""
    folder, page, printed = seeds
    cells = rows_of(folder / "page.csv")
    rows = settings_of(page)
    assert [row["swept lr"] for row in rows] == [0.3, 0.1, 3]
    for row, line in zip(rows, printed.splitlines()[1:], strict=False):
        own = [cell for cell in cells if float(cell["lr"]) == row["swept lr"]]
        diverged = sum(cell["outcome"] == "diverged" for cell in own)
        assert (row["count"], row["diverged"]) == (10, diverged)
        excess = [
            np.inf if cell["outcome"] == "diverged" else float(cell["excess"]) for cell in own
        ]
        assert float(row["excess"]) == pytest.approx(np.median(excess), rel=1e-12)
        ranked = sorted(excess)
        assert (float(row["low"]), float(row["high"])) == (ranked[2], ranked[7])
        name, count, off, *figures = line.split()
        assert (name, count, off) == (f"lr={row['swept lr']:g}", "10", str(diverged))
        assert [float(one) for one in figures] == [
            pytest.approx(float(row[key]), rel=1e-3) for key in ("excess", "low", "high")
        ]
    words, _ = section_of(page, "paths")
    assert "the landscape is that of the best cell" in words
    assert "median excess loss" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


def test_the_beginning_of_several_ids_is_refused(seeds, report):
    """Among more ids than digits, two begin with the same."""
    ids = [row["run"] for row in rows_of(seeds[0] / "page.csv")]
    [(first, count), *_] = Counter(run[0] for run in ids).most_common(1)
    assert count > 1
    done = report(seeds[0], first, status=1)
    assert re.match(rf"{first}: is the beginning of \d+ ids:\n  {first}", done.stderr)
    report(seeds[0], ids[0][:16], "--html", "one.html")


@pytest.mark.slow
def test_all_loops_make_the_same_steps(tmp_path, runner, report):
    """`grid=loops`: how far they differ is rounding, and the page says so."""
    done = runner(tmp_path, "grid=loops", "lr=0.05", "epochs=50", "dtype=float64", "tracking=off")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    report(tmp_path, "latest", "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    _, (_, *body) = section_of(page, "loops")
    loops = ["numpy and autograd", "autograd and optimizer", "optimizer and module"]
    assert [row[0] for row in body] == loops
    assert all(float(row[4]) < 1e-14 for row in body)
    assert {row["epochs"] for row in table_of(page)} == {10}


@pytest.mark.slow
def test_what_failed_or_never_ran_is_told(own, runner, report):
    """With the reason; the others are compared all the same."""
    typed = ["--config-dir", "mine", "-m", "model=fragile", "epochs=3", "model.fails=0,1,2"]
    how = ["sweep.on_error=stop", "sweep.workers=1", "tracking=off"]  # one after another
    path = f"{ROOT}{os.pathsep}{own}"
    runner(own, *typed, *how, status=1, PYTHONPATH=path)
    report(own, "latest", "--html", "page.html")
    page = (own / "page.html").read_text(encoding="utf-8")
    _, (_, *body) = section_of(page, "unfinished")
    assert body[0] == ["fails=1", "failed", "RuntimeError: it broke on purpose"]
    assert body[1][:2] == ["fails=2", "not run"]
    assert data_of(page)["problems"] == 1
    assert [row["outcome"] for row in table_of(page)] == ["exhausted", "failed", "not run"]
    assert "the lowest point of this picture" in section_of(page, "paths")[0]


def test_a_resumed_sweep_has_all_its_cells(tmp_path, runner, report):
    """Those that an earlier one had done as well, with their curves."""
    typed = ["-m", "gradient=by_hand", "tracking=off"]
    runner(tmp_path, *typed, "lr=0.01,0.1")
    runner(tmp_path, *typed, "lr=0.01,0.1,0.2", "sweep.resume=true")
    report(tmp_path, "latest", "--html", "page.html")
    rows = table_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert sorted(row["swept lr"] for row in rows) == [0.01, 0.1, 0.2]
    assert all(row["distance"] is not None for row in rows)  # from its trajectory


@pytest.mark.slow
def test_a_page_follows_what_goes_on(tmp_path, environment):
    """`--follow`: there while the sweep runs, read again by itself; and once more at its end."""
    words = ["-m", "dataset=digits", "model=mlp", "loss=cross_entropy", "batch_size=64"]
    words += ["epochs=1000000", "lr=0.01,0.1", "seed=0,1", "sweep.stack=false", "tracking=off"]
    how = {"cwd": tmp_path, "env": environment, "stdout": subprocess.PIPE, "text": True}
    sweep = subprocess.Popen([sys.executable, "-m", "runner", *words], **how)
    wait_for(lambda: list(tmp_path.glob("mlruns/journal/*.db")))
    wait_for(lambda: report_of(tmp_path, environment).returncode == 0)
    command = [sys.executable, "-m", "runner.report", "latest", "--follow", "--html", "page.html"]
    follower = subprocess.Popen(command, **how)
    path = tmp_path / "page.html"
    wait_for(path.exists)
    assert data_of(path.read_text(encoding="utf-8"))["refresh"] == 3
    sweep.send_signal(signal.SIGINT)
    sweep.communicate(timeout=PATIENCE)
    told, _ = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 0
    assert told.startswith("following")
    data = data_of(path.read_text(encoding="utf-8"))
    assert data["refresh"] is None
    assert sorted(data["cells"]["outcome"]) == ["interrupted", *["not run"] * 3]


def report_of(folder, environment):
    """The table of the latest, once there is one."""
    command = [sys.executable, "-m", "runner.report", "latest", "--html", "first.html"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)


# --- Pictures ---


@pytest.mark.parametrize("lr", ["0.1", pytest.param("1", marks=pytest.mark.slow)])
def test_a_run_has_a_picture(lr, tmp_path, runner, store):
    """A PNG of a sensible size, with something on it, also of a run that has diverged."""
    runner(tmp_path, "gradient=by_hand", f"lr={lr}", PICTURES)
    client, [run] = store(tmp_path)
    picture = matplotlib.image.imread(artifact(client, run, "landscape.png", tmp_path))
    height, width, _ = picture.shape
    assert (width, height) == (770, 495)
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50
    assert not (tmp_path / "mlruns" / "publish.log").exists()
    wait_for(lambda: not os.listdir(tmp_path / "mlruns" / "report"))


def test_what_goes_wrong_in_drawing_harms_nothing(tmp_path, runner, store):
    """It is logged; the run is published all the same."""
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "report").write_text("no folder")
    done = runner(tmp_path, "gradient=by_hand", "epochs=3", PICTURES)
    assert "see it" in done.stdout
    log = tmp_path / "mlruns" / "publish.log"
    wait_for(log.exists)
    wait_for(lambda: "not all is drawn" in log.read_text())
    _, [run] = store(tmp_path)
    assert run.info.status == "FINISHED"


@pytest.mark.slow
def test_without_journals_the_store_is_drawn_from(tmp_path, runner, store):
    """`tracking.keep_journal=false`."""
    typed = ["-m", "gradient=by_hand", "lr=0.1,0.2", "tracking.keep_journal=false"]
    runner(tmp_path, *typed, *DRAWING)
    client, runs = store(tmp_path)
    for run in runs:
        name = "landscape.png" if "mlflow.parentRunId" in run.data.tags else "report.html"
        artifact(client, run, name, tmp_path)


@pytest.mark.slow
def test_without_the_server_the_page_is_in_mlruns(tmp_path, runner, closed_port):
    """As the closing lines say, though nothing could be published."""
    uri = f"tracking.uri=http://127.0.0.1:{closed_port()}"
    typed = ["-m", "gradient=by_hand", "lr=0.1,0.2", "tracking=server", uri]
    printed = runner(tmp_path, *typed, *DRAWING).stdout
    [path] = re.findall("^report +(.*), in a moment$", printed, re.M)
    assert "kept" in printed
    wait_for((tmp_path / path).exists)
    assert len(table_of((tmp_path / path).read_text(encoding="utf-8"))) == 2


# --- Closed forms ---


@pytest.mark.parametrize("dataset", ["line", "noisy_line", "plane", "diabetes"])
def test_closed_forms_are_numpys(dataset, compose_config):
    """The optimum by the normal equations, the largest eigenvalue by a singular value."""
    from runner.engine.draws import Draws
    from runner.engine.parts import model_by_hand

    values = plain(compose_config([f"dataset={dataset}", "model=linear", "dtype=float64"]))
    data = Draws().dataset(spec_of(values))
    x = model_by_hand(values["model"], data).design(data.x)
    expected = np.linalg.solve(x.T @ x, x.T @ data.y)
    assert closed_form.optimum(x, data.y) == pytest.approx(expected, rel=1e-9)
    largest = 2 / len(x) * np.linalg.norm(x, 2) ** 2
    assert closed_form.curvature(x) == pytest.approx(largest, rel=1e-12)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "optimizer",
    [
        "optimizer=by_hand",
        "optimizer=by_hand loss.gradient_reduction=sum",
        "optimizer=sgd optimizer.weight_decay=0.5",
        "optimizer=momentum optimizer.momentum=0.7",
        "optimizer=momentum optimizer.momentum=0.7 optimizer.weight_decay=0.5",
        "optimizer=sgd optimizer.momentum=0.5 optimizer.dampening=0.3",
        "optimizer=nesterov optimizer.momentum=0.6",
    ],
)
@pytest.mark.parametrize("dataset", ["line", "plane"])
def test_descent_leaves_at_the_edge(dataset, optimizer, compose_config):
    """Just below the edge the loss settles, just above it grows: the loop itself says so."""
    typed = [f"dataset={dataset}", "model=linear", "gradient=by_hand", "dtype=float64"]
    typed += optimizer.split()
    at = edge(run_of(plain(compose_config(typed))))
    cells = [plain(compose_config([*typed, f"lr={at * f!r}"])) for f in (0.99, 1.01)]
    made = stack.stack([stack.prepare(spec_of(cell)) for cell in cells])
    losses = [next(made.steps).loss for _ in range(2000)]
    assert losses[-1][0] == pytest.approx(losses[-2][0], abs=1e-9)
    assert losses[-1][1] > 1e9


def run_of(values, *, trusted=True):
    """A run that is known by its config alone."""
    from runner.record.run import RecordedRun

    def nothing(*_):
        return None

    said = {"config": lambda: values, "trajectory": nothing, "file": nothing}
    return RecordedRun("0", "a run", 0, None, {}, {}, {}, "exhausted", "", **said, trusted=trusted)


def test_a_config_of_a_server_names_only_what_is_known(compose_config, tmp_path):
    """Whatever else it names is not even imported, wherever it stands."""
    from runner.errors import ConfigError

    values = plain(compose_config())
    problem(run_of(values, trusted=False))
    for name in ("os.mkdir", "runner.record.journal.put_away", "sklearn.datasets.load_files"):
        for node in ({"_target_": name, "path": str(tmp_path / "made")}, {"x": {"_target_": name}}):
            other = {**values, "dataset": {**values["dataset"], **node}}
            with pytest.raises(ConfigError, match=f"{name} is not on the short list"):
                problem(run_of(other, trusted=False))
    assert not (tmp_path / "made").exists()


# --- What is drawn ---


def test_a_sample_has_the_best_the_worst_and_each_optimizer():
    """And is even between; names of anybody's are text on the page, and nothing else."""
    from runner.report import drawn, embedded, table
    from runner.report.comparison import Comparison
    from runner.report.line import Line
    from runner.report.setting import grouped

    evil = "</script><img src=x onerror=alert(1)>"
    lines = []
    for number in range(500):
        run = run_of({})
        run.params["optimizer"] = "rare" if number == 123 else "sgd"
        swept = {"lr": str(number)}
        loss = float(number)
        args = ("exhausted", 10, loss, loss, None, loss, 0.1, evil)
        lines.append(Line(evil, run, swept, *args))
    settings, draws = grouped(lines, ["lr"])
    compared = Comparison(None, ["lr"], lines, settings, draws, None, [])
    chosen = drawn.choose(compared)
    assert len(chosen) == drawn.MOST_CURVES
    assert {0, 499, 123} <= set(chosen)
    assert max(np.diff(chosen)) < 20
    text = embedded.embedded(table.table(compared))
    assert "<" not in text
    assert json.loads(text)["cells"][0][-2] == evil


def test_a_thinned_curve_keeps_its_ends_and_extremes():
    """Whatever the curve."""
    from runner.report.drawn import MOST_POINTS, thin

    rng = np.random.default_rng(0)
    for count in (1, 2, MOST_POINTS, MOST_POINTS + 1, 10_000):
        values = rng.normal(size=count)
        kept = thin(values)
        assert len(kept) <= MOST_POINTS
        assert {0, count - 1, int(values.argmin()), int(values.argmax())} <= set(kept.tolist())


@pytest.mark.slow
def test_two_thousand_cells(tmp_path, runner, report):
    """A small page that says what it leaves out, with every cell in its table."""
    typed = ["-m", "gradient=by_hand", "optimizer=sgd,adam", "lr=range(0.0002,0.2002,0.0002)"]
    runner(tmp_path, *typed, "epochs=50", "tracking=off")
    done = report(tmp_path, "latest", "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    count = len(table_of(page))
    assert count >= 2000
    words, _ = section_of(page, "convergence")
    assert f"Drawn are 60 of {count} settings" in words
    assert f"and {count - 40} more: see the report" in done.stdout


# --- Colours ---


def test_colours_on_a_terminal_only(tmp_path, environment, runner):
    """Of outcomes; neither with NO_COLOR nor on a dumb terminal nor in a pipe."""
    typed = ["-m", "gradient=by_hand", "epochs=3", "tracking=off", "lr=0.1,0.2"]
    assert "\033" not in runner(tmp_path, *typed).stdout
    plain_terminal = {**environment, "TERM": "xterm"}
    plain_terminal.pop("NO_COLOR", None)
    assert "\033[33mexhausted" in on_a_terminal(tmp_path, typed, plain_terminal)
    assert "\033[" not in on_a_terminal(tmp_path, typed, {**plain_terminal, "NO_COLOR": "1"})
    assert "\033[" not in on_a_terminal(tmp_path, typed, {**plain_terminal, "TERM": "dumb"})


def on_a_terminal(folder, typed, variables):
    """What the command prints on a pseudo-terminal."""
    pty = pytest.importorskip("pty", reason="a pseudo-terminal needs a POSIX system")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runner", *typed]
    process = subprocess.Popen(command, cwd=folder, env=variables, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = io.BytesIO()
    with contextlib.suppress(OSError):  # Linux says so when the other side is closed
        while more := os.read(ours, 4096):
            seen.write(more)
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    return seen.getvalue().decode()


def test_others_have_no_edge_of_stability(compose_config):
    """It is that of the full batch's gradient, at a constant rate, and not Adam's."""
    typed = ["dataset=plane", "model=linear", "optimizer=by_hand"]
    assert edge(run_of(plain(compose_config(typed)))) > 0
    for other in ("batch_size=10", "schedule=cosine", "optimizer=adam"):
        assert edge(run_of(plain(compose_config([*typed, other])))) is None, other
