"""Storing templates: checks, people made as they are needed, rows in bulk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from facecli.errors import GalleryError
from facecli.stores.embeddings import encode
from facecli.stores.names import clean_name, name_key
from facecli.types import ModelCard, NewTemplate

if TYPE_CHECKING:
    from sqlite_utils import Database

COLUMNS = (
    "model_id",
    "person_id",
    "embedding",
    "image_sha256",
    "box_left",
    "box_top",
    "box_right",
    "box_bottom",
    "eye_distance",
    "sharpness",
    "brightness",
    "turn",
    "created",
)
HOLDER_OF_FACE = """
    SELECT name FROM template JOIN person ON person.id = person_id
    WHERE image_sha256 = ? AND model_id = ?
        AND box_left = ? AND box_top = ? AND box_right = ? AND box_bottom = ?
"""

BY_KEY = "FROM person WHERE name_key = ?"

Face = tuple[str, float, float, float, float]


def now() -> str:
    """Return the time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Entry:
    """A template that passed the checks, with numbers and text as SQLite takes them."""

    name: str
    key: str
    external_id: str | None
    embedding: bytes
    face: Face
    quality: tuple[float, float, float, float]


def checked(template: NewTemplate, dimension: int) -> Entry:
    """Return a template ready to store, or raise GalleryError naming whose it is and why not."""
    name = clean_name(template.person)
    external_id = template.external_id
    quality = template.quality
    try:
        embedding = encode(template.embedding, dimension)
    except ValueError as error:
        raise GalleryError(f"template of {name!r}: {error}") from error
    left, top, right, bottom = map(float, template.box)
    measures = (
        float(quality.eye_distance),
        float(quality.sharpness),
        float(quality.brightness),
        float(quality.turn),
    )
    if not all(map(math.isfinite, (left, top, right, bottom, *measures))):
        raise GalleryError(f"template of {name!r}: its box or quality is not a finite number")
    return Entry(
        name=name,
        key=name_key(name),
        external_id=None if external_id is None else clean_name(external_id, "external id"),
        embedding=embedding,
        face=(str(template.image_sha256), left, top, right, bottom),
        quality=measures,
    )


def insert(database: Database, entries: Sequence[Entry], card: ModelCard) -> list[int]:
    """Store checked templates inside the caller's transaction and return their ids."""
    created = now()
    model_id = _model_id(database, card, created)
    _refuse_known_faces(database, entries, model_id)
    people = _people_ids(database, entries, created)
    rows = [
        (model_id, people[entry.key], entry.embedding, *entry.face, *entry.quality, created)
        for entry in entries
    ]
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM template").fetchone()
    database.table("template").insert_all([COLUMNS, *rows])
    # The write lock is ours and AUTOINCREMENT only rises: what lies above is what was inserted.
    ids = database.execute("SELECT id FROM template WHERE id > ? ORDER BY id", (last,))
    return [row_id for (row_id,) in ids]


def _model_id(database: Database, card: ModelCard, created: str) -> int:
    """Return the row of a model, made if it is new."""
    found = database.execute("SELECT id FROM model WHERE fingerprint = ?", (card.fingerprint,))
    if row := found.fetchone():
        return int(row[0])
    record = {
        "fingerprint": card.fingerprint,
        "name": card.name,
        "dimension": card.dimension,
        "created": created,
    }
    model_id = database.table("model").insert(record).last_pk
    assert isinstance(model_id, int)
    return model_id


def _refuse_known_faces(database: Database, entries: Sequence[Entry], model_id: int) -> None:
    """Raise GalleryError if a face of a photo is stored already, or comes twice."""
    seen: dict[Face, str] = {}
    for entry in entries:
        photo, *box = entry.face
        row = database.execute(HOLDER_OF_FACE, (photo, model_id, *box)).fetchone()
        holder = row[0] if row else seen.get(entry.face)
        if holder is not None:
            raise GalleryError(
                f"template of {entry.name!r}: this face of photo {photo[:12]!r} "
                f"is enrolled already, as {holder!r}"
            )
        seen[entry.face] = entry.name


def _people_ids(database: Database, entries: Sequence[Entry], created: str) -> dict[str, int]:
    """Return the id of each person by name key; make those who are new."""
    external_ids = _external_ids(entries)
    names: dict[str, str] = {}
    for entry in entries:
        names.setdefault(entry.key, entry.name)
    _refuse_shared_ids(database, names, external_ids)
    new = []
    for key, name in names.items():
        external_id = external_ids.get(key)
        found = database.execute(f"SELECT id, external_id {BY_KEY}", (key,)).fetchone()
        if found is None:
            new.append((name, key, external_id, created))
        elif external_id is not None and found[1] is None:
            database.table("person").update(found[0], {"external_id": external_id})
        elif external_id not in (None, found[1]):
            raise _two_ids(name, found[1], external_id)
    if new:
        database.table("person").insert_all([("name", "name_key", "external_id", "created"), *new])
    return {key: database.execute(f"SELECT id {BY_KEY}", (key,)).fetchone()[0] for key in names}


def _external_ids(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the external ids given, by name key; refuse a person given two."""
    given: dict[str, str] = {}
    for entry in entries:
        if entry.external_id is not None:
            first = given.setdefault(entry.key, entry.external_id)
            if first != entry.external_id:
                raise _two_ids(entry.name, first, entry.external_id)
    return given


def _two_ids(name: str, one: str, other: str | None) -> GalleryError:
    return GalleryError(f"{name!r} has the external ids {one!r} and {other!r}: are they two?")


def _refuse_shared_ids(
    database: Database, names: Mapping[str, str], external_ids: Mapping[str, str]
) -> None:
    """Raise GalleryError if an external id belongs to someone else, stored or in this batch."""
    other = "SELECT name FROM person WHERE external_id = ? AND name_key <> ?"
    holders: dict[str, str] = {}
    for key, external_id in external_ids.items():
        row = database.execute(other, (external_id, key)).fetchone()
        holder = row[0] if row else holders.get(external_id)
        if holder is not None:
            raise GalleryError(
                f"external id {external_id!r} of {names[key]!r} belongs to {holder!r}"
            )
        holders[external_id] = names[key]
