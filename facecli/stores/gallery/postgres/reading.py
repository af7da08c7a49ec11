"""Questions to a gallery in PostgreSQL; the caller holds the transaction that answers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from facecli.stores.gallery.postgres.connecting import Connection
from facecli.stores.gallery.postgres.vectors import StoredVectors, read_vectors
from facecli.stores.kind import Damaged
from facecli.stores.names import name_key
from facecli.text import read_json_object
from facecli.types import Calibration, Person, Quality, StoredModel, Template

PERSON = """
    SELECT person.id, person.name, external_id, count(template.id), person.created
    FROM facecli.person LEFT JOIN facecli.template ON person_id = person.id
"""
TEMPLATES = """
    SELECT template.id, person_id, fingerprint, image_sha256, box_left, box_top, box_right,
        box_bottom, eye_distance, sharpness, brightness, turn, template.created
    FROM facecli.template JOIN facecli.model ON model.id = model_id
    WHERE person_id = %s ORDER BY template.id
"""
MODELS = """
    SELECT name, fingerprint, model.dimension, count(template.id), model.created
    FROM facecli.model LEFT JOIN facecli.template ON model_id = model.id
    GROUP BY model.id ORDER BY model.id
"""
PICTURED = """
    SELECT DISTINCT sha256, name_key, name
    FROM pg_catalog.unnest(%s::text[]) AS photo (sha256) CROSS JOIN LATERAL (
        SELECT name_key, person.name FROM facecli.template
        JOIN facecli.model ON model.id = model_id JOIN facecli.person ON person.id = person_id
        WHERE image_sha256 = photo.sha256 AND fingerprint = %s OFFSET 0
    ) AS face ORDER BY name_key
"""
CALIBRATIONS = """
    SELECT fingerprint, model, threshold, far, far_low, far_high, people, impostor_pairs,
        genuine_pairs, fnmr, source, created, impostors
    FROM facecli.calibration ORDER BY model, fingerprint
"""
NAMES = "SELECT id, name FROM facecli.person"
MODEL = "SELECT id, dimension FROM facecli.model WHERE fingerprint = %s"
SIZE = """
    SELECT coalesce(sum(pg_catalog.pg_total_relation_size(oid)), 0)::bigint
    FROM pg_catalog.pg_class
    WHERE relnamespace = 'facecli'::pg_catalog.regnamespace AND relkind = 'r'
"""
OPEN_TO_ALL = "SELECT pg_catalog.has_schema_privilege('public', 'facecli', 'USAGE')"
NOBODYS = """
    SELECT template.id FROM facecli.template
    LEFT JOIN facecli.person ON person.id = person_id WHERE person.id IS NULL ORDER BY 1
"""
OF_NO_MODEL = """
    SELECT template.id FROM facecli.template
    LEFT JOIN facecli.model ON model.id = model_id WHERE model.id IS NULL ORDER BY 1
"""
NUL = "\0"
"""PostgreSQL's text cannot hold it, so nothing that has it is stored."""


def people(connection: Connection) -> list[Person]:
    """Return everyone, by name."""
    rows = connection.execute(f"{PERSON} GROUP BY person.id ORDER BY name_key")
    return [_person(row) for row in rows]


def person(connection: Connection, name: str) -> Person | None:
    """Return a person by any spelling of the name, or None."""
    key = name_key(name)
    if NUL in key:
        return None
    row = connection.execute(f"{PERSON} WHERE name_key = %s GROUP BY person.id", (key,)).fetchone()
    return None if row is None else _person(row)


def names_by_key(connection: Connection) -> dict[str, str]:
    """Return every name by its key."""
    rows = connection.execute("SELECT name_key, name FROM facecli.person")
    return {str(key): str(name) for key, name in rows}


def count_people(connection: Connection) -> int:
    """Return how many people are enrolled."""
    return _number(connection, "SELECT count(*) FROM facecli.person")


