"""Look at each photo that someone is to be enrolled from, by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from facecli.errors import GalleryError
from facecli.faces.acquisition import Source
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.quality import usable_for_enrollment
from facecli.recognition.roster import NO_PICTURES, EnrollmentRequest
from facecli.stores.names import clean_name
from facecli.types import (
    NO_FACE_FOUND,
    Failure,
    NewTemplate,
    Subject,
)

EmbedPhotos = Callable[[Iterable[Source]], Iterable[EmbeddedPicture | Failure]]
"""Yields the faces of each photo with their embeddings, in the order given."""


class Outcome(StrEnum):
    """What becomes of one photo."""

    ACCEPTED = "accepted"
    REPEATED = "same picture twice"
    NO_FACE = "no face"
    SEVERAL_FACES = "several faces"
    LOW_QUALITY = "low quality"
    LOOK_ALIKE = "look-alike"
    NO_PHOTO = "no photo"
    BAD_REQUEST = "bad request"
    UNREADABLE = "unreadable"

    @property
    def refused(self) -> bool:
        """Tell whether the person is not remembered by this photo.

        A picture of the same person that is stored already, or comes twice, is no refusal, so that
        a batch may be run again.
        """
        return self not in (Outcome.ACCEPTED, Outcome.REPEATED)


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Another person with a face within the threshold, and their photo if it is of this batch."""

    person: str
    squared_l2: float
    source: str | None = None


@dataclass(frozen=True, slots=True)
class PhotoOutcome:
    """What becomes of one photo and why; `warnings` do not keep it from being accepted.

    `template` is what will be stored, None unless accepted. `enrolled` is true if it is stored
    already, from an earlier run. `external_id` is the person's key in another system as given.
    """

    person: str
    source: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    look_alike: LookAlike | None = None
    template: NewTemplate | None = None
    enrolled: bool = False
    external_id: str | None = None

    def refuse(
        self, outcome: Outcome, reason: str, look_alike: LookAlike | None = None
    ) -> PhotoOutcome:
        """Return the photo with another outcome and nothing to store."""
        reasons = (*self.reasons, reason)
        return replace(self, outcome=outcome, reasons=reasons, look_alike=look_alike, template=None)


def examine(
    requests: Sequence[EnrollmentRequest | Failure],
    embed: EmbedPhotos,
    *,
    largest: bool = False,
    subject: Subject = Subject.FACE,
) -> Iterator[PhotoOutcome]:
    """Look at each photo by itself and yield what becomes of it, in the order given.

    With `largest` a photo of several faces gives its main one; else it is refused. `subject` is
    what the model looks at.
    """
    checked = [_checked(request) for request in requests]
    photos = [item for item in checked if isinstance(item, EnrollmentRequest)]
    pictures = iter(embed(one.photo for one in photos))
    for item in checked:
        if isinstance(item, EnrollmentRequest):
            yield _screened(item, next(pictures), largest=largest, subject=subject)
        else:
            yield item


def _checked(request: EnrollmentRequest | Failure) -> EnrollmentRequest | PhotoOutcome:
    """Return the request with its name and external id as they will be stored."""
    if isinstance(request, Failure) and request.reason == NO_PICTURES:
        person = Path(request.source).name
        return PhotoOutcome(person, request.source, Outcome.NO_PHOTO, (request.reason,))
    if isinstance(request, Failure):
        return PhotoOutcome("", request.source, Outcome.BAD_REQUEST, (request.reason,))
    try:
        external_id = request.external_id
        if external_id is not None:
            external_id = clean_name(external_id, "external id")
        return replace(request, person=clean_name(request.person), external_id=external_id)
    except GalleryError as error:
        return PhotoOutcome(request.person, request.source, Outcome.BAD_REQUEST, (str(error),))


def _screened(
    request: EnrollmentRequest,
    picture: EmbeddedPicture | Failure,
    *,
    largest: bool,
    subject: Subject,
) -> PhotoOutcome:
    """Judge one photo by itself."""
    outcome = PhotoOutcome(
        request.person, request.source, Outcome.ACCEPTED, external_id=request.external_id
    )
    if isinstance(picture, Failure):
        return outcome.refuse(Outcome.UNREADABLE, picture.reason)
    outcome = replace(outcome, warnings=picture.notes)
    count = len(picture.faces)
    if not count:
        return outcome.refuse(Outcome.NO_FACE, NO_FACE_FOUND)
    if count > 1 and not largest:
        return outcome.refuse(Outcome.SEVERAL_FACES, f"{count} faces")
    main = picture.main
    outcome = replace(outcome, warnings=(*outcome.warnings, *main.notes))
    face = picture.faces[main.number]
    if problems := usable_for_enrollment(face.quality, subject):
        return outcome.refuse(Outcome.LOW_QUALITY, "; ".join(problems))
    template = NewTemplate(
        person=request.person,
        embedding=picture.embeddings[main.number],
        image_sha256=picture.sha256,
        box=face.detection.box,
        quality=face.quality,
        external_id=request.external_id,
    )
    return replace(outcome, template=template)
