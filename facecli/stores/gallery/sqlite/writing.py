"""Changes to a gallery's database; the caller holds the transaction that they are part of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from facecli.stores.embeddings import encode
from facecli.stores.gallery import refusals
from facecli.stores.gallery.checks import Batch, NamedPerson
from facecli.stores.names import name_key
from facecli.stores.times import now
from facecli.types import Calibration, ModelCard, Person, StoredModel

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
BY_KEY = "SELECT id, external_id FROM person WHERE name_key = ?"
OTHER_HOLDER_OF_ID = "SELECT name FROM person WHERE external_id = ? AND name_key <> ?"


def insert(
    database: Database, batch: Batch, card: ModelCard | StoredModel, where: str
) -> list[int]:
    """Store checked templates, and the people who are new; return the templates' ids.

    Raises GalleryError for what contradicts the database, which messages call `where`.
    """
    created = now()
    model_id = _model_id(database, card, created, where)
    _refuse_known_faces(database, batch, model_id)
    people = _people_ids(database, batch.people, created)
    rows = [
        (
            *(model_id, people[one.key], encode(one.embedding)),
            *(*one.face, *one.quality, one.created or created),
        )
        for one in batch.templates
    ]
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM template").fetchone()
    database.table("template").insert_all([COLUMNS, *rows])
    # We hold the write lock and AUTOINCREMENT only rises: higher ids are those just inserted.
    ids = database.execute("SELECT id FROM template WHERE id > ? ORDER BY id", (last,))
    return [row_id for (row_id,) in ids]


def rename(database: Database, person_id: int, name: str, key: str) -> None:
    """Give a person another name."""
    database.table("person").update(person_id, {"name": name, "name_key": key})


def set_external_id(database: Database, person: Person, external_id: str | None) -> None:
    """Give a person an external id, or none; raise GalleryError if it is another person's."""
    if external_id == person.external_id:
        return
    other = database.execute(OTHER_HOLDER_OF_ID, (external_id, name_key(person.name))).fetchone()
    if other is not None:
        raise refusals.shared_external_id(str(external_id), person.name, other[0])
    database.table("person").update(person.id, {"external_id": external_id})


def merge(database: Database, source: int, target: int, external_id: str | None) -> None:
    """Move a person's templates to another, who gets the external id, and remove the first."""
    database.execute("UPDATE template SET person_id = ? WHERE person_id = ?", (target, source))
    people = database.table("person")
    people.delete(source)
    people.update(target, {"external_id": external_id})


def erase(database: Database, person_id: int) -> None:
    """Delete a person with all their templates."""
    database.table("person").delete(person_id)


def set_calibration(database: Database, calibration: Calibration) -> None:
    """Store a threshold in place of the one that its model had."""
    row = dataclasses.asdict(calibration)
    database.table("calibration").insert(row, pk="fingerprint", replace=True)


def clear_calibrations(database: Database) -> int:
    """Remove every threshold set from data; return how many there were."""
    return database.execute("DELETE FROM calibration").rowcount


def _model_id(database: Database, card: ModelCard | StoredModel, created: str, where: str) -> int:
    """Return the id of a model's row, which is made if it is new."""
    find = "SELECT id, dimension FROM model WHERE fingerprint = ?"
    found = database.execute(find, (card.fingerprint,)).fetchone()
    if found is not None:
        if found[1] != card.dimension:
            raise refusals.other_dimension(card, found[1], where)
        return int(found[0])
    record = {
        "fingerprint": card.fingerprint,
        "name": card.name,
        "dimension": card.dimension,
        "created": created,
    }
    model_id = database.table("model").insert(record).last_pk
    assert isinstance(model_id, int)
    return model_id


def _refuse_known_faces(database: Database, batch: Batch, model_id: int) -> None:
    """Raise GalleryError if a face of a photo is stored already."""
    for one in batch.templates:
        photo, *box = one.face
        row = database.execute(HOLDER_OF_FACE, (photo, model_id, *box)).fetchone()
        if row is not None:
            raise refusals.face_enrolled(batch.people[one.key].name, photo, row[0])


def _people_ids(
    database: Database, people: Mapping[str, NamedPerson], created: str
) -> dict[str, int]:
    """Return the id of each person by name key; those who are new get a row."""
    new = []
    for key, person in people.items():
        found = database.execute(BY_KEY, (key,)).fetchone()
        external_id = person.external_id
        if external_id is not None:
            other = database.execute(OTHER_HOLDER_OF_ID, (external_id, key)).fetchone()
            if other is not None:
                raise refusals.shared_external_id(external_id, person.name, other[0])
        if found is None:
            new.append((person.name, key, external_id, person.created or created))
        elif external_id is not None and found[1] is None:
            database.table("person").update(found[0], {"external_id": external_id})
        elif external_id is not None and external_id != found[1]:
            raise refusals.two_external_ids(person.name, found[1], external_id)
    if new:
        database.table("person").insert_all([("name", "name_key", "external_id", "created"), *new])
    return {key: database.execute(BY_KEY, (key,)).fetchone()[0] for key in people}
