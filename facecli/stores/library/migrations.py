"""The library's schema as numbered steps: a released step never changes, new ones are appended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.errors import LibraryError
from facecli.stores.kind import Kind

if TYPE_CHECKING:
    from sqlite_utils import Database

PHOTOS_AND_FACES = """
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
"""

ALBUMS = """
CREATE TABLE identity (
    id INTEGER PRIMARY KEY AUTOINCREMENT
) STRICT;

CREATE TABLE sighting (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    box_left REAL NOT NULL,
    box_top REAL NOT NULL,
    box_right REAL NOT NULL,
    box_bottom REAL NOT NULL,
    identity_id INTEGER NOT NULL REFERENCES identity (id),
    squared_l2 REAL NOT NULL,
    UNIQUE (sha256, box_left, box_top, box_right, box_bottom)
) STRICT;
CREATE INDEX sighting_identity ON sighting (identity_id);

CREATE TABLE correction (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    said TEXT NOT NULL CHECK (said <> ''),
    created TEXT NOT NULL
) STRICT;

CREATE TABLE fact (
    id INTEGER PRIMARY KEY,
    correction_id INTEGER NOT NULL REFERENCES correction (id) ON DELETE CASCADE,
    ended_by INTEGER REFERENCES correction (id) ON DELETE SET NULL,
    kind TEXT NOT NULL CHECK (kind IN ('same', 'different', 'name')),
    one_id INTEGER NOT NULL REFERENCES sighting (id) ON DELETE CASCADE,
    other_id INTEGER REFERENCES sighting (id) ON DELETE CASCADE,
    name TEXT CHECK (name <> ''),
    CHECK ((kind = 'name') = (name IS NOT NULL) AND (kind = 'name') = (other_id IS NULL))
) STRICT;
CREATE INDEX fact_correction ON fact (correction_id);
CREATE INDEX fact_one ON fact (one_id);
CREATE INDEX fact_other ON fact (other_id);
CREATE INDEX fact_ended ON fact (ended_by);

CREATE TABLE move (
    correction_id INTEGER NOT NULL REFERENCES correction (id) ON DELETE CASCADE,
    sighting_id INTEGER NOT NULL REFERENCES sighting (id) ON DELETE CASCADE,
    identity_id INTEGER NOT NULL REFERENCES identity (id),
    PRIMARY KEY (correction_id, sighting_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX move_sighting ON move (sighting_id);
"""


def m0001_photos_and_faces(database: Database) -> None:
    """Create files, pictures, faces, chips, models and embeddings.

    A file is stored with every content it has had, so that all of them can be forgotten by its
    path. A path is bytes, as not every file name is text. Chips have their own table, as a chip is
    a hundred times as large as all else that is stored of a face.
    """
    database.executescript(PHOTOS_AND_FACES)


def m0002_albums(database: Database) -> None:
    """Create clusters, the faces in them, and corrections as facts about faces.

    A face is a box in a picture, which is known by its content; it is not a row of `face`. So
    corrections stay valid when the library is filled again and when a detector moves boxes a
    little. A correction can be undone: when its row is deleted, the facts that it ended hold again,
    and faces return to the clusters that it moved them from. AUTOINCREMENT makes sure that a
    cluster's number is never used again for other people.
    """
    database.executescript(ALBUMS)


ANY_DIMENSION = """
CREATE TABLE embedding_new (
    face_id INTEGER NOT NULL REFERENCES face (id) ON DELETE CASCADE,
    model_id INTEGER NOT NULL REFERENCES model (id),
    vector BLOB NOT NULL CHECK (length(vector) > 0 AND length(vector) % 4 = 0),
    PRIMARY KEY (face_id, model_id)
) STRICT, WITHOUT ROWID;
INSERT INTO embedding_new SELECT face_id, model_id, vector FROM embedding;
DROP TABLE embedding;
ALTER TABLE embedding_new RENAME TO embedding;
"""


def m0003_any_dimension(database: Database) -> None:
    """Let embeddings have any dimension, where there were only 128 numbers.

    SQLite cannot change a CHECK in place, so the table is written anew. The model's card says how
    many numbers a vector must have, when it is stored and when it is read.
    """
    database.executescript(ANY_DIMENSION)


LOOKS = """
CREATE TABLE look (
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    finder TEXT NOT NULL CHECK (finder <> ''),
    faces BLOB NOT NULL CHECK (length(faces) % 120 = 0),
    notes TEXT NOT NULL,
    PRIMARY KEY (sha256, finder)
) STRICT, WITHOUT ROWID;
"""


def m0004_looks(database: Database) -> None:
    """Remember where faces are in pictures, also without chips and embeddings.

    A row is one search of one picture, with 120 bytes for each face.
    """
    database.executescript(LOOKS)


LIBRARY = Kind(
    noun="photo library",
    steps=(m0001_photos_and_faces, m0002_albums, m0003_any_dimension, m0004_looks),
    error=LibraryError,
    failure=LibraryError,
    absent="there is none; facecli makes it when it first looks at photos",
    damaged="the file is damaged: restore a backup, or delete it; then corrections made by hand "
    "are lost, and the photos are looked at again",
)
