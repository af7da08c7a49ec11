"""The photo library gives back exactly what it was told, forgets for good, and heals or refuses."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from fakes import embedding, fake_card
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.errors import LibraryError
from facecli.stores.library import FileState, Library
from facecli.stores.library.migrations import LIBRARY
from facecli.stores.library.pixels import compress, decompress
from facecli.types import (
    Acquisition,
    Detection,
    Face,
    FloatArray,
    Landmarks,
    PixelArray,
    Quality,
)

CARD = fake_card()
FINDER = "fake 1"
SHA = "ab" * 32
COORDINATE = st.floats(-1e5, 1e5, allow_nan=False)


def acquisition(sha256: str = SHA, faces: int = 2) -> Acquisition:
    """Return a picture whose faces and chips all differ."""
    random = np.random.default_rng(int(sha256[:8], 16))
    return Acquisition(
        source="a.jpg",
        sha256=sha256,
        size=(640, 480),
        faces=tuple(face(random) for _ in range(faces)),
        chips=tuple(random.integers(0, 256, (150, 150, 3), dtype=np.uint8) for _ in range(faces)),
        notes=("found in the picture given a border",),
    )


def face(random: np.random.Generator) -> Face:
    box = tuple(random.normal(size=4).tolist())
    points = random.normal(size=(5, 2)).tolist()
    a, b, c, d, e = (tuple(point) for point in points)
    landmarks: Landmarks = (a, b, c, d, e)
    return Face(Detection(box, landmarks, random.random()), Quality(*random.random(4).tolist()))


def vectors(faces: int = 2) -> FloatArray:
    return np.array([embedding(0, place) for place in range(faces)], np.float32).reshape(-1, 128)


def teach(
    library: Library,
    *pictures: Acquisition,
    paths: tuple[str, ...] = (),
    finder: str = FINDER,
    embed: bool = True,
) -> None:
    """Remember pictures, each seen at the path of its place, with embeddings."""
    library.remember(
        finder=finder,
        card=CARD,
        files={
            FileState(path, 1000, 2000): picture.sha256
            for path, picture in zip(paths, pictures, strict=False)
        },
        pictures=pictures,
        embeddings={one.sha256: vectors(len(one.faces)) for one in pictures if embed},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "photos.db"


def test_what_was_told_comes_back_to_the_last_bit(path: Path) -> None:
    """Also in another process's view: after closing and opening the file."""
    told = acquisition()
    with Library(path) as library:
        teach(library, told)
    with Library(path, create=False) as library:
        known = library.recall(SHA, finder=FINDER, card=CARD)
        chips = library.chips([(SHA, 1), (SHA, 0)])
    assert known is not None
    assert (known.size, known.faces, known.notes) == (told.size, told.faces, told.notes)
    np.testing.assert_array_equal(known.embeddings, vectors())
    np.testing.assert_array_equal(chips, told.chips[::-1])


@settings(max_examples=15)
@given(st.lists(COORDINATE, min_size=19, max_size=19))
def test_any_numbers_come_back(numbers: list[float]) -> None:
    box = (numbers[0], numbers[1], numbers[2], numbers[3])
    a, b, c, d, e = zip(numbers[4:9], numbers[9:14], strict=True)
    one = Face(Detection(box, (a, b, c, d, e), numbers[14]), Quality(*numbers[15:19]))
    told = dataclasses.replace(acquisition(faces=1), faces=(one,))
    with Library.memory() as library:
        teach(library, told)
        known = library.recall(SHA, finder=FINDER, card=CARD)
    assert known is not None
    assert known.faces == (one,)


def test_a_picture_without_faces_is_known_to_have_none() -> None:
    with Library.memory() as library:
        teach(library, acquisition(faces=0))
        known = library.recall(SHA, finder=FINDER, card=CARD)
    assert known is not None
    assert known.faces == ()
    assert known.embeddings is not None
    assert known.embeddings.shape == (0, CARD.dimension)


def test_finders_and_models_are_kept_apart() -> None:
    """What one version or model said is no answer to what another would say."""
    with Library.memory() as library:
        teach(library, acquisition())
        assert library.recall(SHA, finder="fake 2", card=CARD) is None
        other = library.recall(SHA, finder=FINDER, card=fake_card("other"))
        assert other is not None
        assert other.embeddings is None
        newer = dataclasses.replace(acquisition(), chips=acquisition("cd" * 32).chips)
        teach(library, newer, finder="fake 2")
        np.testing.assert_array_equal(library.chips([(SHA, 0)])[0], newer.chips[0])
        old = library.chips([(SHA, 0)], finder=FINDER)
        np.testing.assert_array_equal(old[0], acquisition().chips[0])


def test_a_picture_looked_at_again_takes_the_place_of_the_old_one() -> None:
    with Library.memory() as library:
        teach(library, acquisition(faces=3))
        teach(library, acquisition(faces=1))
        known = library.recall(SHA, finder=FINDER, card=CARD)
        assert known is not None
        assert len(known.faces) == 1
        assert library.statistics().faces == 1


