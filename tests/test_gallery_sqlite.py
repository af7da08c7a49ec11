"""The SQLite gallery's file is private, is checked, and keeps nothing of who was forgotten."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_card, new_template
from galleries import takes, unit_vectors

from facecli.errors import GalleryError
from facecli.models import DIMENSION
from facecli.stores import connection, kind
from facecli.stores.gallery.sqlite import migrations
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import FloatArray

CARD = fake_card()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


@pytest.fixture
def on_disk(path: Path) -> Iterator[SqliteGallery]:
    with SqliteGallery(path) as gallery:
        yield gallery


class TestForgetting:
    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(3))
    def test_nothing_of_the_forgotten_is_left_in_the_files(self, path: Path, seed: int) -> None:
        """After a random life of the gallery, no 16 bytes of an erased vector remain, nor names."""
        chance = np.random.default_rng(seed)
        vectors = unit_vectors(400, seed=seed)
        names = [f"Person-{seed}-{number:03}-Surname" for number in range(80)]
        with SqliteGallery(path) as gallery:
            for start in range(0, 400, 50):
                batch = [
                    new_template(names[i % 80], vectors[i], f"photo{i}")
                    for i in range(start, start + 50)
                ]
                gallery.add(batch, CARD)
            gallery.merge(names[1], names[0])
            gone = [names[0], *chance.permutation(names[2:])[:40].tolist()]
            for name in gone[:5]:
                gallery.forget([name])
            assert gallery.forget(gone[5:]).scrubbed
            left = _raw_bytes(path)
            kept = gallery.matrix(CARD).embeddings
        erased = [vector for i, vector in enumerate(vectors) if _owner(i, names) in gone]
        assert len(erased) == 5 * 42
        assert len(kept) == 400 - len(erased)
        assert all(vector.tobytes() in left for vector in kept)
        assert not any(piece in left for vector in erased for piece in _pieces(vector))
        assert not any(name.encode() in left for name in gone)

    def test_before_that_the_log_did_hold_them(self, on_disk: SqliteGallery, path: Path) -> None:
        """The search above can find: a deletion without its clean-up leaves the vector."""
        (template,) = takes("Ada", 1)
        on_disk.add([template], CARD)
        with sqlite3.connect(path) as other:
            other.execute("DELETE FROM template")
        other.close()
        assert template.embedding.tobytes() in _raw_bytes(path)

    def test_a_reader_in_the_way_is_reported(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The person is gone, but the receipt does not claim what could not be done."""
        monkeypatch.setattr(kind, "BUSY_MILLISECONDS", 20)
        with SqliteGallery(path) as gallery:
            gallery.add(takes("Ada", 1), CARD)
            reader = sqlite3.connect(path)
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM person").fetchall()
            assert not gallery.forget(["Ada"]).scrubbed
            assert gallery.people() == []
            reader.close()


def _owner(number: int, names: list[str]) -> str:
    """Return who a vector belongs to at the end: the second person was merged into the first."""
    owner = names[number % 80]
    return names[0] if owner == names[1] else owner


def _raw_bytes(path: Path) -> bytes:
    files = [path.with_name(path.name + end) for end in ("", "-wal")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def _pieces(vector: FloatArray) -> list[bytes]:
    whole = vector.tobytes()
    return [whole[start : start + 16] for start in range(0, len(whole), 16)]


class TestStatistics:
    def test_statistics_tell_of_the_files(self, on_disk: SqliteGallery, path: Path) -> None:
        on_disk.add(takes("Ada", 2) + takes("Bob", 1, seed=1), CARD)
        found = on_disk.statistics()
        assert found.path == str(path)
        assert found.private
        assert found.size >= path.stat().st_size > 0
        path.chmod(0o640)
        assert not on_disk.statistics().private

    def test_one_in_memory_has_no_file(self, empty_gallery: SqliteGallery) -> None:
        found = empty_gallery.statistics()
        assert (found.path, found.size, found.private) == (":memory:", 0, True)


def tampered(path: Path, sql: str, *parameters: object) -> None:
    """Change the database behind the program's back, past what its schema refuses."""
    with sqlite3.connect(path) as outsider:
        outsider.execute("PRAGMA ignore_check_constraints = ON")
        outsider.execute("DROP TRIGGER template_still_fits")
        outsider.execute(sql, parameters)
    outsider.close()


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        unit_vectors(1)[0].tobytes()[:-1],
        np.zeros(DIMENSION, "<f4").tobytes(),
        np.full(DIMENSION, np.nan, "<f4").tobytes(),
        np.full(DIMENSION, np.float32(3e38), "<f4").tobytes(),
        (unit_vectors(1)[0] * np.float32(1.002)).tobytes(),
    ],
    ids=["empty", "short", "zero", "nan", "huge", "long"],
)
def test_a_damaged_template_is_named(path: Path, stored: bytes) -> None:
    """It is never searched, and the health check finds it too."""
    with SqliteGallery(path) as gallery:
        ids = gallery.add(takes("Ada", 2) + takes("Bob", 2, seed=1), CARD)
        tampered(path, "UPDATE template SET embedding = ? WHERE id = ?", stored, ids[2])
        with pytest.raises(GalleryError, match=f"template {ids[2]} of 'Bob' is damaged"):
            gallery.matrix(CARD)
        assert any(f"template {ids[2]} is not" in line for line in gallery.integrity_check())


