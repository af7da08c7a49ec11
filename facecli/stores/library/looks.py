"""Where faces are in pictures: what commands remember that do not fill the library with faces."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facecli.errors import LibraryError
from facecli.faces.memory import Places
from facecli.stores.library.types import absolute
from facecli.text import read_json
from facecli.types import Acquisition, Detection

if TYPE_CHECKING:
    from facecli.stores.library.store import Library

FACE = np.dtype("<f8")
NUMBERS = 15
"""A face is stored as its box (4), five landmarks (10) and the confidence, without rounding."""

STORE_SECONDS = 2.0
STORE_PICTURES = 64
"""What was learnt is stored this often, and after this many pictures."""

LOOK = "SELECT faces, notes FROM look WHERE sha256 = ? AND finder = ?"
PICTURE = """
    SELECT id, notes FROM picture
    WHERE sha256 = ?1 AND substr(finder, 1, length(?2) + 1) = ?2 || ' ' ORDER BY id DESC LIMIT 1
"""
FACES = """
    SELECT box_left, box_top, box_right, box_bottom, landmarks, confidence FROM face
    WHERE picture_id = ? ORDER BY number
"""
ADD_LOOK = "INSERT OR REPLACE INTO look (sha256, finder, faces, notes) VALUES (?, ?, ?, ?)"
ADD_PATH = (
    "INSERT INTO file (path, size, mtime_ns, sha256) VALUES (?, -1, 0, ?) ON CONFLICT DO NOTHING"
)
"""A path by which the picture can be forgotten. No file has this size: it is always read again."""

FORGET = "DELETE FROM look WHERE sha256 = ?"
FORGET_PATHS = """
    DELETE FROM file WHERE sha256 = ?1
        AND NOT EXISTS (SELECT 1 FROM picture WHERE picture.sha256 = ?1)
"""
HELD = "SELECT count(*) FROM picture WHERE sha256 = ?"

_log = logging.getLogger(__name__)


class PhotoMemory:
    """Where faces are in pictures, as one version of the search saw them, in a library.

    Pictures that the library has the faces of are known too. It never fails: what cannot be read or
    stored is looked at again, as without a memory.
    """

    def __init__(self, library: Library, version: str) -> None:
        self._library = library
        self._version = version
        self._known: set[str] = set()
        self._learnt: list[Acquisition] = []
        self._stored = time.monotonic()

    def recall(self, sha256: str) -> Places | None:
        """Return where the faces of a picture are, None if that is not known."""
        try:
            places = recalled(self._library, sha256, version=self._version)
        except (LibraryError, ValueError, TypeError) as error:
            _log.warning("%s", error)
            return None
        if places is not None:
            self._known.add(sha256)
        return places

    def learn(self, found: Acquisition) -> None:
        """Take in where the faces of a file are; its source is the path."""
        if found.sha256 not in self._known:
            self._known.add(found.sha256)
            self._learnt.append(found)
            late = time.monotonic() - self._stored >= STORE_SECONDS
            if late or len(self._learnt) >= STORE_PICTURES:
                self.store()

    def store(self) -> None:
        """Put on the disk what was learnt, as far as that is possible."""
        self._stored = time.monotonic()
        try:
            if self._learnt:
                remember(self._library, self._learnt, version=self._version)
        except LibraryError as error:
            _log.warning("%s", error)
        self._learnt = []  # only now: Ctrl-C in between must lose nothing


def recalled(library: Library, sha256: str, *, version: str) -> Places | None:
    """Return where the faces of a picture are; raise ValueError if that is damaged."""
    with library.reading() as connection:
        look = connection.execute(LOOK, (sha256, version)).fetchone()
        if look is not None:
            rows = np.frombuffer(look[0], FACE).reshape(-1, NUMBERS).tolist()
            return Places(tuple(map(_detection, rows)), tuple(read_json(look[1])))
        picture = connection.execute(PICTURE, (sha256, version)).fetchone()
        if picture is None:
            return None
        faces = connection.execute(FACES, (picture[0],)).fetchall()
    rows = [[*row[:4], *np.frombuffer(row[4], FACE).tolist(), row[5]] for row in faces]
    return Places(tuple(map(_detection, rows)), tuple(read_json(picture[1])))


def remember(library: Library, pictures: Sequence[Acquisition], *, version: str) -> None:
    """Store where the faces of files are, and the paths, by which they can be forgotten."""
    with library.changing() as database:
        for one in pictures:
            rows = np.array([_numbers(face.detection) for face in one.faces], FACE).tobytes()
            database.execute(ADD_LOOK, (one.sha256, version, rows, json.dumps(one.notes)))
            path = os.fsencode(absolute(Path(one.source)))
            database.execute(ADD_PATH, (path, one.sha256))


def forget_looks(library: Library, sha256s: Collection[str]) -> int:
    """Erase where the faces of these pictures are; return of how many the library has the faces.

    Those are left, with the clusters they are in: `Library.forget` erases them.
    """
    with library.changing() as database:
        for sha256 in sha256s:
            database.execute(FORGET, (sha256,))
            database.execute(FORGET_PATHS, (sha256,))
        return sum(database.execute(HELD, (one,)).fetchone()[0] > 0 for one in sha256s)


def _numbers(detection: Detection) -> list[float]:
    points = [value for point in detection.landmarks for value in point]
    return [*detection.box, *points, detection.confidence]


def _detection(row: list[float]) -> Detection:
    left, top, right, bottom, a, b, c, d, e, f, g, h, i, j, confidence = row
    landmarks = ((a, b), (c, d), (e, f), (g, h), (i, j))
    return Detection((left, top, right, bottom), landmarks, confidence)
