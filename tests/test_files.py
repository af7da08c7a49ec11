"""A replaced file is the old one or the new one, never half of either."""

from __future__ import annotations

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
