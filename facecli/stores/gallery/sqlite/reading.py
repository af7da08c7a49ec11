"""Questions to a gallery's database; the caller holds the transaction that answers them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from facecli.stores.embeddings import damaged
from facecli.stores.kind import Damaged, sound
from facecli.stores.names import name_key
from facecli.text import read_json_object
from facecli.types import Calibration, Person, Quality, StoredModel, Template

PERSON = """
    SELECT person.id, person.name, external_id, count(template.id), person.created
    FROM person LEFT JOIN template ON person_id = person.id
"""
TEMPLATES = """
    SELECT template.id, person_id, fingerprint, image_sha256, box_left, box_top, box_right,
        box_bottom, eye_distance, sharpness, brightness, turn, template.created
    FROM template JOIN model ON model.id = model_id
    WHERE person_id = ? ORDER BY template.id
"""
# Nearly always all templates are of one model. Reading the table in its own order is then faster
# than following an index.
VECTORS = """
    SELECT id, person_id, embedding FROM template NOT INDEXED WHERE model_id = ? ORDER BY id
"""
MODELS = """
    SELECT name, fingerprint, dimension, count(template.id), model.created
    FROM model LEFT JOIN template ON model_id = model.id GROUP BY model.id ORDER BY model.id
"""
PICTURED = """
    SELECT DISTINCT person.name FROM template
    JOIN model ON model.id = model_id JOIN person ON person.id = person_id
    WHERE image_sha256 = ? AND fingerprint = ? ORDER BY name_key
"""


CALIBRATION = (str, str, *[float] * 4, *[int] * 3, float | None, str, str, str)
"""What kinds of values the columns of a calibration hold."""


def people(connection: sqlite3.Connection) -> list[Person]:
    """Return everyone, by name."""
    rows = connection.execute(f"{PERSON} GROUP BY person.id ORDER BY name_key")
    return [_person(row) for row in rows]


def person(connection: sqlite3.Connection, name: str) -> Person | None:
    """Return a person by any spelling of the name, or None."""
    rows = connection.execute(
        f"{PERSON} WHERE name_key = ? GROUP BY person.id", (name_key(name),)
    ).fetchone()
    return None if rows is None else _person(rows)


def names_by_key(connection: sqlite3.Connection) -> dict[str, str]:
    """Return every name by its key."""
    rows = connection.execute("SELECT name_key, name FROM person")
    return {key: name for key, name in rows if sound((key, name), (str, str), "person")}


def count_people(connection: sqlite3.Connection) -> int:
    """Return how many people are enrolled."""
    return int(connection.execute("SELECT count(*) FROM person").fetchone()[0])


def templates(connection: sqlite3.Connection, person_id: int) -> list[Template]:
    """Return a person's templates of every model, oldest first."""
    return [
        Template(
            id=row[0],
            person_id=row[1],
            fingerprint=row[2],
            image_sha256=row[3],
            box=(row[4], row[5], row[6], row[7]),
            quality=Quality(*row[8:12]),
            created=row[12],
        )
        for row in map(_template, connection.execute(TEMPLATES, (person_id,)))
    ]


def models(connection: sqlite3.Connection) -> list[StoredModel]:
    """Return the models that ever had templates here, oldest first."""
    kinds = (str, str, int, int, str)
    return [StoredModel(*sound(row, kinds, "model")) for row in connection.execute(MODELS)]


def dimension(connection: sqlite3.Connection, fingerprint: str) -> int | None:
    """Return how many numbers a model's embeddings have here, or None if it never had any."""
    query = "SELECT dimension FROM model WHERE fingerprint = ?"
    found = connection.execute(query, (fingerprint,)).fetchone()
    return None if found is None else int(sound(found, (int,), "model")[0])


def vectors(
    connection: sqlite3.Connection, fingerprint: str
) -> tuple[list[tuple[int, int, bytes]], dict[int, str]]:
    """Return one model's templates and the names of their people by id.

    Each template is its id, the person's id and the stored embedding; they are ordered by id.
    """
    query = "SELECT id FROM model WHERE fingerprint = ?"
    model = connection.execute(query, (fingerprint,)).fetchone()
    if model is None:
        return [], {}
    rows = connection.execute(VECTORS, model).fetchall()
    if not all(type(a) is int and type(b) is int and type(c) is bytes for a, b, c in rows):
        raise Damaged("a template in it is not as this program writes it")
    present = {person_id for _, person_id, _ in rows}
    everyone = connection.execute("SELECT id, name FROM person").fetchall()
    names = {row[0]: sound(row, (int, str), "person")[1] for row in everyone if row[0] in present}
    if len(names) < len(present):
        raise Damaged("a template in it is nobody's")
    return rows, names


def pictured(
    connection: sqlite3.Connection, sha256s: Iterable[str], fingerprint: str
) -> dict[str, tuple[str, ...]]:
    """Return who is enrolled from each picture under one model; unknown pictures are left out."""
    known = {}
    for sha256 in sha256s:
        rows = connection.execute(PICTURED, (sha256, fingerprint)).fetchall()
        if rows:
            known[sha256] = tuple(sound(row, (str,), "person")[0] for row in rows)
    return known


def calibrations(connection: sqlite3.Connection) -> list[Calibration]:
    """Return the thresholds set from data, by model; raise ValueError for damaged JSON."""
    rows = connection.execute("SELECT * FROM calibration ORDER BY model, fingerprint")
    # The columns are the record's fields, in the same order.
    return [
        Calibration(*(*row[:-1], read_json_object(row[-1])))
        for row in rows
        if sound(row, CALIBRATION, "calibration")
    ]


def generation(connection: sqlite3.Connection) -> int:
    """Return the number that every change replaces."""
    row = connection.execute("SELECT generation FROM meta").fetchone() or ()
    return int(sound(row, (int,), "generation")[0])


def problems(connection: sqlite3.Connection) -> list[str]:
    """Return what is wrong with the database, a line each."""
    lines = [line for (line,) in connection.execute("PRAGMA integrity_check")]
    found = [] if lines == ["ok"] else [f"database: {line}" for line in lines]
    found += [
        f"{table} {row} refers to a {parent} that does not exist"
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check")
    ]
    for model_id, numbers in connection.execute("SELECT id, dimension FROM model").fetchall():
        found += _damaged_templates(connection, model_id, numbers)
    return found


def _damaged_templates(
    connection: sqlite3.Connection, model_id: int, numbers: int
) -> Iterator[str]:
    """Yield a line for each template of a model that is not a unit vector of its dimension."""
    rows = connection.execute(VECTORS, (model_id,)).fetchall()
    for row in damaged([embedding for _, _, embedding in rows], numbers):
        yield f"template {rows[row][0]} is not a unit vector of {numbers} numbers"


def _person(row: Sequence[Any]) -> Person:
    return Person(*sound(row, (int, str, str | None, int, str), "person"))


def _template(row: Sequence[Any]) -> Sequence[Any]:
    return sound(row, (int, int, str, str, *[float] * 8, str), "template")
