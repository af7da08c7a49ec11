"""Enroll a person from the faces of a cluster in the photo library."""

from __future__ import annotations

from dataclasses import replace

from facecli.albums.facetable import same_box
from facecli.albums.scanning import finder_of
from facecli.errors import FaceError
from facecli.faces.quality import usable_for_enrollment
from facecli.faces.whole import is_whole
from facecli.recognition.screening import Outcome, PhotoOutcome
from facecli.stores.contract import GalleryStore
from facecli.stores.library.clusters import AlbumStore, StoredFace
from facecli.stores.names import clean_name, name_key
from facecli.types import ModelCard, NewTemplate, Subject

FACES = 5
"""At most this many faces of a cluster are enrolled, the most typical: more would add little."""


def faces_to_enroll(
    number: int,
    person: str,
    *,
    store: AlbumStore,
    gallery: GalleryStore,
    card: ModelCard,
    detector: str,
    external_id: str | None = None,
) -> list[PhotoOutcome]:
    """Return the most typical faces of a cluster that are good enough to be judged and stored.

    `detector` is the version of the detector that found them.

    Photos from which somebody else is enrolled are left out, since they would be refused. Raises
    FaceError, with a reason, if no face is left.
    """
    members = store.members(number)
    if not members:
        raise FaceError(f"cluster {number}: there is none; `facecli cluster DIR` lists them")
    name = clean_name(person)
    known = gallery.images_known([one.sha256 for one in members], card.fingerprint)
    finder = finder_of(detector, card.geometry)
    chosen: list[PhotoOutcome] = []
    reasons: dict[str, None] = {}
    for one in members:
        source = store.path_of(one.sha256) or one.sha256
        if any(name_key(other) != name_key(name) for other in known.get(one.sha256, ())):
            reasons[f"{source}: somebody else is enrolled from it"] = None
            continue
        found = _template(one, name, store, card, finder, external_id)
        if isinstance(found, NewTemplate):
            outcome = PhotoOutcome(name, source, Outcome.ACCEPTED, external_id=external_id)
            chosen.append(replace(outcome, template=found))
        else:
            reasons[f"{source}: {found}"] = None
        if len(chosen) == FACES:
            break
    if not chosen:
        raise FaceError(f"cluster {number}: no face to enroll. {next(iter(reasons))}")
    return chosen


def _template(
    sighting: StoredFace,
    person: str,
    store: AlbumStore,
    card: ModelCard,
    finder: str,
    external_id: str | None,
) -> NewTemplate | str:
    """Return a template of a face, from the library, or the reason why there is none."""
    known = store.library.recall(sighting.sha256, finder=finder, card=card)
    if known is None or known.embeddings is None:
        return f"not looked at with {card.name}: run facecli cluster with it first"
    if is_whole(sighting.box, known.size) is not (card.subject is Subject.PICTURE):
        return f"the cluster is not of what {card.name} looks at"
    for face, embedding in zip(known.faces, known.embeddings, strict=True):
        if same_box(face.detection.box, sighting.box):
            if problems := usable_for_enrollment(face.quality, card.subject):
                return "; ".join(problems)
            return NewTemplate(
                person=person,
                embedding=embedding,
                image_sha256=sighting.sha256,
                box=face.detection.box,
                quality=face.quality,
                external_id=external_id,
            )
    return "the face is no longer found there: run facecli cluster first"
