"""Which face is in which cluster of the photo library, and the corrections that people made."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from facecli.faces.whole import is_whole
from facecli.stores.times import now
from facecli.types import Box

if TYPE_CHECKING:
    import sqlite3

    from facecli.stores.library.store import Library

NEW = 0
"""Stands for the number of a cluster that gets one when it is stored."""

FactKind = Literal["same", "different", "name"]

SIGHTING = """
    SELECT id, sha256, box_left, box_top, box_right, box_bottom, identity_id, squared_l2
    FROM sighting
"""
FACTS = """
    SELECT id, kind, one_id, other_id, name FROM fact WHERE ended_by IS NULL
    ORDER BY correction_id DESC, id
"""
ADD_SIGHTING = """
    INSERT INTO sighting
        (sha256, box_left, box_top, box_right, box_bottom, identity_id, squared_l2)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (sha256, box_left, box_top, box_right, box_bottom)
    DO UPDATE SET identity_id = excluded.identity_id, squared_l2 = excluded.squared_l2
"""
ADD_FACT = "INSERT INTO fact (correction_id, kind, one_id, other_id, name) VALUES (?, ?, ?, ?, ?)"
RESTORE = """
    UPDATE sighting SET identity_id = before.identity_id FROM
        (SELECT sighting_id, identity_id FROM move WHERE correction_id = ?) AS before
    WHERE sighting.id = before.sighting_id AND NOT EXISTS (
        SELECT 1 FROM sighting AS other
        WHERE other.sha256 = sighting.sha256 AND other.identity_id = before.identity_id
    )
"""
"""Leaves a face where it is if a later run has put another face of the photo into its old cluster.