def test_an_orphan_is_found_by_the_health_check(on_disk: SqliteGallery, path: Path) -> None:
    on_disk.add(takes("Ada", 1), CARD)
    tampered(path, "DELETE FROM person")
    assert any("template" in line and "person" in line for line in on_disk.integrity_check())


class TestTheFile:
    def test_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        """Folder, database, log and index, whatever the umask says."""
        path = tmp_path / "new" / "gallery.db"
        before = os.umask(0o000)
        try:
            with SqliteGallery(path) as gallery:
                gallery.add(takes("Ada", 1), CARD)
                modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert modes == dict.fromkeys(("gallery.db", "gallery.db-wal", "gallery.db-shm"), 0o600)
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_settings_are_taken(self, path: Path) -> None:
        opened = connection.open_connection(path, migrations.GALLERY, create=True)
        expected = dict.fromkeys(("foreign_keys", "secure_delete"), 1) | {
            "synchronous": 2,
            "journal_mode": "wal",
            "busy_timeout": kind.BUSY_MILLISECONDS,
        }
        found = {name: opened.execute(f"PRAGMA {name}").fetchone()[0] for name in expected}
        opened.close()
        assert found == expected
        assert kind.BUSY_MILLISECONDS >= 5000

    def test_a_setting_not_taken_is_an_error(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "SETTINGS", (("secure_delete", "OFF", 1),))
        with pytest.raises(GalleryError, match="refuses secure_delete"):
            SqliteGallery(path)

    def test_an_old_sqlite_is_named(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
        with pytest.raises(GalleryError, match=r"is too old: 3\.37\.0 is needed"):
            SqliteGallery(path)

    def test_opening_to_read_imports_no_sqlite_utils(self, path: Path) -> None:
        """Its import takes longer than reading ten thousand templates."""
        with SqliteGallery(path) as gallery:
            gallery.add(takes("Ada", 1), CARD)
        script = (
            "import sys\n"
            "from facecli.stores.opening import gallery_at\n"
            "with gallery_at(sys.argv[1]).open() as gallery:\n"
            "    (model,) = gallery.models()\n"
            "    assert len(gallery.matrix(model).embeddings) == 1\n"
            "    assert gallery.people()\n"
            "assert 'sqlite_utils' not in sys.modules\n"
        )
        command = [sys.executable, "-c", script, str(path)]
        subprocess.run(command, check=True)

    @pytest.mark.parametrize("name", ["file:x?mode=memory", ":memory:", "a%20b?c#d", "ü \n.db"])
    def test_a_strange_name_is_a_file_name(self, tmp_path: Path, name: str) -> None:
        with SqliteGallery(tmp_path / name) as gallery:
            gallery.add(takes("Ada", 1), CARD)
        assert [file.name for file in tmp_path.iterdir()] == [name]


def _text(path: Path) -> None:
    path.write_text("Dear diary\n" * 500)


def _short_text(path: Path) -> None:
    path.write_text("x")


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _other_database(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()


def _damaged_database(path: Path) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add(takes("Ada", 50), CARD)
    whole = bytearray(path.read_bytes())
    whole[4096 : 5 * 4096] = b"\xff" * (4 * 4096)
    path.write_bytes(bytes(whole))


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_text, "not a SQLite database"),
        (_short_text, "not a SQLite database"),
        (_folder, "a folder"),
        (_pipe, "not a regular file"),
        (_dangling_link, "there is none"),
        (_other_database, "another program's database"),
        (_damaged_database, "damaged"),
    ],
)
def test_what_is_no_gallery_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, prepare: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "it's\nhere.db"
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(GalleryError, match=reason) as caught:
        SqliteGallery(path)
    message = str(caught.value)
    assert message.isprintable()
    assert "here.db" in message
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("name", ["file/gallery.db", "nul\0.db", "x" * 300])
def test_an_impossible_place_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GalleryError, match=r"^gallery ") as caught:
        SqliteGallery(tmp_path / name)
    assert str(caught.value).isprintable()


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as nobody where the tests run as root, whom no mode keeps from writing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_place_is_refused_in_one_line() -> None:
    """Neither a new gallery nor one that lies there can be used: its log could not be written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with SqliteGallery(folder / "old.db") as gallery:
            gallery.add(takes("Ada", 1), CARD)
        (folder / "old.db").chmod(0o444)
        folder.chmod(0o555)
        with unprivileged():
            with pytest.raises(GalleryError, match=r"old\.db': .*read-only"):
                SqliteGallery(folder / "old.db")
            with pytest.raises(GalleryError, match=r"new\.db': Permission denied"):
                SqliteGallery(folder / "new.db")
        folder.chmod(0o700)


def test_a_closed_gallery_is_a_bug_not_a_message(empty_gallery: SqliteGallery) -> None:
    empty_gallery.close()
    with pytest.raises(sqlite3.ProgrammingError):
        empty_gallery.people()
