"""`python -m runner.ui` in a real browser: after one command, with no click, what was asked for."""

import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from tests.conftest import unused_port
from tests.support.browser import visit
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.slow

SIZE = {"width": 1500, "height": 950}


@pytest.fixture(scope="module")
def folder(runner, tmp_path_factory):
    """A store with a sweep of twelve cells and then a run."""
    made = tmp_path_factory.mktemp("project")
    sweep = "-m", "optimizer=sgd,adam", "lr=0.01,0.1", "seed=0,1,2", "epochs=60"
    runner(made, *sweep, "dataset=noisy_line", "model=linear", "tolerance=0")
    runner(made, "lr=0.2", "epochs=40", "tolerance=0")
    return made


@contextmanager
def opened(folder, environment, *typed):
    """The command while it runs, and the lines that it has printed up to the last one."""
    command = [sys.executable, "-m", "runner.ui", "--no-browser", *typed]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if line.startswith("server ") and line.endswith("until Ctrl-C\n"):
                break
        yield process, "".join(said)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def address_in(said):
    return re.search(r"^address +(\S+)$", said, re.M)[1]


def answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def chart(page, name):
    """The chart of a metric, once it has curves."""
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(
        has=page.get_by_role("heading", name=name, exact=True)
    )
    card.first.wait_for()
    return card


def test_a_sweeps_curves_are_there(folder, environment, browser, keep):
    """Ten cells, the best first, in the charts of curves alone; and the names say so."""
    port = unused_port()
    with opened(
        folder, environment, "--port", str(port), "sweep of 12 cells over optimizer, lr, seed"
    ) as (_, said):
        base = f"http://127.0.0.1:{port}"
        assert address_in(said).startswith(f"{base}/#/experiments/1/runs?")
        with visit(browser, base, viewport=SIZE) as (page, refused):
            page.goto(address_in(said))
            for metric in ("loss", "w", "b", "grad_norm"):
                lines = chart(page, metric).locator(".scatterlayer path.js-line")
                lines.nth(9).wait_for(state="attached")
            names = page.get_by_role("link", name=re.compile("^(sgd|adam) lr="))
            names.nth(11).wait_for()
            texts = names.all_inner_texts()
            keep(page, "ui-sweep")
            headings = page.get_by_test_id("experiment-view-compare-runs-card").get_by_role(
                "heading"
            )
            assert set(headings.all_inner_texts()) == {"loss", "w", "b", "grad_norm"}
            assert refused == []
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    runs = client.search_runs(["1"], "tags.cell LIKE '%'", order_by=["metrics.final_loss ASC"])
    assert texts == [run.info.run_name for run in runs]


def test_a_runs_curves_are_there(folder, environment, browser, keep):
    """`latest` is the run that came last; make ui says where, and Ctrl-C ends the server."""
    port = unused_port()
    with opened(folder, environment, "--port", str(port)) as (process, said):
        assert "run         lr=0.2 epochs=40 tolerance=0\n" in said
        with visit(browser, f"http://127.0.0.1:{port}", viewport=SIZE) as (page, _):
            page.goto(address_in(said))
            page.get_by_role("heading", name="lr=0.2 epochs=40 tolerance=0").wait_for()
            for metric in ("loss", "grad_norm"):
                page.get_by_role("heading", name=metric, exact=True).wait_for()
            page.locator(".scatterlayer path.js-line").nth(1).wait_for(state="attached")
            keep(page, "ui-run")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert not answers(port)


