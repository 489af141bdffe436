"""Checkpoints: the whole state of a run, in files from which it can go on.

A file is a digest and what `torch.save` makes of the state; it is there whole or not at all, and is
read with `weights_only=True`, so that it can hold nothing but data.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from runner import project
from runner.console import complain
from runner.journal import FOLDER

KEPT = 2
"""Of a run, or of a stack by the name of its first, the newest so many: one may be damaged."""

DIGEST_BYTES = 32


class Unreadable(Exception):
    """A checkpoint that is damaged, or that holds what is no plain data."""


class Checkpoints:
    """Those of a run, or of a stack's cells, by the id of the first."""

    def __init__(self, run: str, every: int | None) -> None:
        """After `every` so many steps, and after the last; None: never."""
        self._run, self._every = run, every

    def is_due(self, steps: int, *, is_last: bool) -> bool:
        """Whether the state is to be kept after so many steps."""
        return self._every is not None and (is_last or steps % self._every == 0)

    def save(self, steps: int, state: dict[str, Any]) -> None:
        """Keep the state; where it cannot be written, say so, and let the run go on."""
        try:
            save(self._run, steps, state)
        except OSError as error:
            complain(f"checkpoint  cannot be written after step {steps}: {error}")


def folder(run: str) -> Path:
    """Where those of the run are, absolute."""
    return project.folder() / FOLDER / "checkpoints" / run


def save(run: str, step: int, state: dict[str, Any]) -> None:
    """Keep the state after that step, and the one before it."""
    place = folder(run)
    place.mkdir(parents=True, exist_ok=True)
    new = place / "new"
    # Not forced to the disk, which takes longer than an epoch of a small network: after a power
    # cut the digest tells what is whole.
    new.write_bytes(packed(state))
    new.replace(place / f"{step:020d}")
    for path in paths(run)[KEPT:]:
        path.unlink(missing_ok=True)


def paths(run: str) -> list[Path]:
    """The checkpoints of the run, the newest first."""
    return sorted(folder(run).glob("[0-9]" * 20), reverse=True)


def forget(run: str) -> None:
    """Remove those of a run that has ended."""
    for path in folder(run).glob("*"):
        path.unlink(missing_ok=True)
    if folder(run).exists():
        folder(run).rmdir()


def load(path: Path) -> dict[str, Any]:
    """The state in the file. Raises Unreadable."""
    try:
        return unpacked(path.read_bytes())
    except OSError as error:
        raise Unreadable(f"{project.shown(path)}: {error}") from error
    except Unreadable as error:
        raise Unreadable(f"{project.shown(path)}: {error}") from error


def packed(state: dict[str, Any]) -> bytes:
    """The bytes of a file."""
    import torch

    body = io.BytesIO()
    torch.save(_plain(state), body)
    return hashlib.sha256(body.getbuffer()).digest() + body.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    """What `packed` was given. Raises Unreadable."""
    import torch

    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise Unreadable("the checkpoint is damaged")
    try:
        state: dict[str, Any] = _restored(torch.load(io.BytesIO(body), weights_only=True))
    except Exception as error:  # whatever is in it that is no plain data
        raise Unreadable(f"the checkpoint is not plain data: {error}") from error
    return state


ARRAY = "numpy array"


def _plain(value: Any) -> Any:
    """The value with PyTorch's tensors for NumPy's arrays, which `weights_only` does not read."""
    import torch

    if isinstance(value, np.ndarray):
        return {ARRAY: torch.from_numpy(np.array(value))}
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _plain(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value


def _restored(value: Any) -> Any:
    if type(value) is dict:
        if value.keys() == {ARRAY}:
            return value[ARRAY].numpy()
        return {key: _restored(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_restored, value))
    return value
