"""Backups are whole, private and checked; restoring is all or nothing, and readers see it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import fake_card
from galleries import takes
from waiting import until

from facecli.cli import cli
from facecli.errors import FacecliError, GalleryError
from facecli.files import GALLERY
from facecli.recognition.live import PeopleReader
from facecli.stores.copying import BESIDE, back_up, copyable, examine, put_back
from facecli.stores.decisions import DecisionLog
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.library import Library
from facecli.stores.opening import gallery_at

pytestmark = pytest.mark.base

CARD = fake_card()
PEOPLE = copyable("gallery")


def gallery_of(path: Path, *names: str) -> Path:
    with SqliteGallery(path) as gallery:
        for name in names:
            gallery.add(takes(name, 2, seed=len(name)), CARD)
    return path


def names_in(path: Path) -> list[str]:
    with SqliteGallery(path, create=False) as gallery:
        assert gallery.integrity_check() == []
        return [person.name for person in gallery.people()]


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return gallery_of(tmp_path / "gallery.db", "Ada", "Bob")


@pytest.fixture
def copy(gallery: Path) -> Path:
    """Return a backup of Ada and Bob; Cleo has been enrolled since."""
    file = gallery.with_name("copy.db")
    back_up(gallery, file, PEOPLE)
    gallery_of(gallery, "Cleo")
    return file


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, gallery: Path) -> Callable[..., Result]:
    monkeypatch.setenv(GALLERY[0], str(gallery))
    return lambda *words: CliRunner().invoke(cli, list(map(str, words)))


def with_little_room(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command that can make no file larger than 20 kB, as on a full disk."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from facecli.cli import cli\n"
        "cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


class TestBackup:
    def test_a_copy_is_private_whole_and_alone(self, gallery: Path, tmp_path: Path) -> None:
        file = tmp_path / "copy.db"
        assert back_up(gallery, file, PEOPLE).entries == 2
        assert file.stat().st_mode & 0o777 == 0o600
        assert names_in(file) == ["Ada", "Bob"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "gallery.db"]

    def test_what_a_killed_backup_left_goes_with_the_next(
        self, gallery: Path, tmp_path: Path
    ) -> None:
        for ending in ("", *BESIDE):
            (tmp_path / f".copy.db.part{ending}").write_bytes(b"left by a kill")
        back_up(gallery, tmp_path / "copy.db", PEOPLE)
        assert names_in(tmp_path / "copy.db") == ["Ada", "Bob"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "gallery.db"]

    def test_it_has_what_is_only_in_the_log_of_a_program_that_goes_on(
        self, gallery: Path, tmp_path: Path
    ) -> None:
        with SqliteGallery(gallery) as at_work:
            at_work.add(takes("Cleo", 1, seed=9), CARD)
            back_up(gallery, tmp_path / "copy.db", PEOPLE)
            at_work.add(takes("Dan", 1, seed=8), CARD)
        assert names_in(tmp_path / "copy.db") == ["Ada", "Bob", "Cleo"]
        assert names_in(gallery) == ["Ada", "Bob", "Cleo", "Dan"]

    def test_a_writer_in_the_middle_of_a_transaction_is_waited_for_by_nobody(
        self, gallery: Path, tmp_path: Path
    ) -> None:
        with SqliteGallery(gallery) as at_work, at_work.writing() as database:
            database.execute("DELETE FROM person")
            back_up(gallery, tmp_path / "copy.db", PEOPLE)
        assert names_in(tmp_path / "copy.db") == ["Ada", "Bob"]

    @pytest.mark.parametrize("there", ["file", "folder", "link to nothing", "device"])
    def test_what_is_there_is_not_replaced(
        self, there: str, run: Callable[..., Result], tmp_path: Path
    ) -> None:
        file = tmp_path / "copy.db"
        if there == "file":
            file.write_text("mine")
        elif there == "folder":
            file.mkdir()
        else:
            file.symlink_to("/dev/full" if there == "device" else "nowhere")
        before = file.lstat()
        done = run("backup", file)
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
        assert "it exists already" in done.stderr
        assert file.lstat() == before

    def test_a_damaged_template_is_found_before_a_sound_backup_is_thrown_away(
        self, run: Callable[..., Result], gallery: Path, tmp_path: Path
    ) -> None:
        with sqlite3.connect(gallery) as connection:
            connection.execute("UPDATE template SET embedding = zeroblob(512) WHERE id = 1")
        done = run("backup", tmp_path / "copy.db")
        assert done.exit_code == 2
        assert "template 1 is not a unit vector" in done.stderr
        assert not (tmp_path / "copy.db").exists()

    def test_a_full_disk_leaves_nothing(self, gallery: Path, tmp_path: Path) -> None:
        folder = tmp_path / "full"
        folder.mkdir()
        done = with_little_room("backup", folder / "copy.db", "--db", gallery)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "disk" in done.stderr
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("of", ["library", "log"])
    def test_the_other_databases(
        self, of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, file = tmp_path / "it.db", tmp_path / "copy.db"
        if of == "library":
            Library(path).close()
        else:
            with DecisionLog(path) as log:
                log.append([{"time": "2026-01-01T00:00:00.000+00:00"}])
        words = [file, "--of", of, f"--{of}", path]
        for command in ("backup", "restore"):
            yes = ["--yes"] if command == "restore" else []
            done = CliRunner().invoke(cli, [command, *map(str, words), *yes])
            assert done.exit_code == 0, done.output
        assert examine(file, copyable(of)).entries == (of == "log")

    def test_a_path_of_another_database_is_refused(
        self, run: Callable[..., Result], tmp_path: Path
    ) -> None:
        done = run("backup", tmp_path / "copy.db", "--log", "decisions.db")
        assert done.exit_code == 2
        assert "--log needs --of log" in done.stderr


class TestRestore:
    def test_it_asks_and_no_answer_is_no(self, run: Callable[..., Result], copy: Path) -> None:
        done = run("restore", copy)
        assert done.exit_code == 2
        assert names_in(copy.with_name("gallery.db")) == ["Ada", "Bob", "Cleo"]

    def test_all_is_put_back(self, run: Callable[..., Result], copy: Path, gallery: Path) -> None:
        done = run("restore", copy, "--yes")
        assert done.exit_code == 0, done.output
        assert "2 people restored" in done.stdout
        assert names_in(gallery) == ["Ada", "Bob"]
        assert names_in(copy) == ["Ada", "Bob"]

    def test_where_there_is_none_yet_one_is_made(self, copy: Path, tmp_path: Path) -> None:
        new = tmp_path / "new" / "gallery.db"
        assert put_back(copy, new, PEOPLE).entries == 2
        assert names_in(new) == ["Ada", "Bob"]
        assert new.stat().st_mode & 0o777 == 0o600
        assert new.parent.stat().st_mode & 0o777 == 0o700

    def test_the_log_of_a_database_that_is_gone_is_not_taken_for_its_own(
        self, copy: Path, gallery: Path
    ) -> None:
        keeper = SqliteGallery(gallery)
        keeper.add(takes("Dan", 1, seed=8), CARD)
        log = gallery.with_name("gallery.db-wal").read_bytes()
        keeper.close()
        for ending in ("", *BESIDE):
            gallery.with_name(gallery.name + ending).unlink(missing_ok=True)
        gallery.with_name("gallery.db-wal").write_bytes(log)
        put_back(copy, gallery, PEOPLE)
        assert names_in(gallery) == ["Ada", "Bob"]

    def test_programs_that_have_it_open_see_the_new_contents(
        self, copy: Path, gallery: Path
    ) -> None:
        reader = PeopleReader(gallery_at(gallery), lambda: CARD)
        assert set(reader.read().matrix.names.values()) == {"Ada", "Bob", "Cleo"}
        with SqliteGallery(gallery) as at_work, at_work.reading() as view:
            view.execute("SELECT count(*) FROM person").fetchone()
            put_back(copy, gallery, PEOPLE)
            assert view.execute("SELECT count(*) FROM person").fetchone() == (3,)
        assert set(reader.read().matrix.names.values()) == {"Ada", "Bob"}
        with SqliteGallery(gallery) as at_work:
            assert [one.name for one in at_work.people()] == ["Ada", "Bob"]
            put_back(copy, gallery, PEOPLE)
            at_work.add(takes("Dan", 1, seed=8), CARD)
        assert names_in(gallery) == ["Ada", "Bob", "Dan"]

    def test_a_program_that_writes_is_waited_for_and_then_said(
        self, copy: Path, gallery: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("facecli.stores.kind.BUSY_MILLISECONDS", 50)
        with SqliteGallery(gallery) as at_work, at_work.writing():  # noqa: SIM117
            with pytest.raises(GalleryError, match="another program is using it"):
                put_back(copy, gallery, PEOPLE)
        assert names_in(gallery) == ["Ada", "Bob", "Cleo"]

    @pytest.mark.parametrize(
        ("what", "said"),
        [
            ("nothing", "no such file"),
            ("folder", "a folder"),
            ("empty", "not a gallery"),
            ("text", "not a SQLite database"),
            ("cut", "damaged"),
            ("page", "damaged"),
            ("foreign", "not a gallery"),
            ("log", "use --of log"),
            ("newer", "newer facecli"),
            ("itself", "the backup itself"),
        ],
    )
    def test_what_is_no_sound_backup_is_refused_and_nothing_changes(
        self, what: str, said: str, run: Callable[..., Result], copy: Path, gallery: Path
    ) -> None:
        spoil(copy, what, gallery)
        done = run("restore", gallery if what == "itself" else copy, "--yes")
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
        assert said in done.stderr
        assert names_in(gallery) == ["Ada", "Bob", "Cleo"]

    def test_a_full_disk_keeps_what_was_there(self, copy: Path, gallery: Path) -> None:
        done = with_little_room("restore", copy, "--yes", "--db", gallery)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "disk" in done.stderr
        assert names_in(gallery) == ["Ada", "Bob", "Cleo"]

    @pytest.mark.parametrize("harm", ["page", "schema"])
    def test_a_damaged_database_is_mended_in_its_place(
        self, harm: str, copy: Path, gallery: Path
    ) -> None:
        data = bytearray(gallery.read_bytes())
        start, end = {"page": (4096, 3 * 4096), "schema": (100, 4096)}[harm]
        data[start:end] = b"\xff" * (end - start)
        gallery.write_bytes(data)
        put_back(copy, gallery, PEOPLE)
        assert names_in(gallery) == ["Ada", "Bob"]

    @pytest.mark.parametrize("harm", ["header", "cut"])
    def test_what_sqlite_cannot_open_has_to_be_moved_away(
        self, harm: str, run: Callable[..., Result], copy: Path, gallery: Path
    ) -> None:
        data = gallery.read_bytes()
        gallery.write_bytes(data[:4096] if harm == "cut" else b"\0" * 100 + data[100:])
        done = run("restore", copy, "--yes")
        assert done.exit_code == 2
        assert "move it away" in done.stderr
        gallery.unlink()
        assert run("restore", copy, "--yes").exit_code == 0
        assert names_in(gallery) == ["Ada", "Bob"]

    def test_another_programs_database_is_not_overwritten(
        self, run: Callable[..., Result], copy: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.db"
        with sqlite3.connect(other) as connection:
            connection.execute("CREATE TABLE mine (x)")
        before = other.read_bytes()
        done = run("restore", copy, "--yes", "--db", other)
        assert done.exit_code == 2
        assert "another program's database" in done.stderr
        assert other.read_bytes() == before

    def test_a_backup_in_a_folder_that_cannot_be_written(self, copy: Path, gallery: Path) -> None:
        """Also one with a write-ahead log's mark in its header, as `cp` makes it."""
        folder = copy.with_name("shelf")
        folder.mkdir()
        kept = folder / "copy.db"
        kept.write_bytes(gallery.read_bytes())
        folder.chmod(0o500)
        kept.chmod(0o400)
        try:
            assert put_back(kept, gallery, PEOPLE).entries == 3
            assert [path.name for path in folder.iterdir()] == ["copy.db"]
        finally:
            folder.chmod(0o700)