The next run sorts that out.
"""


@dataclass(frozen=True, slots=True)
class StoredFace:
    """A face of a photo, and the number of the cluster that it was last put into.

    `squared_l2` is the squared L2 to that cluster's centroid: small for a typical face. `id` is 0
    for a face that is not stored yet, and `identity` is 0 for one whose cluster has no number yet.
    """

    id: int
    sha256: str
    box: Box
    identity: int
    squared_l2: float


@dataclass(frozen=True, slots=True)
class Fact:
    """What a user said: two faces are the same person, or are different people, or one has a name.

    `one` and `other` are ids of stored faces. For a name, `name` is set and `other` is None.
    """

    id: int
    kind: FactKind
    one: int
    other: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """One command that corrected clusters: what was said, and when, in UTC ISO 8601."""

    id: int
    said: str
    created: str


class AlbumStore:
    """Clusters whose numbers do not change, and corrections that can be undone, in a library."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def sightings(self, sha256s: Collection[str] | None = None) -> list[StoredFace]:
        """Return the known faces of these pictures, or of all pictures, the oldest first."""
        with self.library.reading() as connection:
            if sha256s is None:
                return _sightings(connection, f"{SIGHTING} ORDER BY id", ())
            query = f"{SIGHTING} WHERE sha256 = ? ORDER BY id"
            return [one for sha256 in sha256s for one in _sightings(connection, query, (sha256,))]

    def members(self, identity: int) -> list[StoredFace]:
        """Return the faces that were last put into a cluster, the most typical first."""
        query = f"{SIGHTING} WHERE identity_id = ? ORDER BY squared_l2, id"
        with self.library.reading() as connection:
            return _sightings(connection, query, (identity,))

    def is_whole(self, face: StoredFace) -> bool:
        """Return whether a stored face is a whole picture, seen with a model of objects."""
        query = "SELECT width, height FROM picture WHERE sha256 = ? LIMIT 1"
        with self.library.reading() as connection:
            size = connection.execute(query, (face.sha256,)).fetchone()
        return size is not None and is_whole(face.box, size)

    def path_of(self, sha256: str) -> str | None:
        """Return the path where a picture was seen, or None if none is known."""
        with self.library.reading() as connection:
            row = connection.execute("SELECT path FROM file WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else os.fsdecode(row[0])

    def facts(self) -> list[Fact]:
        """Return the facts that hold, the newest first."""
        with self.library.reading() as connection:
            return [Fact(*row) for row in connection.execute(FACTS)]

    def names(self) -> dict[int, str]:
        """Return the names that users gave, by cluster."""
        query = """
            SELECT identity_id, name FROM fact JOIN sighting ON sighting.id = one_id
            WHERE kind = 'name' AND ended_by IS NULL ORDER BY correction_id, fact.id
        """
        with self.library.reading() as connection:
            return dict(connection.execute(query).fetchall())

    def record(self, faces: Sequence[StoredFace], clusters: Sequence[int]) -> dict[int, int]:
        """Store which faces are in which cluster; return the number of each cluster.

        `clusters` has one entry for each face. Faces of one cluster have the same `identity`. If
        that is 0, the cluster gets a number that was never used, in the order of the clusters.
        """
        numbers = {cluster: face.identity for cluster, face in zip(clusters, faces, strict=True)}
        with self.library.writing() as database:
            for cluster in sorted(one for one, number in numbers.items() if not number):
                numbers[cluster] = _new_identity(database.conn)
            rows = [
                (numbers[cluster], face.squared_l2, face.id, face.sha256, *face.box)
                for cluster, face in zip(clusters, faces, strict=True)
            ]
            database.conn.executemany(
                "UPDATE sighting SET identity_id = ?, squared_l2 = ? WHERE id = ?",
                (row[:3] for row in rows if row[2]),
            )
            database.conn.executemany(
                ADD_SIGHTING, ((*row[3:], *row[:2]) for row in rows if not row[2])
            )
        return numbers

    def correct(
        self,
        said: str,
        *,
        facts: Iterable[Fact] = (),
        ended: Iterable[int] = (),
        moved: Mapping[int, int] | None = None,
    ) -> int:
        """Store a correction, all of it or nothing; `undo` takes all of it back.

        `facts` are new, `ended` are ids of facts that no longer hold, and `moved` maps ids of faces
        to their clusters. NEW stands for one with a number that was never used, which is added to
        `said` and returned; without one, 0 is returned.
        """
        moved = moved or {}
        with self.library.writing() as database:
            new = _new_identity(database.conn) if NEW in moved.values() else 0
            said = f"{said} {new}" if new else said
            add = "INSERT INTO correction (said, created) VALUES (?, ?) RETURNING id"
            (number,) = database.execute(add, (said, now())).fetchone()
            rows = [(number, fact.kind, fact.one, fact.other, fact.name) for fact in facts]
            database.conn.executemany(ADD_FACT, rows)
            end = "UPDATE fact SET ended_by = ? WHERE id = ? AND ended_by IS NULL"
            database.conn.executemany(end, [(number, fact) for fact in ended])
            for sighting, identity in moved.items():
                database.execute(
                    "INSERT INTO move SELECT ?, id, identity_id FROM sighting WHERE id = ?",
                    (number, sighting),
                )
                database.execute(
                    "UPDATE sighting SET identity_id = ? WHERE id = ?", (identity or new, sighting)
                )
        return new

    def undo(self) -> Correction | None:
        """Take the last correction back and return it; None if there is none.

        Facts and clusters are then as before it, except for what later runs have sorted.
        """
        with self.library.writing() as database:
            query = "SELECT id, said, created FROM correction ORDER BY id DESC LIMIT 1"
            row = database.execute(query).fetchone()
            if row is None:
                return None
            database.execute(RESTORE, row[:1])
            database.execute("DELETE FROM correction WHERE id = ?", row[:1])
        return Correction(*row)

    def corrections(self) -> list[Correction]:
        """Return the corrections that hold, the newest first."""
        query = "SELECT id, said, created FROM correction ORDER BY id DESC"
        with self.library.reading() as connection:
            return [Correction(*row) for row in connection.execute(query)]


def _sightings(
    connection: sqlite3.Connection, query: str, values: tuple[object, ...]
) -> list[StoredFace]:
    rows = connection.execute(query, values).fetchall()
    return [StoredFace(row[0], row[1], row[2:6], row[6], row[7]) for row in rows]


def _new_identity(connection: sqlite3.Connection) -> int:
    with closing(connection.execute("INSERT INTO identity DEFAULT VALUES RETURNING id")) as cursor:
        return int(cursor.fetchone()[0])
