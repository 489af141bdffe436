"""Errors carry what they are about as fields; their texts are for people alone."""

import ast
import pickle

import pytest

import runner
from docs.house import RUNNER
from runner import errors
from runner.config.settings import DEFAULTS, check_alone
from runner.config.spec import SweepSpec
from runner.errors import BadValue, ConfigError, RunnerError


def test_fields_and_text():
    error = ConfigError("lr", expected="a number above 0", got=-1, hint="lr=0.1, say")
    assert str(error) == "lr: expected a number above 0, got -1; lr=0.1, say"
    fields = (error.key, error.expected, error.got, error.hint)
    assert fields == ("lr", "a number above 0", "-1", "lr=0.1, say")
    assert error.problem == "expected a number above 0, got -1; lr=0.1, say"


@pytest.mark.parametrize("error", [BadValue("delta", expected="more", got=0), ConfigError("no")])
def test_they_come_through_a_pipe(error):
    """From a process of the pool, fields and all."""
    other = pickle.loads(pickle.dumps(error))
    assert (str(other), vars(other)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("words", "key", "expected", "got"),
    [
        (["dataset.samples=0"], "dataset.samples", "1 or more", "0"),
        (["dataset.standardize=perhaps"], "dataset.standardize", "true or false", "'perhaps'"),
        (["loss=huber", "loss.delta=-1"], "loss.delta", "a number above 0", "-1"),
    ],
    ids=str,
)
def test_a_part_that_refuses_a_value_says_which(words, key, expected, got, tmp_path, monkeypatch):
    """By its key in the config, also where the part knows nothing of configs."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(runner.ConfigError) as refused:
        runner.run("tracking=off", "gradient=by_hand", "dataset=noisy_line", "model=linear", *words)
    error = refused.value
    assert (error.key, error.expected, error.got) == (key, expected, got)


def test_what_a_call_raises_is_public():
    """One tree, and those that a call can raise are in the package's own list."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(issubclass(kind, RunnerError) for kind in kinds if issubclass(kind, Exception))
    public = {"RunnerError", "ConfigError", "NotFound", "JournalError", "SourceError"}
    assert public <= {*runner.__all__}
    assert all(getattr(runner, name) is getattr(errors, name) for name in public)
    assert issubclass(BadValue, ValueError)  # for who calls a part by himself


def test_exceptions_have_one_place():
    """In errors.py; but private ones, which their own module alone raises and catches."""
    elsewhere = {
        f"{path.relative_to(RUNNER)}: {node.name}"
        for path in RUNNER.rglob("*.py")
        if path != RUNNER / "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(getattr(base, "id", "").endswith(("Error", "Exception")) for base in node.bases)
        and not node.name.startswith("_")
    }
    assert elsewhere == set()


def test_settings_that_are_wrong_are_not_refused_twice():
    """A value that is none is not told to be for a sweep as well."""
    with pytest.raises(ConfigError) as refused:
        check_alone(SweepSpec(**{**DEFAULTS, "workers": 0, "verify": 3}), is_swept=False)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "sweep.workers",
        "sweep.verify",
    ]
