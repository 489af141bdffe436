"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from runner.base.files import replacing, write_atomic


def test_a_file_is_replaced_and_nothing_left_beside(tmp_path):
    path = tmp_path / "folder" / "page.html"
    write_atomic(path, b"first")
    write_atomic(path, "größer \udcff")
    assert path.read_bytes() == "größer \\udcff".encode()
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    """Nor is there anything beside it; also where nothing has to be taken away."""
    path, new = tmp_path / "page.html", tmp_path / "new"
    path.write_text("old")

    def interrupted():
        with replacing(path, new):
            new.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == [path]

    def full(*_):
        raise OSError("no room")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no room"):
        write_atomic(path, b"new")
    assert path.read_text() == "old"


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError) as raised:
        write_atomic(tmp_path, b"page")
    assert str(raised.value) == f"[Errno 21] Is a directory: '{tmp_path}'"
