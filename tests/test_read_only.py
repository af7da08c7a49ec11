"""What cannot be written can be read: a read-only place, a read-only disk, a full disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, embedding, new_template, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.errors import GalleryError
from facecli.stores import connection
from facecli.stores.decisions import DecisionLog
from facecli.stores.gallery.sqlite.store import SqliteGallery

Seal = Callable[[], None]


def fill(folder: Path) -> Path:
    """Make a gallery of Ada and a log of one decision."""
    with SqliteGallery(folder / "gallery.db") as gallery:
        gallery.add([new_template("Ada", embedding(0, 0))], FakeEncoder().card)
    with DecisionLog(folder / "log.db") as log:
        log.append([{"time": "2026-01-01T00:00:00.000+00:00", "person": "Ada"}])
    return folder / "gallery.db"


def mounted(folder: Path) -> None:
    """Mount a file system of 6 MB, where the tests may."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("mounting is not allowed here")


@pytest.fixture(params=["read-only disk", "full disk", "read-only folder"])
def sealed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A gallery where nothing can be written."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "read-only folder":
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        place = fill(folder)
        for file in folder.iterdir():
            file.chmod(0o400)
        folder.chmod(0o500)
        yield place
        folder.chmod(0o700)
        return
    mounted(folder)
    try:
        place = fill(folder)
        if request.param == "full disk":
            with pytest.raises(OSError, match="space"):
                (folder / "ballast").write_bytes(bytes(8 * 2**20))
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield place
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def run(gallery: Path, *words: object) -> Result:
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    texts = ["--db", str(gallery), *map(str, words)]
    return CliRunner().invoke(cli, texts, obj=settings)


def test_it_can_be_read(sealed: Path, tmp_path: Path) -> None:
    photo = paint(tmp_path / "a.png", PaintedFace(0))
    assert "Ada" in run(sealed, "people", "list").stdout
    assert "Ada" in run(sealed, "people", "show", "Ada").stdout
    found = run(sealed, "identify", photo)
    assert found.exit_code == 0, found.output
    assert "Ada" in found.stdout
    assert run(sealed, "verify", photo, "person:Ada").exit_code == 0
    log = sealed.with_name("log.db")
    assert "Ada" in run(sealed, "log", "show", "--log", log).stdout
    assert run(sealed, "log", "verify", "--log", log).exit_code == 0


def test_a_change_is_refused_in_one_line_and_changes_nothing(sealed: Path) -> None:
    before = sealed.read_bytes()
    for words in (["rename", "Ada", "Eve"], ["forget", "Ada", "--yes"]):
        result = run(sealed, "people", *words)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert "gallery.db" in line
        assert any(one in line for one in ("full", "not writable", "read-only"))
    assert sealed.read_bytes() == before


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery that SQLite says it cannot open to write, on any machine."""
    place = fill(tmp_path)

    def refuse(*_: object) -> None:
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise error

    monkeypatch.setattr(connection, "connect", refuse)
    return place


def test_a_copy_is_read_and_refuses_changes(unwritable: Path) -> None:
    with SqliteGallery(unwritable, create=False) as gallery:
        assert [person.name for person in gallery.people()] == ["Ada"]
        assert gallery.integrity_check() == []
        with pytest.raises(GalleryError, match="it cannot be written"):
            gallery.forget(["Ada"])
        assert [person.name for person in gallery.people()] == ["Ada"]
    with pytest.raises(GalleryError, match="it cannot be written"):
        SqliteGallery(unwritable)


def test_a_file_with_a_write_ahead_log_is_not_read_without_it(unwritable: Path) -> None:
    """Its newest changes, perhaps that someone was forgotten, are only there."""
    unwritable.with_name("gallery.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(GalleryError, match="it cannot be written"):
        SqliteGallery(unwritable, create=False)
