"""Changes to a gallery in PostgreSQL; the caller holds the transaction that they are part of."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from facecli.stores.gallery import refusals
from facecli.stores.gallery.checks import Batch, CheckedTemplate
from facecli.stores.gallery.postgres import reading
from facecli.stores.gallery.postgres.connecting import Connection
from facecli.stores.gallery.postgres.vectors import as_sent
from facecli.stores.names import name_key
from facecli.stores.times import now
from facecli.types import Calibration, ModelCard, Person, StoredModel

ADD_PEOPLE = """
    COPY facecli.person (id, name, name_key, external_id, created) FROM STDIN (FORMAT BINARY)
"""
PEOPLE_TYPES = ("int8", "text", "text", "text", "text")

ADD_TEMPLATES = """
    COPY facecli.template (id, model_id, dimension, person_id, embedding, image_sha256, box_left,
        box_top, box_right, box_bottom, eye_distance, sharpness, brightness, turn, created)
    FROM STDIN (FORMAT BINARY)
"""
# A vector goes as the bytes that pgvector receives.
TEMPLATE_TYPES = ("int8", "int8", "int4", "int8", "bytea", "text", *["float8"] * 8, "text")

# OFFSET 0 keeps the server to one step along the index a photo: it has no statistics of photos.
FACES = """
    SELECT face.* FROM pg_catalog.unnest(%s::text[]) AS photo (sha256) CROSS JOIN LATERAL (
        SELECT image_sha256, box_left, box_top, box_right, box_bottom, name
        FROM facecli.template JOIN facecli.person ON person.id = person_id
        WHERE image_sha256 = photo.sha256 AND model_id = %s OFFSET 0
    ) AS face
"""
BY_KEY = "SELECT name_key, id, external_id FROM facecli.person WHERE name_key = ANY(%s)"
BY_EXTERNAL_ID = """
    SELECT external_id, name_key, name FROM facecli.person WHERE external_id = ANY(%s)
"""
NEW_IDS = """
    SELECT pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(%s, 'id'))
    FROM pg_catalog.generate_series(1, %s)
"""
NEW_MODEL = """
    INSERT INTO facecli.model (fingerprint, name, dimension, created) VALUES (%s, %s, %s, %s)
    RETURNING id
"""
SET_CALIBRATION = """
    INSERT INTO facecli.calibration (fingerprint, model, threshold, far, far_low, far_high,
        people, impostor_pairs, genuine_pairs, fnmr, source, created, impostors)
    VALUES (%(fingerprint)s, %(model)s, %(threshold)s, %(far)s, %(far_low)s, %(far_high)s,
        %(people)s, %(impostor_pairs)s, %(genuine_pairs)s, %(fnmr)s, %(source)s, %(created)s,
        %(impostors)s)
    ON CONFLICT (fingerprint) DO UPDATE SET (model, threshold, far, far_low, far_high, people,
        impostor_pairs, genuine_pairs, fnmr, source, created, impostors)
        = (excluded.model, excluded.threshold, excluded.far, excluded.far_low, excluded.far_high,
        excluded.people, excluded.impostor_pairs, excluded.genuine_pairs, excluded.fnmr,
        excluded.source, excluded.created, excluded.impostors)
"""


def insert(
    connection: Connection, batch: Batch, card: ModelCard | StoredModel, where: str
) -> list[int]:
    """Store checked templates, and the people who are new; return the templates' ids.

    Raises GalleryError for what contradicts the database, which messages call `where`.
    """
    created = now()
    model_id = _model_id(connection, card, created, where)
    _refuse_known_faces(connection, batch, model_id)
    people = _people_ids(connection, batch, created)
    ids = _new_ids(connection, "facecli.template", len(batch.templates))
    rows = (
        _row(row_id, one, model_id, people[one.key], created)
        for row_id, one in zip(ids, batch.templates, strict=True)
    )
    _copy_in(connection, ADD_TEMPLATES, TEMPLATE_TYPES, rows)
    return ids


def _row(
    row_id: int, one: CheckedTemplate, model_id: int, person_id: int, created: str
) -> Sequence[Any]:
    sent = as_sent(one.embedding)
    return (
        *(row_id, model_id, len(one.embedding), person_id, sent),
        *(*one.face, *one.quality, one.created or created),
    )


def rename(connection: Connection, person_id: int, name: str, key: str) -> None:
    """Give a person another name."""
    query = "UPDATE facecli.person SET name = %s, name_key = %s WHERE id = %s"
    connection.execute(query, (name, key, person_id))


def set_external_id(connection: Connection, person: Person, external_id: str | None) -> None:
    """Give a person an external id, or none; raise GalleryError if it is another person's."""
    if external_id == person.external_id:
        return
    held = connection.execute(BY_EXTERNAL_ID, ([external_id],)).fetchone()
    if held is not None and held[1] != name_key(person.name):
        raise refusals.shared_external_id(str(external_id), person.name, str(held[2]))
    _give_id(connection, person.id, external_id)


