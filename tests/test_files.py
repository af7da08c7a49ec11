"""A replaced file is the old one or the new one, never half of either."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from facecli.files import PRIVATE, SHARED, replacing


@pytest.mark.parametrize("mode", [PRIVATE, SHARED])
def test_a_file_takes_the_place_of_another_with_the_mode_asked_for(
    mode: int, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path, mode=mode) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path, mode=SHARED) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a", b"old")]


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def write(path: Path, content: bytes) -> None:
    with replacing(path, mode=PRIVATE) as stream:
        stream.write(content)


def test_what_a_killed_program_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for _ in range(3):
        if not (child := os.fork()):
            with replacing(path, mode=PRIVATE) as stream:
                stream.write(b"half")
                stream.flush()
                os._exit(9)
        os.waitpid(child, 0)
        assert names(tmp_path) == [".a.part"]
    write(path, b"whole")
    assert names(tmp_path) == ["a"]
    assert path.read_bytes() == b"whole"


def test_two_at_once_do_not_take_each_others_draft(tmp_path: Path) -> None:
    """The last one to end wins, and each wrote all of its own."""
    path = tmp_path / "a"
    with replacing(path, mode=PRIVATE) as first:
        first.write(b"first")
        write(path, b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_draft_that_is_no_file_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / ".a.part").symlink_to("other")
    write(tmp_path / "a", b"new")
    assert names(tmp_path) == [".a.part", "a", "other"]
    assert (tmp_path / "other").read_bytes() == b"other"


def test_a_disk_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]