@pytest.mark.parametrize("name", ["a.jpg", "ü 'x'", "line\nbreak.jpg", os.fsdecode(b"\xff.jpg")])
def test_a_file_is_known_while_size_and_time_stay(name: str) -> None:
    """Whatever its name, which need not be text."""
    file = FileState(f"/photos/{name}", 10, 20)
    with Library.memory() as library:
        library.remember(finder=FINDER, card=CARD, files={file: SHA}, pictures=(), embeddings={})
        assert library.content(file) == SHA
        assert library.content(dataclasses.replace(file, size=11)) is None
        assert library.content(dataclasses.replace(file, mtime_ns=21)) is None
        assert library.content(dataclasses.replace(file, path="/photos/b.jpg")) is None


class TestForgetting:
    PATHS = ("/p/a.jpg", "/p/sub/b.jpg", "/p2/c.jpg", "/p/sub-b/d.jpg")
    SHAS = tuple(f"{number}a" * 32 for number in range(4))

    @pytest.fixture
    def library(self, path: Path) -> Library:
        library = Library(path)
        teach(library, *map(acquisition, self.SHAS), paths=self.PATHS)
        return library

    def left(self, library: Library) -> list[int]:
        return [
            place
            for place, sha256 in enumerate(self.SHAS)
            if library.recall(sha256, finder=FINDER, card=CARD)
        ]

    @pytest.mark.parametrize(
        ("what", "left"),
        [("/p", [2]), ("/p/", [2]), ("/p/sub", [0, 2, 3]), ("/p/a.jpg", [1, 2, 3]), ("/", [])],
    )
    def test_takes_what_lies_at_or_below_a_path(
        self, library: Library, what: str, left: list[int]
    ) -> None:
        """And not what lies beside it under a longer name."""
        receipt = library.forget([Path(what)])
        assert self.left(library) == left
        assert (receipt.photos, receipt.faces) == (4 - len(left), 2 * (4 - len(left)))

    def test_takes_what_a_file_held_before_it_changed(self, library: Library) -> None:
        changed = FileState("/p/a.jpg", 1, 1)
        new = "ee" * 32
        library.remember(finder=FINDER, card=CARD, files={changed: new}, pictures=[], embeddings={})
        library.forget([Path("/p/a.jpg")])
        assert self.left(library) == [1, 2, 3]
        assert library.content(changed) is None

    def test_leaves_nothing_in_the_files(self, library: Library, path: Path) -> None:
        """Neither embeddings nor chips nor names, in the database or its log."""
        traces = [
            vectors()[1].tobytes(),
            compress(acquisition(self.SHAS[0]).chips[0])[40:140],
            b"/p/a.jpg",
        ]
        holding = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert all(trace in holding for trace in traces)
        assert library.clear().scrubbed
        holding = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert not any(trace in holding for trace in traces)
        assert library.statistics().photos == library.statistics().files == 0


def test_a_damaged_embedding_is_one_that_is_not_there() -> None:
    with Library.memory() as library:
        teach(library, acquisition())
        with library.writing() as database:
            database.execute("UPDATE embedding SET vector = zeroblob(512) WHERE face_id = 1")
        known = library.recall(SHA, finder=FINDER, card=CARD)
    assert known is not None
    assert known.embeddings is None


def test_a_damaged_chip_and_an_unknown_face_are_named() -> None:
    with Library.memory() as library:
        teach(library, acquisition())
        with library.writing() as database:
            database.execute("UPDATE chip SET pixels = substr(pixels, 1, 500) WHERE face_id = 1")
        with pytest.raises(LibraryError, match=r"face 0 of photo 'abababababab' is damaged"):
            library.chips([(SHA, 0)])
        with pytest.raises(LibraryError, match="face 2 of photo 'abababababab' is not in it"):
            library.chips([(SHA, 2)])


def test_a_model_has_embeddings_of_its_own_dimension(path: Path) -> None:
    """Of two models of one library; a vector of another length counts as one that is missing."""
    narrow = dataclasses.replace(fake_card("narrow"), dimension=64)
    rows = np.eye(2, 64, dtype=np.float32)
    with Library(path) as library:
        teach(library, acquisition())
        library.remember(finder=FINDER, card=narrow, files={}, pictures=[], embeddings={SHA: rows})
        known = library.recall(SHA, finder=FINDER, card=narrow)
        assert known is not None
        np.testing.assert_array_equal(known.embeddings, rows)
        wide = library.recall(SHA, finder=FINDER, card=CARD)
        assert wide is not None
        assert wide.embeddings is not None
        assert wide.embeddings.shape == (2, CARD.dimension)
        with library.writing() as database:
            database.execute("UPDATE embedding SET vector = zeroblob(252) WHERE model_id = 2")
        known = library.recall(SHA, finder=FINDER, card=narrow)
        assert known is not None
        assert known.embeddings is None
        with pytest.raises(ValueError, match="expected 64 numbers"):
            library.remember(
                finder=FINDER, card=narrow, files={}, pictures=[], embeddings={SHA: wide.embeddings}
            )


