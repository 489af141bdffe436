"""Files that are there whole or not at all: written beside their place first, then moved there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path, new: Path) -> Iterator[Path]:
    """Yield `new`, where the file is to be written, and move it to `path` at the end.

    Nothing is left there if an error is raised meanwhile. The file is not forced to the disk: after
    a power cut it may be damaged, which a process that is killed never leaves.
    """
    try:
        yield new
        new.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error says more
            new.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file, and the folder that it is in; what UTF-8 cannot say becomes an escape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():  # the error of the move would name the other file as well
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with replacing(path, path.with_name(f".{path.name}.new")) as new:
        new.write_bytes(content)
