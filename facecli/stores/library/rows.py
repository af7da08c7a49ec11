"""What is remembered of photos, as rows of tables; the caller holds the transaction."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecli.stores.embeddings import check_unit, decode, encode
from facecli.stores.library.pixels import compress
from facecli.stores.library.types import FileState, RememberedPhoto, absolute
from facecli.text import read_json
from facecli.types import Acquisition, Detection, Face, FloatArray, ModelCard, Quality
from facecli.vectors.distances import are_unit

if TYPE_CHECKING:
    from sqlite_utils import Database

COORDINATES = np.dtype("<f8")
"""How the ten coordinates of five landmarks are stored: without rounding."""

PICTURE = "SELECT id, width, height, notes FROM picture WHERE sha256 = ? AND finder = ?"
FACES = """
    SELECT box_left, box_top, box_right, box_bottom, landmarks, confidence,
        eye_distance, sharpness, brightness, turn, vector
    FROM face LEFT JOIN embedding ON face_id = face.id
        AND model_id = (SELECT id FROM model WHERE fingerprint = ?)
    WHERE picture_id = ? ORDER BY number
"""
CHIP = """
    SELECT pixels FROM picture JOIN face ON picture_id = picture.id JOIN chip ON face_id = face.id
    WHERE sha256 = ?1 AND number = ?2 AND (finder = ?3 OR ?3 IS NULL)
    ORDER BY picture.id DESC LIMIT 1
"""
ADD_FILE = """
    INSERT INTO file (path, size, mtime_ns, sha256) VALUES (?, ?, ?, ?) ON CONFLICT (path, sha256)
    DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns
"""
ADD_PICTURE = """
    INSERT INTO picture (sha256, finder, width, height, notes) VALUES (?, ?, ?, ?, ?) RETURNING id
"""
ADD_FACE = "INSERT INTO face VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
ADD_EMBEDDING = """
    INSERT INTO embedding
    SELECT face.id, ?, ? FROM face JOIN picture ON picture.id = picture_id
    WHERE sha256 = ? AND finder = ? AND number = ?
    ON CONFLICT (face_id, model_id) DO UPDATE SET vector = excluded.vector
"""
SEEN_AT = "SELECT sha256 FROM file WHERE path = ?1 OR (path >= ?2 AND path < ?3)"
ALL_CONTENTS = """
    SELECT sha256 FROM file UNION SELECT sha256 FROM picture UNION SELECT sha256 FROM look
"""
COUNT_FACES = """
    SELECT max(
        (SELECT count(*) FROM face JOIN picture ON picture.id = picture_id WHERE sha256 = ?1),
        (SELECT coalesce(sum(length(faces) / 120), 0) FROM look WHERE sha256 = ?1)
    )
"""
FORGET_CORRECTIONS = """
    DELETE FROM correction WHERE id NOT IN (SELECT correction_id FROM fact)
        AND id NOT IN (SELECT correction_id FROM move)
"""
COUNTS = (
    "SELECT count(DISTINCT path) FROM file",
    "SELECT count(*) FROM (SELECT sha256 FROM picture UNION SELECT sha256 FROM look)",
    "SELECT (SELECT count(*) FROM face) + (SELECT coalesce(sum(length(faces) / 120), 0) FROM look"
    " WHERE sha256 NOT IN (SELECT sha256 FROM picture))",
)
MODELS = """
    SELECT name, count(face_id) FROM model LEFT JOIN embedding ON model_id = model.id
    GROUP BY model.id ORDER BY model.id