def test_nothing_is_stored_of_a_batch_that_fails() -> None:
    bad = {"cd" * 32: np.zeros((1, 128), np.float32)}
    with Library.memory() as library:
        with pytest.raises(ValueError, match="length 1"):
            library.remember(
                finder=FINDER, card=CARD, files={}, pictures=[acquisition()], embeddings=bad
            )
        assert library.statistics().photos == 0


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 150]))
def test_compression_loses_nothing(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    chip: PixelArray = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    chip[: size // 2] //= 64
    np.testing.assert_array_equal(decompress(compress(chip)), chip)


def test_a_damaged_library_says_how_to_go_on(path: Path) -> None:
    with Library(path) as library:
        teach(library, *(acquisition(f"{number:02d}" * 32) for number in range(20)))
    whole = bytearray(path.read_bytes())
    whole[4096 : 5 * 4096] = b"\xff" * (4 * 4096)
    path.write_bytes(bytes(whole))
    with pytest.raises(LibraryError, match="damaged: restore a backup, or delete it") as caught:
        Library(path)
    assert str(caught.value).isprintable()


def test_a_gallery_is_no_library(path: Path) -> None:
    from facecli.errors import GalleryError
    from facecli.stores.gallery.sqlite.store import SqliteGallery

    SqliteGallery(path).close()
    with pytest.raises(LibraryError, match="another program's database"):
        Library(path)
    Library(path.with_name("b.db")).close()
    with pytest.raises(GalleryError, match="another program's database"):
        SqliteGallery(path.with_name("b.db"))


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    with Library(path) as library:
        teach(library, acquisition())
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
        assert library.statistics().private


# The library as version 1 made it. Never change this text: it stands for the files people have.
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
        (1, 'photo library', 'm0001_photos_and_faces', '2026-11-23 12:00:00.000000+00:00');
    CREATE TABLE file (
        path BLOB NOT NULL,
        sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        PRIMARY KEY (path, sha256)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX file_sha256 ON file (sha256);
    CREATE TABLE picture (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
        finder TEXT NOT NULL CHECK (finder <> ''),
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        notes TEXT NOT NULL,
        UNIQUE (sha256, finder)
    ) STRICT;
    CREATE TABLE face (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        picture_id INTEGER NOT NULL REFERENCES picture (id) ON DELETE CASCADE,
        number INTEGER NOT NULL CHECK (number >= 0),
        box_left REAL NOT NULL,
        box_top REAL NOT NULL,
        box_right REAL NOT NULL,
        box_bottom REAL NOT NULL,
        landmarks BLOB NOT NULL CHECK (length(landmarks) = 80),
        confidence REAL NOT NULL,
        eye_distance REAL NOT NULL,
        sharpness REAL NOT NULL,
        brightness REAL NOT NULL,
        turn REAL NOT NULL,
        UNIQUE (picture_id, number)
    ) STRICT;
    CREATE TABLE chip (
        face_id INTEGER PRIMARY KEY REFERENCES face (id) ON DELETE CASCADE,
        pixels BLOB NOT NULL
    ) STRICT;
    CREATE TABLE model (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE CHECK (fingerprint <> ''),
        name TEXT NOT NULL
    ) STRICT;
    CREATE TABLE embedding (
        face_id INTEGER NOT NULL REFERENCES face (id) ON DELETE CASCADE,
        model_id INTEGER NOT NULL REFERENCES model (id),
        vector BLOB NOT NULL CHECK (length(vector) = 512),
        PRIMARY KEY (face_id, model_id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO file VALUES (x'2f612e6a7067',
        'abababababababababababababababababababababababababababababababab', 10, 20);
    INSERT INTO picture VALUES (1,
        'abababababababababababababababababababababababababababababababab', 'fake 1', 640, 480,
        '["a note"]');
    INSERT INTO face VALUES (1, 1, 0, 1.5, 2, 3, 4, zeroblob(80), 0.99, 50, 10, 100, 0.1);
"""


def schema(path: Path) -> set[str]:
    """Return the tables and indexes of a database as SQL without its spacing."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {"".join(sql.split()).replace('"', "") for (sql,) in rows}


@pytest.fixture
def version_1(path: Path) -> Path:
    database = sqlite3.connect(path)
    database.executescript(VERSION_1)
    database.close()
    return path


def test_a_library_of_version_1_is_read(version_1: Path) -> None:
    with Library(version_1) as library:
        assert library.content(FileState("/a.jpg", 10, 20)) == SHA
        known = library.recall(SHA, finder=FINDER, card=CARD)
        assert known is not None
        assert known.notes == ("a note",)
        assert known.faces[0].detection.box == (1.5, 2.0, 3.0, 4.0)
        assert known.faces[0].quality == Quality(50, 10, 100, 0.1)
        assert known.embeddings is None
        teach(library, acquisition())


def test_a_new_library_and_an_upgraded_one_are_the_same(version_1: Path, tmp_path: Path) -> None:
    """So that no released step was edited."""
    Library(version_1).close()
    Library(tmp_path / "new.db").close()
    assert schema(tmp_path / "new.db") == schema(version_1)


def test_steps_are_numbered_without_gaps() -> None:
    names = LIBRARY.known()
    assert [int(name[1:5]) for name in names] == list(range(1, len(names) + 1))