def templates(connection: Connection, person_id: int) -> list[Template]:
    """Return a person's templates of every model, oldest first."""
    return [_template(row) for row in connection.execute(TEMPLATES, (person_id,))]


def _template(row: Sequence[Any]) -> Template:
    return Template(
        id=row[0],
        person_id=row[1],
        fingerprint=row[2],
        image_sha256=row[3],
        box=(row[4], row[5], row[6], row[7]),
        quality=Quality(*row[8:12]),
        created=row[12],
    )


def models(connection: Connection) -> list[StoredModel]:
    """Return the models that ever had templates here, oldest first."""
    rows: Iterable[Sequence[Any]] = connection.execute(MODELS)
    return [StoredModel(*row) for row in rows]


def model(connection: Connection, fingerprint: str) -> tuple[int, int] | None:
    """Return the id and the dimension of a model, or None if it never had templates here."""
    row: Sequence[Any] | None = connection.execute(MODEL, (fingerprint,)).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


def vectors(
    connection: Connection, model_id: int, dimension: int
) -> tuple[StoredVectors, dict[int, str]]:
    """Return a model's templates, and the names of their people by id."""
    found = read_vectors(connection, model_id, dimension)
    present = set(found.person_ids.tolist())
    everyone: Iterable[Sequence[Any]] = connection.execute(NAMES)
    names = {row[0]: row[1] for row in everyone if row[0] in present}
    if len(names) < len(present):
        raise Damaged("a template in it is nobody's")
    return found, names


def holder(connection: Connection, template_id: int) -> str:
    """Return the name of the person that a template is of."""
    query = """
        SELECT name FROM facecli.template JOIN facecli.person ON person.id = person_id
        WHERE template.id = %s
    """
    row = connection.execute(query, (template_id,)).fetchone()
    return "nobody" if row is None else str(row[0])


def pictured(
    connection: Connection, sha256s: Iterable[str], fingerprint: str
) -> dict[str, tuple[str, ...]]:
    """Return who is enrolled from each picture under one model; unknown pictures are left out."""
    wanted = [sha256 for sha256 in sha256s if NUL not in sha256]
    known: dict[str, tuple[str, ...]] = {}
    for sha256, _, name in connection.execute(PICTURED, (wanted, fingerprint)):
        known[str(sha256)] = (*known.get(str(sha256), ()), str(name))
    return {sha256: known[sha256] for sha256 in wanted if sha256 in known}


def calibrations(connection: Connection) -> list[Calibration]:
    """Return the thresholds set from data, by model; raise ValueError for damaged JSON."""
    rows: Iterable[Sequence[Any]] = connection.execute(CALIBRATIONS)
    # The columns are the record's fields, in the same order.
    return [Calibration(*(*row[:-1], read_json_object(row[-1]))) for row in rows]


def generation(connection: Connection) -> int:
    """Return the number that every change replaces."""
    return _number(connection, "SELECT generation FROM facecli.meta")


def size(connection: Connection) -> int:
    """Return how many bytes the tables take, with their indexes."""
    return _number(connection, SIZE)


def is_private(connection: Connection) -> bool:
    """Return whether the gallery is closed to roles that nobody gave a right to."""
    return not (connection.execute(OPEN_TO_ALL).fetchone() or (True,))[0]


def problems(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the database, a line each."""
    for query, lost in ((NOBODYS, "person"), (OF_NO_MODEL, "model")):
        for (row,) in connection.execute(query).fetchall():
            yield f"template {row} refers to a {lost} that does not exist"
    rows: list[Any] = connection.execute("SELECT id, dimension FROM facecli.model").fetchall()
    for model_id, numbers in rows:
        for row in read_vectors(connection, model_id, numbers).damaged:
            yield f"template {row} is not a unit vector of {numbers} numbers"


def _number(connection: Connection, query: str) -> int:
    row: Sequence[Any] | None = connection.execute(query).fetchone()
    if row is None:
        raise Damaged("a row that every gallery has is missing")
    return int(row[0])


def _person(row: Sequence[Any]) -> Person:
    return Person(*row)
