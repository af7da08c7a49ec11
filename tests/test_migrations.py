"""A gallery made by any version of the program opens in this one, or says why it cannot."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import embedding, fake_card, new_template
from sqlite_utils import Database

from facecli.errors import GalleryError
from facecli.stores.gallery.sqlite import migrations
from facecli.stores.gallery.sqlite.store import SqliteGallery

FINGERPRINT = "ab" * 32
VECTOR = np.full(128, 128**-0.5, "<f4")

# The database as version 1 made it. Never change this text: it stands for the files people have.
VERSION_1 = """
    CREATE TABLE "_sqlite_migrations" (
       "id" INTEGER PRIMARY KEY,
       "migration_set" TEXT,
       "name" TEXT,
       "applied_at" TEXT
    );
    CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
        ON "_sqlite_migrations" ("migration_set", "name");
    INSERT INTO "_sqlite_migrations" VALUES
        (1, 'gallery', 'm0001_people_and_templates', '2026-11-23 12:00:00.000000+00:00');
    CREATE TABLE model (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE CHECK (fingerprint <> ''),
        name TEXT NOT NULL,
        dimension INTEGER NOT NULL CHECK (dimension = 128),
        created TEXT NOT NULL
    ) STRICT;
    CREATE TABLE person (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL CHECK (name <> ''),
        name_key TEXT NOT NULL UNIQUE CHECK (name_key <> ''),
        external_id TEXT UNIQUE CHECK (external_id <> ''),
        created TEXT NOT NULL
    ) STRICT;
    CREATE TABLE template (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        model_id INTEGER NOT NULL REFERENCES model (id),
        person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
        embedding BLOB NOT NULL CHECK (length(embedding) = 512),
        image_sha256 TEXT NOT NULL CHECK (image_sha256 <> ''),
        box_left REAL NOT NULL,
        box_top REAL NOT NULL,
        box_right REAL NOT NULL,
        box_bottom REAL NOT NULL,
        eye_distance REAL NOT NULL,
        sharpness REAL NOT NULL,
        brightness REAL NOT NULL,
        turn REAL NOT NULL,
        created TEXT NOT NULL,
        UNIQUE (image_sha256, model_id, box_left, box_top, box_right, box_bottom)
    ) STRICT;
    CREATE INDEX template_person ON template (person_id);
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        generation INTEGER NOT NULL
    ) STRICT;
    INSERT INTO meta (id, generation) VALUES (1, 1234);
    CREATE TRIGGER person_insert AFTER INSERT ON person
        BEGIN UPDATE meta SET generation = random(); END;
    CREATE TRIGGER person_update AFTER UPDATE ON person
        BEGIN UPDATE meta SET generation = random(); END;
    CREATE TRIGGER person_delete AFTER DELETE ON person
        BEGIN UPDATE meta SET generation = random(); END;
    CREATE TRIGGER template_insert AFTER INSERT ON template
        BEGIN UPDATE meta SET generation = random(); END;
    CREATE TRIGGER template_update AFTER UPDATE ON template
        BEGIN UPDATE meta SET generation = random(); END;
    CREATE TRIGGER template_delete AFTER DELETE ON template
        BEGIN UPDATE meta SET generation = random(); END;
"""


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A gallery of version 1 with Zoë in it."""
    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    old.execute("PRAGMA journal_mode = WAL")
    old.executescript(VERSION_1)
    old.execute(
        "INSERT INTO model VALUES (1, ?, 'dlib-29', 128, '2026-11-23T12:00:00+00:00')",
        (FINGERPRINT,),
    )
    old.execute("INSERT INTO person VALUES (4, 'Zoë', 'zoë', 'E-7', '2026-11-23T12:00:00+00:00')")
    old.execute(
        "INSERT INTO template VALUES (9, 1, 4, ?, ?, 1, 2, 3, 4, 80, 500, 120, 0, "
        "'2026-11-23T12:00:00+00:00')",
        (VECTOR.tobytes(), "cd" * 32),
    )
    old.commit()
    old.close()
    return path


