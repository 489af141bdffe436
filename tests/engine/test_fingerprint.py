"""What makes a fingerprint another one: config, data, and every line of code that may decide."""

import shutil
import subprocess
import sys

import pytest

from runner.base.paths import PACKAGE
from runner.engine.fingerprint import code_of, own_code

PROGRAM = """
import sys
from runner.engine import fingerprint
from runner.config.build import build
build("dataset", {"_target_": sys.argv[1]})
print(fingerprint.fingerprint({"dataset": {"_target_": sys.argv[1]}}, "digest"))
"""
FILES = {
    "own/__init__.py": "from own.data import samples\n",
    "own/data.py": "import tables\nfrom . import near\nimport json\n"
    "def samples():\n    from own.late import late\n    return near.x, late\n",
    "own/near.py": "from .deep import x\n",
    "own/deep.py": "x = [1.0, 2.0]\n",
    "own/late.py": "late = [1.0, 2.0]\ndef plot():\n    import never\n    import broken\n",
    "never.py": "raise SystemExit('was imported')\n",
    "broken.py": "this is (no Python\n",
    "tables.py": "import importlib\nfound = importlib.import_module('dynamic')\n",
    "dynamic.py": "",
    "own/other.py": "",
    "apart.py": "",
}


@pytest.fixture(scope="module")
def fingerprint(tmp_path_factory, environment):
    """Write the files, one of them with a line more; the fingerprint of a run that uses them."""

    def asked(changed=None, target="own.samples"):
        folder = tmp_path_factory.mktemp("own")
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + ("y = 1\n" if name == changed else ""))
        path = f"{environment['PYTHONPATH']}:{folder}"
        command = [sys.executable, "-c", PROGRAM, target]
        where = {"cwd": folder, "env": {**environment, "PYTHONPATH": path}}
        done = subprocess.run(command, **where, capture_output=True, text=True, check=True)
        return done.stdout

    return asked


@pytest.mark.slow
def test_every_module_that_a_part_imports_counts(fingerprint):
    """At the top, in a function, relatively, through others, or by a name made at run time."""
    first = fingerprint()
    assert fingerprint() == first
    for name in FILES.keys() - {"own/other.py", "apart.py"}:
        assert fingerprint(name) != first, name
    for name in ("own/other.py", "apart.py"):
        assert fingerprint(name) == first, name


def test_what_decides_a_trajectory_counts_and_nothing_else(tmp_path):
    """A copy of the package, with one file after the other changed."""
    copy = shutil.copytree(PACKAGE, tmp_path / "runner")
    first, whole = own_code(copy), own_code(copy, whole=True)
    counted = set()
    for path in sorted(copy.rglob("*.py")):
        before = path.read_bytes()
        path.write_bytes(before + b"\n# changed\n")
        own_code.cache_clear()
        assert own_code(copy, whole=True) != whole, path  # by which machines are compared
        if own_code(copy) != first:
            counted.add(path.relative_to(copy).parts[0])
        path.write_bytes(before)
    parts = {"dataset", "model", "loss.py", "optimizer.py", "schedule.py", "objective", "device.py"}
    assert counted == {*parts, "base", "config", "engine"}


def test_a_comment_in_what_is_shown_is_not_another_experiment(tmp_path):
    copy = shutil.copytree(PACKAGE, tmp_path / "runner")
    first = own_code(copy)
    for name in ("cli/show.py", "base/console.py", "report/page.py", "engine/identity.py"):
        (copy / name).write_text((copy / name).read_text() + "# changed\n")
    own_code.cache_clear()
    assert own_code(copy) == first


def test_the_function_of_a_study_counts():
    """It is a part of the study's experiments, wherever it lies."""
    assert code_of("runner.study.implicit_bias.signed") != code_of("runner.dataset.points") == b""


TWO_LEVELS = {
    "near/__init__.py": "",
    "near/below/__init__.py": "from .. import shared\n",
    "near/below/model.py": "from .layer import Layer\nfrom ..shared import SIZE\n"
    "class Model(Layer):\n    class Inner:\n        pass\n",
    "near/below/layer.py": "class Layer:\n    pass\n",
    "near/shared.py": "SIZE = 1\n",
    "near/below/unrelated.py": "",
    "space/inner/model.py": "from . import part\nModel = part.Part\n",
    "space/inner/part.py": "class Part:\n    pass\n",
    "space/other.py": "",
    "top/__init__.py": "from .deep.model import Model\n",
    "top/deep/model.py": "class Model:\n    pass\n",
    "late/__init__.py": "import importlib\n"
    "part = importlib.import_module('.part', __package__)\nModel = part.Model\n",
    "late/part.py": "class Model:\n    pass\n",
    "late/aside.py": "",
}
DIGESTS = """
import sys
from importlib import import_module
from runner.sweeps.executors.alike import of_this_machine
for name in sys.argv[1].split():
    import_module(name)
found = of_this_machine(sys.argv[2].split())[1]
print(*(found[name] for name in sys.argv[2].split()))
"""
PARTS = {
    "near.below.model.Model": {"near", "near/below", "near/below/model", "near/below/layer"}
    | {"near/shared"},
    "near.below.model.Model.Inner": {"near/below/model"},
    "space.inner.model.Model": {"space/inner/model", "space/inner/part"},
    "top.Model": {"top", "top/deep/model"},
    "late.Model": {"late", "late/part"},
}


@pytest.fixture
def digests(tmp_path, environment):
    """The digest of each part's code, in a process that has imported those modules before."""
    for name, text in TWO_LEVELS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def asked(*before):
        path = f"{environment['PYTHONPATH']}:{tmp_path}"
        command = [sys.executable, "-c", DIGESTS, " ".join(before), " ".join(PARTS)]
        where = {"cwd": tmp_path, "env": {**environment, "PYTHONPATH": path}}
        done = subprocess.run(command, **where, capture_output=True, text=True, check=True)
        assert "cannot be imported" not in done.stdout
        return dict(zip(PARTS, done.stdout.split(), strict=True))

    return asked


def test_a_digest_does_not_depend_on_what_is_imported_before(digests):
    """Of parts two packages deep: neither themselves, nor what lies beside them."""
    first = digests()
    assert len({*first.values()}) == len(PARTS) - 1  # Model and its Inner are in one file
    aside = ["near.below.unrelated", "space.other", "late.aside"]
    assert digests("near", "space", "near.below", *aside) == first
    assert digests("late.part", "top.deep.model", "near.below.model") == first


@pytest.mark.slow
def test_a_digest_is_of_the_module_that_defines_the_part(digests, tmp_path):
    """And of those that it imports; a line in any of them makes it another one."""
    first = digests()
    for name in TWO_LEVELS:
        before = (tmp_path / name).read_text()
        (tmp_path / name).write_text(before + "y = 1\n")
        changed = digests()
        (tmp_path / name).write_text(before)
        key = name.removesuffix(".py").removesuffix("/__init__")
        for part, files in PARTS.items():
            if key in files:
                assert changed[part] != first[part], (part, name)
        if key in ("near/below/unrelated", "space/other", "late/aside"):
            assert changed == first, name
