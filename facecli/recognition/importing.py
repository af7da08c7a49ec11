"""Take people of another gallery into this one: each as a whole, and none of them silently merged.

A person who is here already with exactly these faces is left as they are, so that an import may be
run again. Everyone who contradicts the gallery, or another person of the file, is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from facecli.errors import FingerprintMismatch
from facecli.recognition.people_file import PersonInFile
from facecli.stores.contract import GalleryStore
from facecli.stores.names import name_key
from facecli.types import Box, ModelCard, NewTemplate, Person, TemplateMatrix
from facecli.vectors.neighbours import nearest_by_owner

Face = tuple[str, Box]
"""A face of a photo: the photo's SHA-256, and the box."""

CURE = "rename one of them; if they are one person, merge them after the import"


class ImportOutcome(StrEnum):
    """What becomes of one person of a file."""

    IMPORTED = "imported"
    PRESENT = "there already"
    CONFLICT = "conflict"
    LOOK_ALIKE = "look-alike"
    UNUSABLE = "unusable"

    @property
    def refused(self) -> bool:
        """Tell whether the gallery does not hold the person as the file does."""
        return self not in (ImportOutcome.IMPORTED, ImportOutcome.PRESENT)


@dataclass(frozen=True, slots=True)
class PersonImport:
    """What becomes of one person of a file, and why; a warning does not keep a person out."""

    given: PersonInFile
    outcome: ImportOutcome = ImportOutcome.IMPORTED
    reason: str = ""
    warning: str = ""

    def refuse(self, outcome: ImportOutcome, reason: str) -> PersonImport:
        """Return the person with another outcome."""
        return replace(self, outcome=outcome, reason=reason)


def judge_people(
    people: Sequence[PersonInFile],
    gallery: GalleryStore,
    card: ModelCard,
    *,
    threshold: float,
    allow_look_alikes: bool = False,
) -> list[PersonImport]:
    """Compare the people of a file with the gallery and with each other; store nothing."""
    judged = [
        PersonImport(one).refuse(ImportOutcome.UNUSABLE, one.problem)
        if one.problem
        else PersonImport(one)
        for one in people
    ]
    judged = _refuse_shared(judged)
    here = _Here(gallery, card, judged)
    judged = [here.judged(one) if one.outcome is ImportOutcome.IMPORTED else one for one in judged]
    return _compare_faces(judged, here.matrix, threshold=threshold, allowed=allow_look_alikes)


def store_people(judged: Sequence[PersonImport], gallery: GalleryStore, card: ModelCard) -> int:
    """Store everyone who is imported in one transaction; return how many templates that is."""
    kept = [one.given for one in judged if one.outcome is ImportOutcome.IMPORTED]
    templates = [template for one in kept for template in one.templates]
    return len(gallery.add(templates, card)) if templates else 0


def _refuse_shared(judged: Sequence[PersonImport]) -> list[PersonImport]:
    """Refuse all people of a file who share a name, an external id or a face."""
    shared: tuple[tuple[str, Callable[[PersonInFile], Sequence[object]]], ...] = (
        ("name", lambda one: [name_key(one.name)]),
        ("external id", lambda one: [] if one.external_id is None else [one.external_id]),
        ("face", lambda one: sorted({face_of(each) for each in one.templates})),
    )
    done = list(judged)
    for what, values in shared:
        holders: dict[object, list[int]] = defaultdict(list)
        for place, one in enumerate(done):
            for value in values(one.given) if not one.outcome.refused else ():
                holders[value].append(place)
        for places in holders.values():
            for place in places if len(places) > 1 else ():
                lines = ", ".join(str(done[one].given.line) for one in places if one != place)
                reason = f"the {what} is in line {lines} of the file too"
                done[place] = done[place].refuse(ImportOutcome.CONFLICT, reason)
    return done


def face_of(template: NewTemplate) -> Face:
    """Return which face of which photo a template is of."""
    return template.image_sha256, template.box