"""


def of_file(file: FileState) -> tuple[bytes, int, int]:
    """Return a file as it is stored."""
    return os.fsencode(file.path), file.size, file.mtime_ns


def at_or_below(path: Path) -> tuple[bytes, bytes, bytes]:
    """Return a path as it is stored, and the lower and upper bound of all paths below it."""
    whole, separator = os.fsencode(absolute(path)), os.fsencode(os.sep)
    folder = whole.rstrip(separator)
    return whole, folder + separator, folder + bytes([separator[0] + 1])


def known(
    connection: sqlite3.Connection, sha256: str, *, finder: str, card: ModelCard
) -> RememberedPhoto | None:
    """Return what is remembered of a picture, or None."""
    picture = connection.execute(PICTURE, (sha256, finder)).fetchone()
    if picture is None:
        return None
    rows = connection.execute(FACES, (card.fingerprint, picture[0])).fetchall()
    return RememberedPhoto(
        size=(picture[1], picture[2]),
        faces=tuple(map(_face, rows)),
        notes=tuple(read_json(picture[3])),
        embeddings=_embeddings([row[-1] for row in rows], card.dimension),
    )


def _face(row: tuple[Any, ...]) -> Face:
    a, b, c, d, e, f, g, h, i, j = np.frombuffer(row[4], COORDINATES).tolist()
    landmarks = ((a, b), (c, d), (e, f), (g, h), (i, j))
    return Face(Detection(row[:4], landmarks, row[5]), Quality(*row[6:10]))


def _embeddings(stored: Sequence[bytes | None], dimension: int) -> FloatArray | None:
    """Return embeddings float32 (n, dimension), or None if one is missing or damaged."""
    there = [one for one in stored if one is not None]
    if len(there) < len(stored):
        return None
    try:
        vectors = decode(there, dimension)
    except ValueError:
        return None
    return vectors if are_unit(vectors).all() else None


def add_picture(database: Database, picture: Acquisition, finder: str) -> None:
    """Store a picture and its faces; they replace what was stored of it."""
    key = (picture.sha256, finder)
    database.execute("DELETE FROM picture WHERE sha256 = ? AND finder = ?", key)
    notes = json.dumps(picture.notes)
    (number,) = database.execute(ADD_PICTURE, (*key, *picture.size, notes)).fetchone()
    for place, (face, chip) in enumerate(zip(picture.faces, picture.chips, strict=True)):
        found, quality = face.detection, face.quality
        points = np.array(found.landmarks, COORDINATES).tobytes()
        measures = (quality.eye_distance, quality.sharpness, quality.brightness, quality.turn)
        row = (number, place, *found.box, points, found.confidence, *measures)
        (face_id,) = database.execute(ADD_FACE, row).fetchone()
        database.execute("INSERT INTO chip VALUES (?, ?)", (face_id, compress(chip)))


def add_embeddings(
    database: Database, finder: str, card: ModelCard, embeddings: Mapping[str, FloatArray]
) -> None:
    """Store the embeddings of pictures' faces, float32 (faces, d) by the picture's SHA-256."""
    if not embeddings:
        return
    model = _model_id(database, card)
    for sha256, vectors in embeddings.items():
        for number, vector in enumerate(vectors):
            check_unit(vector, card.dimension)
            database.execute(ADD_EMBEDDING, (model, encode(vector), sha256, finder, number))


def _model_id(database: Database, card: ModelCard) -> int:
    """Return the id of a model's row, which is made if it is new."""
    find = "SELECT id FROM model WHERE fingerprint = ?"
    add = "INSERT INTO model (fingerprint, name) VALUES (?, ?) RETURNING id"
    row = database.execute(find, (card.fingerprint,)).fetchone()
    row = row or database.execute(add, (card.fingerprint, card.name)).fetchone()
    return int(row[0])


def erase(database: Database, contents: Collection[str]) -> int:
    """Delete all that is known of pictures, by their SHA-256; return how many faces that was."""
    faces = 0
    for sha256 in contents:
        (count,) = database.execute(COUNT_FACES, (sha256,)).fetchone()
        faces += count
        database.execute("DELETE FROM picture WHERE sha256 = ?", (sha256,))
        database.execute("DELETE FROM look WHERE sha256 = ?", (sha256,))
        database.execute("DELETE FROM file WHERE sha256 = ?", (sha256,))
        database.execute("DELETE FROM sighting WHERE sha256 = ?", (sha256,))
    database.execute(FORGET_CORRECTIONS)
    return faces