def spoil(copy: Path, what: str, gallery: Path) -> None:
    """Put something else in the place of a backup."""
    data = copy.read_bytes()
    if what == "itself":
        return
    copy.unlink()
    if what == "folder":
        copy.mkdir()
    elif what == "log":
        DecisionLog(copy).close()
    elif what in ("foreign", "newer"):
        if what == "newer":
            copy.write_bytes(data)
        with sqlite3.connect(copy) as connection:
            connection.execute("CREATE TABLE mine (x)")
            if what == "newer":
                connection.execute(
                    "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
                    "VALUES ('gallery', 'm9999', '')"
                )
    elif what != "nothing":
        middle = len(data) // 8192 * 4096
        harmed = {
            "empty": b"",
            "text": b"no database" * 100,
            "cut": data[:-4096],
            "page": data[:middle] + b"\xff" * 8192 + data[middle + 8192 :],
        }
        copy.write_bytes(harmed[what])


MANY = 60
"""Batches of people: enough pages that a kill can meet the copying."""


def copy_until_killed(folder: Path) -> None:
    """Back up and restore in turn, saying so."""
    for number in range(10_000):
        for name in ("large", "small"):
            put_back(folder / f"{name}.db", folder / "gallery.db", PEOPLE)
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()
        back_up(folder / "gallery.db", folder / f"copy-{number}.db", PEOPLE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_kill_leaves_the_one_or_the_other_whole(tmp_path: Path, seed: int) -> None:
    names = [f"person {number}" for number in range(MANY)]
    for name, people in (("large", names), ("small", names[:1])):
        with SqliteGallery(tmp_path / f"{name}.db") as gallery:
            made = [one for who, each in enumerate(people) for one in takes(each, 40, seed=who)]
            gallery.add(made, CARD)
    gallery_of(tmp_path / "gallery.db", "person 0")
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path.cwd()}"}
    child = subprocess.Popen(
        [sys.executable, __file__, "copy", str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    until((tmp_path / "copy-0.db").exists)
    time.sleep(random.Random(seed).uniform(0, 0.4))
    child.send_signal(signal.SIGKILL)
    child.stdout.read()
    assert child.wait() == -signal.SIGKILL
    assert len(names_in(tmp_path / "gallery.db")) in (1, MANY)
    for file in tmp_path.glob("copy-*.db"):
        assert examine(file, PEOPLE).entries == 1
    put_back(tmp_path / "large.db", tmp_path / "gallery.db", PEOPLE)
    assert len(names_in(tmp_path / "gallery.db")) == MANY


def enroll_until_killed(folder: Path) -> None:
    """Enroll pairs of people, each pair in one transaction."""
    number = 0
    while True:
        with SqliteGallery(folder / "gallery.db") as gallery:
            for _ in range(10):
                pair = [f"{number} left", f"{number} right"]
                number += 1
                gallery.add([one for name in pair for one in takes(name, 2, seed=number)], CARD)


@pytest.mark.slow
def test_a_program_that_enrolls_all_the_time_is_never_half_in_a_backup(tmp_path: Path) -> None:
    """And it goes on when an earlier state is put back under its feet."""
    gallery = gallery_of(tmp_path / "gallery.db", "Ada")
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path.cwd()}"}
    child = subprocess.Popen([sys.executable, __file__, "enroll", str(tmp_path)], env=environment)
    try:
        until(lambda: len(names_in(gallery)) > 1)
        for number in range(20):
            file = tmp_path / f"copy-{number}.db"
            assert back_up(gallery, file, PEOPLE).entries % 2 == 1
            assert len(names_in(file)) % 2 == 1
            if number % 5 == 4:
                put_back(tmp_path / "copy-0.db", gallery, PEOPLE)
                until(lambda: len(names_in(gallery)) > 5)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
    assert len(names_in(gallery)) % 2 == 1


def test_an_older_backup_gets_todays_schema(tmp_path: Path) -> None:
    from sqlite_utils import Database, Migrations

    steps = Migrations("gallery")
    steps()(PEOPLE.kind.steps[0])
    old = tmp_path / "old.db"
    steps.apply(database := Database(old))
    database.close()
    put_back(old, tmp_path / "gallery.db", PEOPLE)
    assert names_in(tmp_path / "gallery.db") == []


def test_a_name_that_cannot_be_is_one_line(gallery: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "none" / "copy.db", tmp_path / ("x" * 300)):
        with pytest.raises(FacecliError) as caught:
            back_up(gallery, file, PEOPLE)
        assert "\n" not in str(caught.value)


if __name__ == "__main__":
    (enroll_until_killed if sys.argv[1] == "enroll" else copy_until_killed)(Path(sys.argv[2]))
