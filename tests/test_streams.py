"""Standard streams that are closed or full, and files that are devices, pipes or links."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import FakeDetector, FakeEncoder, PaintedFace, new_template, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.files import PRIVATE, replacing
from facecli.stores.gallery.sqlite.store import SqliteGallery

pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams of a POSIX shell")

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"]


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    place = tmp_path / "gallery.db"
    with SqliteGallery(place) as opened:
        vector = np.eye(1, 128, dtype=np.float32)[0]
        opened.add([new_template("Ada", vector)], FakeEncoder().card)
    return place


def shell(line: str, gallery: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell that begins with facecli."""
    environment = {**os.environ, "FACECLI_DB": str(gallery), **variables}
    line = f"{sys.executable} -m {line}"
    return subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("closed", CLOSED)
def test_a_closed_stream_is_no_bug(closed: str, gallery: Path) -> None:
    before = gallery.read_bytes()
    listed = shell(f"facecli people list {closed}", gallery)
    assert listed.returncode == 0
    assert ("Ada" in listed.stdout) == (">&- " not in f"{closed} " or closed == "2>&-")
    asked = shell(f"facecli people forget Ada {closed}", gallery)
    assert asked.returncode == 2
    read = shell(f"facecli --json identify - {closed} <&-", gallery)
    assert read.returncode == 2
    assert "bug" not in listed.stderr + asked.stderr + read.stderr
    with SqliteGallery(gallery, create=False) as opened:
        assert [person.name for person in opened.people()] == ["Ada"]
    assert gallery.read_bytes()[:100] == before[:100]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_lost_answer_is_said_and_what_was_stored_is_kept(unbuffered: str, gallery: Path) -> None:
    line = "facecli people rename Ada Augusta >/dev/full"
    result = shell(line, gallery, PYTHONUNBUFFERED=unbuffered)
    assert result.returncode == 2
    assert result.stderr == (
        "facecli: stdout: no space left on the disk: the answer is lost, "
        "but what was stored before it is kept\n"
    )
    with SqliteGallery(gallery, create=False) as opened:
        assert [person.name for person in opened.people()] == ["Augusta"]
    helped = shell("facecli --help >/dev/full", gallery)
    assert helped.returncode == 2
    assert "no space left on the disk" in helped.stderr
    assert len(helped.stderr.splitlines()) == 1


# Files that are devices, pipes or links


def embedded(out: Path, folder: Path) -> tuple[int, str]:
    photo = paint(folder / "a.png", PaintedFace())
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    result = CliRunner().invoke(cli, ["embed", str(photo), "--out", str(out)], obj=settings)
    said = [line for line in result.stderr.splitlines(True) if "remembered in" not in line]
    return result.exit_code, "".join(said)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """As root, /dev/null became a file."""
    before = Path("/dev/null").stat()
    assert embedded(Path("/dev/null"), tmp_path) == (0, "")
    now = Path("/dev/null").stat()
    assert stat.S_ISCHR(now.st_mode)
    assert (now.st_ino, now.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_device_is_named(tmp_path: Path) -> None:
    assert embedded(Path("/dev/full"), tmp_path) == (
        2,
        "facecli: /dev/full: no space left on the disk\n",
    )
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_pipe_gets_all_bytes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    assert embedded(pipe, tmp_path) == (0, "")
    reader.join()
    (tmp_path / "read.npz").write_bytes(got[0])
    assert np.load(tmp_path / "read.npz")["embeddings"].shape == (1, 128)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, there: bool) -> None:
    """Also one that leads to no file yet: the file is made where it leads."""
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target.npz"
    if there:
        target.write_bytes(b"old")
    link, second = tmp_path / "link.npz", tmp_path / "second.npz"
    link.symlink_to("elsewhere/target.npz")
    second.symlink_to("link.npz")
    assert embedded(second, tmp_path) == (0, "")
    assert second.is_symlink()
    assert link.is_symlink()
    assert np.load(target)["embeddings"].shape == (1, 128)
    assert [one.name for one in target.parent.iterdir()] == ["target.npz"]


def test_nothing_reaches_a_device_if_the_block_fails(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def fail() -> None:
        with replacing(pipe, mode=PRIVATE) as stream:
            stream.write(b"half")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    # Nobody reads the pipe: to open it would have taken for ever.
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "x"):
        with pytest.raises(OSError, match=r".") as raised, replacing(path, mode=PRIVATE):
            pass
        assert raised.value.filename == str(path)