class _Here:
    """Who is in the gallery: names, external ids, and the faces that the file names too."""

    def __init__(
        self, gallery: GalleryStore, card: ModelCard, judged: Sequence[PersonImport]
    ) -> None:
        self._gallery = gallery
        self._fingerprint = card.fingerprint
        everyone = gallery.people()
        self._people = {name_key(one.name): one for one in everyone}
        self._ids = {one.external_id: one.name for one in everyone}
        given = {each.image_sha256 for one in judged for each in one.given.templates}
        known = gallery.images_known(given, card.fingerprint)
        names = sorted({name for found in known.values() for name in found})
        self._faces = {face: name for name in names for face in self._faces_of(name)}
        try:
            self.matrix: TemplateMatrix | None = gallery.matrix(card)
        except FingerprintMismatch:
            self.matrix = None  # only templates of other models are here

    def judged(self, one: PersonImport) -> PersonImport:
        """Return what the gallery says of a person."""
        given = one.given
        known = self._people.get(name_key(given.name))
        if known is not None:
            return self._judged_known(one, known)
        holder = None if given.external_id is None else self._ids.get(given.external_id)
        if holder is not None:
            reason = f"external id {given.external_id} belongs to {holder}"
            return one.refuse(ImportOutcome.CONFLICT, reason)
        holders = [
            self._faces[face] for face in map(face_of, given.templates) if face in self._faces
        ]
        if holders:
            reason = f"a face is enrolled already, as {holders[0]}"
            return one.refuse(ImportOutcome.CONFLICT, reason)
        return one

    def _judged_known(self, one: PersonImport, known: Person) -> PersonImport:
        """Return what the gallery says of a person of a name that it has."""
        given = one.given
        if not set(map(face_of, given.templates)) <= self._faces_of(known.name):
            reason = f"{known.name} is here already, with other faces: {CURE}"
            return one.refuse(ImportOutcome.CONFLICT, reason)
        if given.external_id not in (None, known.external_id):
            has = "none" if known.external_id is None else known.external_id
            reason = f"{known.name} is here already; external id {given.external_id}, here {has}"
            return one.refuse(ImportOutcome.CONFLICT, reason)
        return one.refuse(ImportOutcome.PRESENT, "")

    def _faces_of(self, name: str) -> set[Face]:
        return {
            (one.image_sha256, one.box)
            for one in self._gallery.templates_of(name)
            if one.fingerprint == self._fingerprint
        }


def _compare_faces(
    judged: Sequence[PersonImport], here: TemplateMatrix | None, *, threshold: float, allowed: bool
) -> list[PersonImport]:
    """Refuse people with a face like another person's, of the gallery or of the file."""
    taken = [place for place, one in enumerate(judged) if one.outcome is ImportOutcome.IMPORTED]
    rows = [(place, each) for place in taken for each in judged[place].given.templates]
    if not rows:
        return list(judged)
    pool = np.stack([each.embedding for _, each in rows])
    # People of the file are numbered below those of the gallery, whose ids are above 0.
    owners = np.array([-1 - place for place, _ in rows], np.int64)
    first = 0
    if here is not None and len(here.template_ids):
        first = len(here.template_ids)
        pool = np.concatenate([here.embeddings, pool])
        owners = np.concatenate([here.person_ids, owners])
    found = nearest_by_owner(pool, owners, first)
    done = list(judged)
    for row in np.flatnonzero(found.other_squared <= threshold):
        place, owner = rows[row][0], int(owners[found.other[row]])
        name = judged[-1 - owner].given.name if owner < 0 else here.names[owner] if here else ""
        likeness = f"looks like {name}: squared L2 {found.other_squared[row]:.3f}"
        if allowed:
            done[place] = replace(done[place], warning=likeness)
        else:
            done[place] = done[place].refuse(ImportOutcome.LOOK_ALIKE, likeness)
    return done
