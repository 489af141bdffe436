"""What makes a fingerprint another one: config, data, and every line of code that may decide."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from runner import fingerprint
from runner.build import build
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


def test_all_of_this_project_counts_but_tracking_and_report(tmp_path, monkeypatch):
    """A copy of it, with one file after the other changed."""
    import shutil

    from runner import fingerprint as ours

    copy = shutil.copytree(ours.HERE, tmp_path / "runner")
    monkeypatch.setattr(ours, "HERE", copy)
    first = ours.own_code.__wrapped__()
    for path in sorted(copy.rglob("*.py")):
        before = path.read_bytes()
        path.write_bytes(before + b"\n# changed\n")
        same = ours.own_code.__wrapped__() == first
        assert same == (path.relative_to(copy).parts[0] in ("tracking", "report")), path
        path.write_bytes(before)
