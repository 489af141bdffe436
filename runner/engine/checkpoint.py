"""Checkpoints: the whole state of a run, in files from which it can go on.

A file is a digest and what `torch.save` makes of the state; it is there whole or not at all, and is
read with `weights_only=True`, so that it can hold nothing but data.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from runner.base import project
from runner.base.arrays import State
from runner.base.console import complain
from runner.base.files import replacing
from runner.errors import Unreadable
from runner.record.journal import FOLDER

KEPT = 2
"""Of a run, or of a stack by the name of its first, the newest so many: one may be damaged."""

DIGEST_BYTES = 32


class Checkpoints:
    """Those of a run, or of a stack's cells, by the id of the first."""

    def __init__(self, run: str, every: int | None) -> None:
        """After `every` so many steps, and after the last; None: never."""
        self._every, self._folder = every, folder(run)
        if every is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._kept = paths(run)

    def is_due(self, steps: int, *, is_last: bool) -> bool:
        """Whether the state is to be kept after so many steps."""
        return self._every is not None and (is_last or steps % self._every == 0)

    def save(self, steps: int, state: State) -> None:
        """Keep the state; where it cannot be written, say so, and let the run go on.

        It is not forced to the disk, which takes longer than an epoch of a small network: after a
        power cut the digest tells what is whole.
        """
        path = self._folder / f"{steps:020d}"
        try:
            # Under one name, so that what kills leave behind is one file at most.
            with replacing(path, self._folder / "new") as new:
                new.write_bytes(packed(state))
            self._kept = [path, *(one for one in self._kept if one != path)]
            while len(self._kept) > KEPT:
                self._kept.pop().unlink(missing_ok=True)
        except OSError as error:
            complain(f"checkpoint  cannot be written after step {steps}: {error}")


def folder(run: str) -> Path:
    """Where those of the run are, absolute."""
    return project.folder() / FOLDER / "checkpoints" / run


def paths(run: str) -> list[Path]:
    """The checkpoints of the run, the newest first."""
    return sorted(folder(run).glob("[0-9]" * 20), reverse=True)


def load(path: Path) -> State:
    """The state in the file. Raises Unreadable."""
    try:
        return unpacked(path.read_bytes())
    except OSError as error:
        raise Unreadable(f"{project.shown(path)}: {error}") from error
    except Unreadable as error:
        raise Unreadable(f"{project.shown(path)}: {error}") from error


def packed(state: State) -> bytes:
    """The bytes of a file: the state, and the values of all its arrays and tensors in a row."""
    import torch

    pieces: list[Any] = []
    told = _told(state, pieces)
    body = io.BytesIO()
    torch.save((told, torch.cat(pieces) if pieces else None), body)
    return hashlib.sha256(body.getbuffer()).digest() + body.getvalue()


def unpacked(content: bytes) -> State:
    """What `packed` was given. Raises Unreadable."""
    import torch

    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise Unreadable("the checkpoint is damaged")
    try:
        told, values = torch.load(io.BytesIO(body), weights_only=True)
        state: State = _restored(told, values)
    except Exception as error:  # whatever is in it that is no plain data
        raise Unreadable(f"the checkpoint is not plain data: {error}") from error
    return state


NUMPY, TENSOR = "\0numpy", "\0tensor"
"""What stands first where an array or a tensor was: its dtype, shape, device and place follow."""

ALIGNED = 16
"""Bytes, to a multiple of which each is padded."""


def _told(value: Any, pieces: list[Any]) -> Any:
    """The value without its arrays and tensors, whose bytes are added to the pieces.

    One tensor takes PyTorch a fraction of the time that many take.
    """
    import torch

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        flat = torch.from_numpy(np.array(value)).reshape(-1)
        return (NUMPY, flat.dtype, value.shape, "cpu", _placed(flat, pieces))
    if isinstance(value, torch.Tensor) and value.layout == torch.strided:
        flat = value.detach().reshape(-1)
        return (TENSOR, value.dtype, tuple(value.shape), str(value.device), _placed(flat, pieces))
    if type(value) is dict:
        return {key: _told(part, pieces) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_told(part, pieces) for part in value])
    return value


def _placed(flat: Any, pieces: list[Any]) -> tuple[int, int]:
    """Where in all pieces its bytes begin, and how many they are."""
    import torch

    own = torch.empty(len(flat), dtype=flat.dtype).copy_(flat).view(torch.uint8)
    begin, size = sum(map(len, pieces)), len(own)
    pieces.append(own)
    if size % ALIGNED:
        pieces.append(torch.zeros(ALIGNED - size % ALIGNED, dtype=torch.uint8))
    return begin, size


def _restored(told: Any, values: Any) -> Any:
    if type(told) is dict:
        return {key: _restored(part, values) for key, part in told.items()}
    if type(told) is tuple and told[:1] in ((NUMPY,), (TENSOR,)):
        kind, dtype, shape, device, (begin, size) = told
        made = values[begin : begin + size].clone().view(dtype).reshape(shape)
        return made.numpy() if kind == NUMPY else made.to(device)
    if type(told) in (list, tuple):
        return type(told)([_restored(part, values) for part in told])
    return told