def schema(path: Path) -> list[tuple[str, str]]:
    """Return every object's name and SQL, spacing aside."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    database.close()
    return sorted((name, re.sub(r"\s+", " ", sql)) for name, sql in rows)


def assert_zoe_is_there(gallery: SqliteGallery) -> None:
    (person,) = gallery.people()
    assert (person.id, person.name, person.external_id, person.templates) == (4, "Zoë", "E-7", 1)
    (template,) = gallery.templates_of("ZOË")
    assert (template.id, template.box) == (9, (1.0, 2.0, 3.0, 4.0))
    (model,) = gallery.models()
    matrix = gallery.matrix(model)
    np.testing.assert_array_equal(matrix.embeddings, VECTOR[None])
    assert gallery.integrity_check() == []


def test_a_gallery_of_version_1_opens_with_all_that_is_in_it(version_1: Path) -> None:
    with SqliteGallery(version_1, create=False) as gallery:
        assert_zoe_is_there(gallery)
        assert gallery.generation() != 0
        assert gallery.calibrations() == []
        gallery.forget(["zoë"])
        assert gallery.people() == []


def test_a_new_gallery_and_an_upgraded_one_are_the_same(version_1: Path, tmp_path: Path) -> None:
    """So that no released step was edited, and the new program's tables are the old file's."""
    SqliteGallery(version_1).close()
    SqliteGallery(tmp_path / "new.db").close()
    assert schema(tmp_path / "new.db") == schema(version_1)


def test_an_upgrade_is_no_change_to_those_who_hold_the_templates(version_1: Path) -> None:
    """The step that writes the tables anew keeps the generation: nobody has to read again."""
    database = sqlite3.connect(version_1)
    (before,) = database.execute("SELECT generation FROM meta").fetchone()
    database.close()
    with SqliteGallery(version_1) as gallery:
        assert gallery.generation() == before


def test_ids_of_the_forgotten_do_not_come_back_through_a_step(version_1: Path) -> None:
    """Template 9 was not the last: the step that makes the table anew must know that."""
    database = sqlite3.connect(version_1)
    database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('x', 0)")
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'x'")
    database.execute("UPDATE sqlite_sequence SET seq = 41 WHERE name = 'template'")
    database.commit()
    database.close()
    card = replace(fake_card(), fingerprint=FINGERPRINT)
    with SqliteGallery(version_1) as gallery:
        assert gallery.add([new_template("Ada", embedding(0, 0))], card) == [42]
        gallery.forget(["ada", "zoë"])
        assert gallery.add([new_template("Ada", embedding(0, 0))], card) == [43]


def patch_steps(patch: pytest.MonkeyPatch, *steps: Callable[[Database], None]) -> None:
    """Give the program more steps, as a later version will have."""
    later = replace(migrations.GALLERY, steps=(*migrations.GALLERY.steps, *steps))
    patch.setattr(migrations, "GALLERY", later)


def test_an_old_gallery_passes_through_the_steps_it_lacks_once(
    version_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def m0004_note(database: Database) -> None:
        database.table("note").create({"id": int, "text": str}, pk="id", strict=True)
        database.table("note").insert({"text": "made"})

    patch_steps(monkeypatch, m0004_note)
    for _ in range(2):
        with SqliteGallery(version_1) as gallery:
            assert_zoe_is_there(gallery)
            assert gallery.statistics().schema_version == 4
    database = sqlite3.connect(version_1)
    assert database.execute("SELECT text FROM note").fetchall() == [("made",)]
    database.close()


def test_a_step_that_fails_leaves_the_gallery_as_it_was(
    version_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together with the steps before it: there is no half-way schema."""

    def m0004_fine(database: Database) -> None:
        database.table("fine").create({"id": int}, pk="id")

    def m0005_broken(database: Database) -> None:
        database.execute("DELETE FROM person")
        database.execute("CREATE TABLE person (id)")

    before = schema(version_1)
    with monkeypatch.context() as patch:
        patch_steps(patch, m0004_fine, m0005_broken)
        with pytest.raises(GalleryError, match="person already exists"):
            SqliteGallery(version_1)
    assert schema(version_1) == before
    with SqliteGallery(version_1) as gallery:
        assert_zoe_is_there(gallery)


def test_a_newer_gallery_is_refused_and_left_alone(version_1: Path) -> None:
    database = sqlite3.connect(version_1)
    database.execute("INSERT INTO _sqlite_migrations VALUES (2, 'gallery', 'm0004_future', '2027')")
    database.commit()
    database.close()
    before = version_1.read_bytes()
    with pytest.raises(GalleryError, match=r"newer facecli \(schema 2, .* knows 3\): upgrade"):
        SqliteGallery(version_1)
    assert version_1.read_bytes() == before


def test_steps_are_numbered_without_gaps() -> None:
    numbers = [int(re.fullmatch(r"m(\d{4})_\w+", name)[1]) for name in migrations.GALLERY.known()]  # type: ignore[index]
    assert numbers == list(range(1, len(numbers) + 1))


