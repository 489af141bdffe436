"""What tells two runs apart that give different trajectories: config, data, code."""

import hashlib
import inspect
import json
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner.config import Values, targets
from runner.identity import NOT_THE_EXPERIMENT

TAG = "fingerprint"

HERE = Path(__file__).resolve().parent
# What decides a trajectory; how it is shown, kept and published does not.
CODE = (
    "build cell config dataset device experiment loss model network optimizer run stack trajectory"
)

NOT_IN_IT = ("device", *NOT_THE_EXPERIMENT)
LIBRARIES = ("numpy", "runner", "sklearn", "torch")


def fingerprint(values: Values, *data: NDArray[Any]) -> str:
    """64 hexadecimal digits, from the plain values and the arrays of the dataset as prepared."""
    config = {key: value for key, value in values.items() if key not in NOT_IN_IT}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for array in data:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    digest.update(_own_code())
    for name in sorted({name for name in targets(config) if isinstance(name, str)}):
        digest.update(_code_of(name))
    return digest.hexdigest()


@cache
def _own_code() -> bytes:
    files = [HERE / f"{name}.py" for name in CODE.split()] + sorted((HERE / "loop").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()


@cache
def _code_of(name: str) -> bytes:
    """The file that a class of somebody's own stands in; nothing for those of the libraries."""
    if name.split(".")[0] in LIBRARIES:
        return b""
    try:
        return Path(inspect.getfile(pkgutil.resolve_name(name))).read_bytes()
    except (TypeError, OSError):  # compiled into Python itself
        return b""
