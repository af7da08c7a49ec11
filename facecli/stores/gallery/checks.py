"""What every storage engine checks of templates before it looks into its database."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from facecli.errors import GalleryError
from facecli.stores.embeddings import check_unit
from facecli.stores.gallery import refusals
from facecli.stores.names import clean_name, name_key
from facecli.types import FloatArray, ModelCard, NewTemplate, StoredModel

Face = tuple[str, float, float, float, float]
"""A face of a photo: the photo's SHA-256, and the box as left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class CheckedTemplate:
    """A template that passed the checks, as numbers and text that a database takes.

    `key` is the person's name key. `embedding` is a unit vector, float32 (d,). `quality` is eye
    distance, sharpness, brightness and turn. `created` is None for a template of this moment.
    """

    key: str
    embedding: FloatArray
    face: Face
    quality: tuple[float, float, float, float]
    created: str | None


@dataclass(frozen=True, slots=True)
class NamedPerson:
    """A person that a batch names, by the first spelling in it, and the external id if given.

    `created` is that of the person's first template.
    """

    name: str
    external_id: str | None
    created: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Templates that passed the checks; `people` are by name key, in the order of the templates."""

    templates: tuple[CheckedTemplate, ...]
    people: dict[str, NamedPerson]


def checked(templates: Sequence[NewTemplate], card: ModelCard | StoredModel) -> Batch:
    """Return templates ready to be stored.

    Raises GalleryError, which names the person, for a name or external id that cannot be used, for
    an embedding that is not a unit vector of float32 (d,) with the card's dimension, for a box or
    quality that is not finite, for a face that comes twice, for a person with two external ids and
    for two people with one.
    """
    people: dict[str, NamedPerson] = {}
    faces: dict[Face, str] = {}
    done = []
    for template in templates:
        person = _named(template)
        found = _checked_one(template, person.name, card.dimension)
        if found.face in faces:
            raise refusals.face_enrolled(person.name, found.face[0], faces[found.face])
        faces[found.face] = person.name
        people[found.key] = _same_person(people.get(found.key), person)
        done.append(found)
    _refuse_shared_ids(people)
    return Batch(tuple(done), people)


def _named(template: NewTemplate) -> NamedPerson:
    name = clean_name(template.person)
    given = template.external_id
    return NamedPerson(
        name, None if given is None else clean_name(given, "external id"), template.created
    )


def _checked_one(template: NewTemplate, name: str, dimension: int) -> CheckedTemplate:
    """Check the numbers of one template."""
    try:
        check_unit(template.embedding, dimension)
    except ValueError as error:
        raise GalleryError(f"template of {name!r}: {error}") from error
    quality = template.quality
    left, top, right, bottom = map(float, template.box)
    measures = (
        float(quality.eye_distance),
        float(quality.sharpness),
        float(quality.brightness),
        float(quality.turn),
    )
    if not all(map(math.isfinite, (left, top, right, bottom, *measures))):
        raise GalleryError(f"template of {name!r}: its box or quality is not a finite number")
    face = (str(template.image_sha256), left, top, right, bottom)
    return CheckedTemplate(name_key(name), template.embedding, face, measures, template.created)


def _same_person(before: NamedPerson | None, again: NamedPerson) -> NamedPerson:
    """Return a person who is named again; raise GalleryError if the external ids differ."""
    if before is None:
        return again
    if before.external_id and again.external_id and before.external_id != again.external_id:
        raise refusals.two_external_ids(again.name, before.external_id, again.external_id)
    return replace(before, external_id=before.external_id or again.external_id)


def _refuse_shared_ids(people: dict[str, NamedPerson]) -> None:
    holders: dict[str, str] = {}
    for person in people.values():
        if person.external_id is None:
            continue
        holder = holders.setdefault(person.external_id, person.name)
        if holder != person.name:
            raise refusals.shared_external_id(person.external_id, person.name, holder)