def _no_change(database: sqlite3.Connection) -> None:
    database.execute("SELECT * FROM template JOIN person").fetchall()


CALIBRATE = (
    "INSERT INTO calibration VALUES ('ab', 'm', 1, 1e-4, 0, 1, 2, 3, 0, NULL, 'here', 'now', '{}')"
)
CHANGES = (
    "INSERT INTO person VALUES (5, 'Ada', 'ada', NULL, '')",
    "UPDATE person SET name = 'ZOË'",
    "DELETE FROM template",
    "UPDATE template SET person_id = 4",
    "INSERT INTO template SELECT 10, model_id, person_id, embedding, 'ef', 0, 0, 0, 0, 0, 0, 0, 0, "
    "'' FROM template",
    "DELETE FROM person",
    CALIBRATE,
)


@pytest.mark.parametrize("sql", CHANGES)
def test_whoever_changes_people_or_templates_changes_the_generation(
    version_1: Path, sql: str
) -> None:
    """The database sees to it by itself, so that no program can forget to."""
    with SqliteGallery(version_1) as gallery:
        before = gallery.generation()
        other = sqlite3.connect(version_1)
        _no_change(other)
        assert gallery.generation() == before
        with other:
            other.execute(sql)
        other.close()
        assert gallery.generation() != before


BAD_ROWS = (
    ("UPDATE template SET embedding = zeroblob(508)", "has the dimension of its model"),
    ("UPDATE template SET embedding = substr(hex(embedding), 1, 512)", "TEXT"),
    (
        "INSERT INTO template SELECT 10, model_id, person_id, zeroblob(516), 'ef', 0, 0, 0, 0, "
        "0, 0, 0, 0, '' FROM template",
        "has the dimension of its model",
    ),
    (
        "INSERT INTO model VALUES (2, 'ff', 'narrow', 64, ''); UPDATE template SET model_id = 2",
        "has the dimension of its model",
    ),
    ("UPDATE model SET dimension = 64", "dimension of a model does not change"),
    ("INSERT INTO model VALUES (2, 'ff', 'none', 0, '')", "CHECK"),
    ("UPDATE template SET box_left = NULL", "NOT NULL"),
    ("UPDATE template SET person_id = 77", "FOREIGN KEY"),
    ("UPDATE template SET sharpness = 'sharp'", "TEXT"),
    ("UPDATE person SET name_key = ''", "CHECK"),
    ("INSERT INTO person VALUES (5, 'ZOË', 'zoë', NULL, '')", "UNIQUE"),
    ("INSERT INTO meta VALUES (2, 0)", "CHECK"),
    ("DELETE FROM model", "FOREIGN KEY"),
)


@pytest.mark.parametrize(("sql", "reason"), BAD_ROWS)
def test_the_schema_itself_refuses_what_must_not_be(version_1: Path, sql: str, reason: str) -> None:
    SqliteGallery(version_1).close()
    database = sqlite3.connect(version_1)
    database.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError, match=reason):
        database.executescript(sql)
    database.close()


@pytest.mark.slow
def test_those_who_open_a_new_gallery_at_once_make_one(tmp_path: Path) -> None:
    """Eight at a time, from the very moment when there is no file: none fails, none is missing."""
    with ThreadPoolExecutor(8) as pool:
        for attempt in range(40):
            path = tmp_path / f"{attempt}.db"
            start = threading.Barrier(8)

            def open_it(path: Path = path, start: threading.Barrier = start) -> int:
                start.wait()
                with SqliteGallery(path) as gallery:
                    return gallery.statistics().schema_version

            versions = [pool.submit(open_it) for _ in range(8)]
            assert {version.result() for version in versions} == {len(migrations.GALLERY.steps)}


def test_opening_waits_for_a_program_that_is_making_the_gallery(tmp_path: Path) -> None:
    """SQLite itself gives up at once when the log is to be set up while another one writes."""
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.1, other.rollback).start()
    with SqliteGallery(path) as gallery:
        assert gallery.people() == []
    other.close()


@pytest.mark.parametrize("interrupted", [b"", b"wal"], ids=["empty-file", "empty-database"])
def test_a_gallery_whose_making_was_cut_short_is_made_now(
    tmp_path: Path, interrupted: bytes
) -> None:
    """The file is there before its tables are: a kill in between must not leave it unusable."""
    path = tmp_path / "cut.db"
    path.touch()
    if interrupted:
        half = sqlite3.connect(path)
        half.execute("PRAGMA journal_mode = WAL")
        half.close()
    with SqliteGallery(path) as gallery:
        assert gallery.people() == []