def test_a_taken_port_is_said_and_the_next_one_taken(folder, environment):
    """And a server that has the run already is used, and left alone."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with opened(folder, environment, "--port", str(port)) as (process, said):
            found = re.search(rf"^port +{port} is something else's: (\d+) instead$", said, re.M)
            other = int(found[1])
            assert port < other < port + 20
            assert address_in(said).startswith(f"http://127.0.0.1:{other}/")
            again = [sys.executable, "-m", "runner.ui", "--no-browser", "--port", str(port)]
            done = subprocess.run(
                again, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
            )
            assert f"http://127.0.0.1:{other} serves this store already" in done.stdout
            assert address_in(done.stdout) == address_in(said)
            assert answers(other)
            process.terminate()
            assert process.wait(PATIENCE) == 0
        assert not answers(other)


def test_a_password_is_not_shown(postgres, tmp_path, environment, runner):
    """Neither printed nor on a command line that anybody may read."""
    uri = postgres()
    secret = uri.replace("secret", "h1dden-word")
    settings = {"MLFLOW_TRACKING_URI": secret}
    runner(tmp_path, "gradient=by_hand", "epochs=3", **settings)
    port = unused_port()
    with opened(tmp_path, {**environment, **settings}, "--port", str(port)) as (_, said):
        assert address_in(said).startswith(f"http://127.0.0.1:{port}/#/experiments/")
        assert "h1dden-word" not in said
        listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True)
        assert "mlflow" in listed.stdout
        assert "h1dden-word" not in listed.stdout
        assert "h1dden-word" not in (tmp_path / "mlruns" / "ui.log").read_text()


def test_a_server_of_somebodys_is_opened(tmp_path, environment, runner, server):
    """Nothing is started, and the store is that of the latest run here."""
    runner(
        tmp_path, "gradient=by_hand", "epochs=3", "tracking=server", f"tracking.uri={server.uri}"
    )
    done = subprocess.run(
        [sys.executable, "-m", "runner.ui", "--no-browser"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert address_in(done.stdout).startswith(f"{server.uri}/#/experiments/")
    assert not (tmp_path / "mlruns" / "ui.log").exists()


def test_two_at_once(folder, environment, runner, tmp_path):
    """Two projects, started together: each gets a server of its own."""
    runner(tmp_path, "gradient=by_hand", "epochs=4")
    port = unused_port()
    command = [sys.executable, "-m", "runner.ui", "--no-browser", "--port", str(port)]
    both = [
        subprocess.Popen(command, cwd=where, env=environment, stdout=subprocess.PIPE, text=True)
        for where in (folder, tmp_path)
    ]
    try:
        said = ["", ""]
        for number, process in enumerate(both):
            for line in process.stdout:
                said[number] += line
                if line.endswith("until Ctrl-C\n"):
                    break
        addresses = [address_in(text) for text in said]
        assert len({address.partition("/#")[0] for address in addresses}) == 2, said
    finally:
        for process in both:
            process.terminate()
            process.wait(PATIENCE)
            process.stdout.close()


def test_a_browser_is_opened(folder, environment, tmp_path):
    """The one that the environment names."""
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    script.chmod(0o755)
    port = str(unused_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "runner.ui", "--port", port],
        cwd=folder,
        env={**environment, "BROWSER": str(script)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line.endswith("until Ctrl-C\n"):
                break
        assert (tmp_path / "opened").read_text() == f"{address_in(said)}\n"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def test_what_cannot_be_opened_is_one_message(tmp_path, environment, runner, folder):
    """No run; one that is in no store; a server that cannot start."""

    def said(where, *typed):
        command = [sys.executable, "-m", "runner.ui", "--no-browser", *typed]
        done = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    assert said(tmp_path) == (1, "latest: no run is recorded here yet\n")
    assert said(tmp_path, "--port", "0")[0] == 2
    assert said(tmp_path, "--uri", "nonsense")[0] == 2
    runner(tmp_path, "gradient=by_hand", "epochs=3", "tracking=off")
    complaint = said(folder, "--host", "192.0.2.1")  # of nobody's
    assert (complaint[0], "cannot be started on 192.0.2.1" in complaint[1]) == (1, True), complaint
    status, complaint = said(tmp_path, "--port", str(unused_port()))
    assert (status, "is not in MLflow" in complaint) == (1, True), complaint


def test_the_experiment_says_what_it_is(folder, store):
    """Its kind and its note; and each run has its dataset, by which the UI filters."""
    client, runs = store(folder)
    found = client.get_experiment_by_name("gradient descent")
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "`loss`" in found.tags["mlflow.note.content"]
    cells = [run for run in runs if "cell" in run.data.tags]
    for run in cells:
        [given] = run.inputs.dataset_inputs
        assert given.dataset.name == "noisy_line"
        assert run.data.tags["dataset.digest"].startswith(given.dataset.digest)
        assert '"features_shape": [100, 1]' in given.dataset.profile
        assert "runner.dataset.linear" in given.dataset.source
    [parent] = [run for run in runs if "plan" in run.data.tags]
    assert parent.data.params["dataset"] == "noisy_line"
    assert parent.data.params["epochs"] == "60"
    assert not {"lr", "optimizer", "seed", "optimizer.lr"} & parent.data.params.keys()