def merge(connection: Connection, source: int, target: int, external_id: str | None) -> None:
    """Move a person's templates to another, who gets the external id, and remove the first."""
    move = "UPDATE facecli.template SET person_id = %s WHERE person_id = %s"
    connection.execute(move, (target, source))
    erase(connection, [source])
    _give_id(connection, target, external_id)


def erase(connection: Connection, person_ids: list[int]) -> None:
    """Delete people with all their templates."""
    connection.execute("DELETE FROM facecli.person WHERE id = ANY(%s)", (person_ids,))


def set_calibration(connection: Connection, calibration: Calibration) -> None:
    """Store a threshold set from data; it replaces the one that its model had."""
    row = dataclasses.asdict(calibration)
    row["impostors"] = json.dumps(row["impostors"])
    connection.execute(SET_CALIBRATION, row)


def clear_calibrations(connection: Connection) -> int:
    """Remove every threshold set from data; return how many there were."""
    return connection.execute("DELETE FROM facecli.calibration").rowcount


def _give_id(connection: Connection, person_id: int, external_id: str | None) -> None:
    query = "UPDATE facecli.person SET external_id = %s WHERE id = %s"
    connection.execute(query, (external_id, person_id))


def _model_id(
    connection: Connection, card: ModelCard | StoredModel, created: str, where: str
) -> int:
    """Return the id of a model's row, which is made if it is new."""
    found = reading.model(connection, card.fingerprint)
    if found is not None:
        model_id, dimension = found
        if dimension != card.dimension:
            raise refusals.other_dimension(card, dimension, where)
        return model_id
    values = (card.fingerprint, card.name, card.dimension, created)
    (made,) = _rows(connection, NEW_MODEL, values)
    return int(made[0])


def _refuse_known_faces(connection: Connection, batch: Batch, model_id: int) -> None:
    """Raise GalleryError if a face of a photo is stored already."""
    photos = sorted({one.face[0] for one in batch.templates})
    rows = _rows(connection, FACES, (photos, model_id))
    holders = {tuple(face): str(name) for *face, name in rows}
    for one in batch.templates:
        if one.face in holders:
            name = batch.people[one.key].name
            raise refusals.face_enrolled(name, one.face[0], holders[one.face])


def _people_ids(connection: Connection, batch: Batch, created: str) -> dict[str, int]:
    """Return the id of each person by name key; those who are new get a row."""
    people = batch.people
    wanted = [one.external_id for one in people.values() if one.external_id is not None]
    holders = {row[0]: row[1:] for row in _rows(connection, BY_EXTERNAL_ID, (wanted,))}
    found = {row[0]: row[1:] for row in _rows(connection, BY_KEY, (list(people),))}
    for key, person in people.items():
        given = person.external_id
        if given is None:
            continue
        if given in holders and holders[given][0] != key:
            raise refusals.shared_external_id(given, person.name, holders[given][1])
        if key in found:
            _, held = found[key]
            if held is None:
                _give_id(connection, found[key][0], given)
            elif held != given:
                raise refusals.two_external_ids(person.name, held, given)
    new = [key for key in people if key not in found]
    ids = dict(zip(new, _new_ids(connection, "facecli.person", len(new)), strict=True))
    rows = (
        (ids[key], people[key].name, key, people[key].external_id, people[key].created or created)
        for key in new
    )
    _copy_in(connection, ADD_PEOPLE, PEOPLE_TYPES, rows)
    return {key: ids[key] if key in ids else int(found[key][0]) for key in people}


def _new_ids(connection: Connection, table: str, count: int) -> list[int]:
    """Return numbers that the table has never had, rising."""
    if not count:
        return []
    return sorted(int(row[0]) for row in _rows(connection, NEW_IDS, (table, count)))


def _copy_in(
    connection: Connection, statement: str, types: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Add rows to a table in binary form."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _rows(connection: Connection, query: str, values: Sequence[Any]) -> list[Any]:
    """Return all rows of an answer."""
    return list(connection.execute(query, values).fetchall())
