"""Copy a whole gallery into another place, between any two engines; run again, it goes on.

People are copied as they are: names, external ids, templates of every model with all that is known
of them, and calibrations. Only the numbers of people and templates are new. Nobody is merged: a
person whom both galleries know has to have no other templates there than here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from facecli.errors import GalleryError
from facecli.stores.contract import GalleryStore
from facecli.stores.names import name_key
from facecli.types import (
    Box,
    FloatArray,
    NewTemplate,
    Person,
    Quality,
    Template,
    TemplateMatrix,
)

TOGETHER = 500
"""People copied in one transaction for each model: a second of work at most."""

FollowPeople = Callable[[Sequence[Person]], Iterable[Person]]
"""Receives the people and passes them on as they are copied: a place for a progress bar."""

Face = tuple[str, str, Box]
"""What sets templates apart: the model's fingerprint, the photo's SHA-256 and the box."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in the other gallery now, compared with this one value for value.

    `people` and `templates` are all of this gallery; `new` of the templates were copied now, the
    others were there already. `calibrations` counts all of this gallery.
    """

    people: int
    templates: int
    new: int
    calibrations: int


def copy_gallery(
    source: GalleryStore,
    target: GalleryStore,
    *,
    follow: FollowPeople = iter,
    together: int = TOGETHER,
) -> Copied:
    """Copy everyone and every calibration, and compare the result with the source.

    A copy that was interrupted is taken up again: who is there already is left as they are. Raises
    GalleryError for a person whom the target knows otherwise, for another calibration of a model,
    if the source changes meanwhile, and if the result is not what it should be.
    """
    before = source.generation()
    reader = _Reader(source)
    everyone = sorted(source.people(), key=lambda one: one.id)
    _refuse_other_calibrations(source, target)
    known = {name_key(one.name): one for one in target.people()}
    new = 0
    for group in _grouped(follow(everyone), together):
        missing = [each for one in group for each in _missing(reader, target, one, known)]
        new += _store(reader, target, missing)
    for calibration in source.calibrations():
        target.set_calibration(calibration)
    _verify(reader, target, everyone)
    if source.generation() != before:
        raise GalleryError(f"{source.location} was changed while it was copied: copy it again")
    return Copied(
        people=len(everyone),
        templates=sum(one.templates for one in everyone),
        new=new,
        calibrations=len(source.calibrations()),
    )


class _Reader:
    """The templates of a gallery with their vectors, which are read once for each model."""

    def __init__(self, gallery: GalleryStore) -> None:
        self._gallery = gallery
        self.models = gallery.models()
        self._vectors = {
            model.fingerprint: _Vectors(gallery.matrix(model))
            for model in self.models
            if model.templates
        }

    def templates_of(self, person: Person) -> list[Template]:
        """Return a person's templates, oldest first."""
        return self._gallery.templates_of(person.name)

    def vector(self, template: Template) -> FloatArray:
        """Return the vector of a template, float32 (d,)."""
        return self._vectors[template.fingerprint].of(template.id)


class _Vectors:
    """The vectors of one model by the ids of their templates."""

    def __init__(self, matrix: TemplateMatrix) -> None:
        self._embeddings = matrix.embeddings
        self._rows = {int(one): row for row, one in enumerate(matrix.template_ids)}

    def of(self, template_id: int) -> FloatArray:
        if template_id not in self._rows:
            raise GalleryError("the gallery was changed while it was copied: copy it again")
        vector: FloatArray = self._embeddings[self._rows[template_id]]
        return vector


def _face(template: Template) -> Face:
    return template.fingerprint, template.image_sha256, template.box


def _grouped(people: Iterable[Person], together: int) -> Iterator[list[Person]]:
    group: list[Person] = []
    for person in people:
        group.append(person)
        if len(group) == together:
            yield group
            group = []
    if group:
        yield group


def _missing(
    reader: _Reader, target: GalleryStore, person: Person, known: dict[str, Person]
) -> list[tuple[Person, Template]]:
    """Return the templates of a person that the target has not.

    Raises GalleryError if it has others of that name, or the person under another external id.
    """
    here = reader.templates_of(person)
    there = known.get(name_key(person.name))
    if there is None:
        return [(person, one) for one in here]
    faces = {_face(one) for one in target.templates_of(person.name)}
    same = (there.name, there.external_id) == (person.name, person.external_id)
    if not same or faces - set(map(_face, here)):
        raise GalleryError(
            f"{target.location} knows {person.name!r} with other photos, another external id or "
            "another spelling: rename one of them; if they are one person, merge them after the "
            "copy"
        )
    return [(person, one) for one in here if _face(one) not in faces]


def _store(
    reader: _Reader, target: GalleryStore, missing: Sequence[tuple[Person, Template]]
) -> int:
    """Store templates, those of one model in one transaction; return how many they are."""
    for model in reader.models:
        batch = [
            _as_new(person, one, reader.vector(one))
            for person, one in sorted(missing, key=lambda pair: pair[1].id)
            if one.fingerprint == model.fingerprint
        ]
        if batch:
            target.add(batch, model)
    return len(missing)


def _as_new(person: Person, template: Template, vector: FloatArray) -> NewTemplate:
    return NewTemplate(
        person=person.name,
        embedding=vector,
        image_sha256=template.image_sha256,
        box=template.box,
        quality=template.quality,
        external_id=person.external_id,
        created=template.created,
    )


def _refuse_other_calibrations(source: GalleryStore, target: GalleryStore) -> None:
    there = {one.fingerprint: one for one in target.calibrations()}
    for one in source.calibrations():
        if there.get(one.fingerprint, one) != one:
            raise GalleryError(
                f"{target.location} has another calibration of model {one.model!r}: clear one of "
                "the two with 'facecli calibrate --clear'"
            )


Held = tuple[str, str, Box, Quality, str, bytes]
"""All that is known of a template: its face, its quality, when it was enrolled, and its vector."""


def _held(reader: _Reader, person: Person) -> tuple[str, str | None, list[Held]]:
    templates = [
        (*_face(one), one.quality, one.created, reader.vector(one).tobytes())
        for one in reader.templates_of(person)
    ]
    return person.name, person.external_id, sorted(templates, key=lambda one: one[:3])


def _verify(reader: _Reader, target: GalleryStore, everyone: Sequence[Person]) -> None:
    """Read everything from the target and compare it; raise GalleryError for a difference."""
    there = _Reader(target)
    known = {name_key(one.name): one for one in target.people()}
    for person in everyone:
        other = known.get(name_key(person.name))
        if other is None or _held(reader, person) != _held(there, other):
            raise GalleryError(f"{target.location}: {person.name!r} is not as in the original")
