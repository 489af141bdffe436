"""Columns of tables: each name once, and one for every param in which runs differ."""

import csv
import io
import math

import pytest

from runner.cli.text import as_csv, printed
from runner.config.cell import Cell
from runner.config.schema import plain
from runner.record.differing import distinct, informative, varying
from runner.record.run import RecordedRun, number
from runner.record.trajectory import assembled
from runner.report.comparison import compare
from runner.sweeps import table
from runner.sweeps.executors.result import Result


def cells_of(compose_config, *each):
    """Cells that were overridden so."""
    options = ("dataset", "model", "loss", "optimizer")
    made = []
    for typed in each:
        chosen = {key: "sgd" if key == "optimizer" else "x" for key in options}
        chosen |= {k: v for k, _, v in (word.partition("=") for word in typed) if k in options}
        made.append(Cell(plain(compose_config(typed)), chosen, list(typed)))
    return made


SWEPT = {
    # what was typed for each cell: the columns
    "a number": ([["lr=0.1"], ["lr=0.2"]], ["lr"]),
    "the name of a figure": ([["epochs=1"], ["epochs=2"]], ["epochs"]),
    "an option": ([["optimizer=sgd"], ["optimizer=momentum"]], ["optimizer"]),
    "a number below an option": (
        [
            ["optimizer=sgd"],
            ["optimizer=momentum"],
            ["optimizer=momentum", "optimizer.momentum=0.5"],
        ],
        ["optimizer", "optimizer.momentum"],
    ),
    "an option and its number": (
        [["optimizer.momentum=0"], ["optimizer.momentum=0.9"]],
        ["optimizer.momentum"],
    ),
}


@pytest.mark.parametrize("name", SWEPT)
def test_the_columns_of_a_sweep(name, compose_config):
    """What tells the cells apart, each under a name of its own, read back as it was written."""
    typed, expected = SWEPT[name]
    cells = cells_of(compose_config, *typed)
    assert table.swept(cells) == expected
    text = table.as_csv(cells, [Result(0, "converged", "a" * 32, 7, 1.0, 1.0, 0.1)]).decode()
    head, *body = csv.reader(io.StringIO(text))
    assert len(set(head)) == len(head)
    told = {head[at]: [row[at] for row in body] for at in range(len(head))}
    assert told["epochs"] == ["7", "0"] + ["0"] * (len(cells) - 2)
    for key in expected:
        column = told[f"params.{key}" if key == "epochs" else key]
        assert len(set(column)) > 1


def a_run(known, outcome="converged", final=1.0, **params):
    """A run that nothing but its params is known of."""

    def nothing(*_):
        return None

    figures = {"final_loss": final, "best_loss": final, "epochs_run": 0.0}
    said = {"config": dict, "trajectory": lambda: assembled((), ()), "file": nothing}
    named = {key.replace("__", "."): value for key, value in params.items()}
    return RecordedRun(known, known, 0, None, named, {}, figures, outcome, "", **said, trusted=True)


def test_the_columns_of_any_runs():
    """All params in which they differ, also those that follow; those of figures' names are told."""
    runs = [
        a_run("a", lr="0.1", optimizer="sgd", optimizer__momentum="0", epochs="1", name="x"),
        a_run("b", lr="0.1", optimizer="sgd", optimizer__momentum="0.5", epochs="2", name="y"),
        a_run("c", lr="0.1", optimizer="adam", epochs="2", name="z"),
    ]
    head, *body = csv.reader(io.StringIO(as_csv(compare(runs))))
    assert len(set(head)) == len(head)
    assert {"optimizer", "optimizer.momentum", "params.epochs", "params.name"} <= set(head)
    assert "lr" not in head
    assert [row[head.index("optimizer.momentum")] for row in body] == ["0", "0.5", ""]
    assert list(varying([run.params for run in runs])) == [
        "optimizer",
        "epochs",
        "name",
        "optimizer.momentum",
    ]


def test_names_are_made_distinct():
    """However many meet."""
    made = distinct(["a", "a", "params.a", "b"], ["a"])
    assert len({*made, "a"}) == 5
    assert made[-1] == "b"


def test_a_column_that_follows_is_not_told():
    """From one before it, or from several together."""
    columns = {"a": "0011", "b": "0101", "a and b": "0123", "same": "1100", "none": "0000"}
    assert informative({name: 2 * column for name, column in columns.items()}) == ["a", "b"]
    assert informative({}) == []


def test_samples_of_numbers_follow_from_nothing_but_themselves():
    """Where no two rows are alike, a number says nothing of another; an option of its own does."""
    samples = {"lr": "1234", "momentum": "5678", "optimizer.lr": "1234"}
    assert informative(samples) == ["lr", "momentum"]
    options = {"experiment": "abcd", "loop": "efgh", "epochs": "1231"}
    assert informative(options) == ["experiment"]
    assert informative({"lr": "1234", "w": "1234"}, ["lr", "w"]) == ["lr", "w"]


OUTCOMES = ["failed", "diverged", "exhausted", "converged", "interrupted"]


def test_a_failed_cell_is_never_the_best(compose_config):
    """Although its last loss is the least: neither in tables nor as the sweep's final loss."""
    results = [Result(at, name, "r", 5, float(at), float(at)) for at, name in enumerate(OUTCOMES)]
    assert [r.outcome for r in table.best(results)] == ["exhausted", "converged", "interrupted"]
    assert table.best(results[:1]) == []
    cells = cells_of(compose_config, *[[f"lr=0.{at}"] for at in range(1, 6)])
    shown = table.printed(cells, results).split("best cells")[1].split("failed ")[0]
    assert "lr=0.1" not in shown
    runs = [a_run(str(at), name, float(at)) for at, name in enumerate(OUTCOMES)]
    compared = compare(runs)
    order = [compared.lines[place].outcome for place in compared.ranked()]
    assert order[:3] == ["exhausted", "converged", "interrupted"]
    assert math.isnan(compared.value(0))
    assert printed(compared).splitlines()[1].startswith("2")


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000.0), ("", 7.0), ("inf", 7.0), (None, 7.0)])
def test_numbers_that_somebody_wrote(text, value):
    """What is none is what to take in its place."""
    assert number(text, 7.0) == value
