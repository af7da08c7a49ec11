"""The library's schema as numbered steps: a released step never changes, new ones are appended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.database import Kind
from facecli.errors import LibraryError

if TYPE_CHECKING:
    from sqlite_utils import Database

PHOTOS_AND_FACES = """
CREATE TABLE file (
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
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


def m0001_photos_and_faces(database: Database) -> None:
    """Create files, pictures, faces, chips, models and embeddings.

    A file is remembered with every content it has had, so that all of them can be forgotten by
    its path, which is bytes: not every name is text. Chips have a table of their own, as they are
    a hundred times as large as what else is read of a face.
    """
    database.executescript(PHOTOS_AND_FACES)


LIBRARY = Kind(
    noun="photo library",
    steps=(m0001_photos_and_faces,),
    error=LibraryError,
    absent="there is none; facecli makes it when it first looks at photos",
    damaged="the file is damaged: restore a backup, or delete it, which loses corrections made by "
    "hand, and the photos are looked at again",
)
