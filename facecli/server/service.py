"""What the service does, in the words of its records; safe to call from several threads."""

from __future__ import annotations

from dataclasses import dataclass

from facecli.faces.images import read_picture
from facecli.recognition.recognizer import Enrolled, Faces, Recognizer
from facecli.recognition.roster import EnrollmentRequest
from facecli.records.enrollment import EnrollmentRecord, enrollment
from facecli.records.people import ForgottenRecord, PersonRecord, forgotten, person
from facecli.records.recognition import (
    IdentificationRecord,
    VerificationRecord,
    identification,
    verification,
)

PHOTO = "photo"
"""What a picture without a file name is called in records and messages."""


@dataclass(frozen=True, slots=True)
class EnrollmentOptions:
    """Whom to remember from one photo, and what to allow; as the options of `facecli enroll`."""

    name: str
    external_id: str | None = None
    largest: bool = False
    allow_look_alike: bool = False
    dry_run: bool = False


class RecognitionService:
    """Verify, identify, enroll and forget on one gallery.

    Every method raises PictureError for a photo that cannot be read, FaceError for one without a
    face where one is needed, and GalleryError if the gallery is out of reach.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer

    def verify(self, sides: tuple[bytes | str, bytes | str]) -> VerificationRecord:
        """Compare two sides, each a photo as bytes or an enrolled person by name."""
        recognizer = self.recognizer
        verdict = recognizer.verify(
            *(
                Enrolled(side) if isinstance(side, str) else read_picture(side, called)
                for side, called in zip(sides, ("a", "b"), strict=True)
            )
        )
        return verification(verdict, recognizer.card, recognizer.point())

    def identify(
        self, photo: bytes, *, k: int, gap: float | None, faces: Faces
    ) -> list[IdentificationRecord]:
        """Say of each face in a photo who it is."""
        recognizer = self.recognizer
        answers = recognizer.identify(read_picture(photo, PHOTO), k=k, gap=gap, faces=faces)
        point = recognizer.point()
        return [identification(one, recognizer.card, point) for one in answers]

    def enroll(self, photo: bytes, options: EnrollmentOptions) -> EnrollmentRecord:
        """Remember a person from a photo, or say why not; what is accepted is on the disk."""
        request = EnrollmentRequest(options.name, read_picture(photo, PHOTO), options.external_id)
        (outcome,) = self.recognizer.admit(
            list(self.recognizer.examine([request], largest=options.largest)),
            allow_look_alikes=options.allow_look_alike,
            dry_run=options.dry_run,
        )
        return enrollment(outcome, dry_run=options.dry_run)

    def people(self) -> list[PersonRecord]:
        """List everyone enrolled, by name."""
        return [person(one) for one in self.recognizer.people()]

    def forget(self, names: list[str]) -> ForgottenRecord:
        """Erase people with all their templates."""
        return forgotten(self.recognizer.forget(names))

    def counts(self) -> tuple[int, int]:
        """Return how many people and templates there are; raise GalleryError if out of reach."""
        with self.recognizer.place.open() as gallery:
            found = gallery.statistics()
        return found.people, found.templates
