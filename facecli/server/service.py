"""What the service can do: each method returns records. Safe to call from several threads."""

from __future__ import annotations

from dataclasses import dataclass

from facecli.errors import FaceError, PictureError
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.images import EncodedPicture
from facecli.recognition.networks import Faces
from facecli.recognition.recognizer import Recognizer
from facecli.recognition.roster import EnrollmentRequest
from facecli.recognition.screening import Outcome
from facecli.recognition.verify import Enrolled, compare
from facecli.records.embedding import EmbeddingRecord, embeddings
from facecli.records.enrollment import EnrollmentRecord, enrollment
from facecli.records.people import (
    ForgottenRecord,
    MergedRecord,
    PersonRecord,
    RenamedRecord,
    forgotten,
    merged,
    person,
    renamed,
)
from facecli.records.recognition import (
    IdentificationRecord,
    VerificationRecord,
    identification,
    verification,
)
from facecli.types import NO_FACE_FOUND, Failure

PHOTO = "photo"
"""The name of a picture without a file name, in records and messages."""


@dataclass(frozen=True, slots=True)
class EnrollmentOptions:
    """Whom to enroll from one photo, and what to allow, like the options of `facecli enroll`."""

    name: str
    external_id: str | None = None
    largest: bool = False
    allow_look_alike: bool = False
    dry_run: bool = False


class RecognitionService:
    """Recognise people with one gallery, and change who is in it.

    Every method raises PictureError if a photo cannot be read, FaceError if a photo has no face but
    needs one, and GalleryError if the gallery cannot be read.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer

    def verify(self, sides: tuple[bytes | str, bytes | str]) -> VerificationRecord:
        """Compare two sides, each a photo as bytes or an enrolled person by name."""
        recognizer = self.recognizer
        left, right = recognizer.samples(
            [
                Enrolled(side) if isinstance(side, str) else EncodedPicture(side, called)
                for side, called in zip(sides, ("a", "b"), strict=True)
            ]
        )
        point = recognizer.point()
        return verification(compare(left, right, point), recognizer.card, point)

    def identify(
        self, photo: bytes, *, k: int, gap: float | None, faces: Faces
    ) -> list[IdentificationRecord]:
        """Identify each face in a photo."""
        recognizer = self.recognizer
        picture = self._embedded(photo, faces)
        # Read after the embedding: a person forgotten meanwhile must not match.
        snapshot = recognizer.snapshot()
        answers = recognizer.answers([picture], snapshot, k=k, gap=gap)
        return [identification(one, recognizer.card, snapshot.point) for one in answers]

    def embed(self, photo: bytes, *, faces: Faces) -> list[EmbeddingRecord]:
        """Return the embedding of each face in a photo; raise FaceError if there is none."""
        picture = self._embedded(photo, faces)
        if not picture.faces:
            raise FaceError(f"{PHOTO}: {NO_FACE_FOUND}")
        return embeddings(picture, self.recognizer.card)

    def _embedded(self, photo: bytes, faces: Faces) -> EmbeddedPicture:
        """Return a photo with its faces; raise PictureError if it cannot be read."""
        (picture,) = self.recognizer.embed(EncodedPicture(photo, PHOTO), faces=faces)
        if isinstance(picture, Failure):
            raise PictureError(f"{PHOTO}: {picture.reason}")
        return picture

    def enroll(self, photo: bytes, options: EnrollmentOptions) -> EnrollmentRecord:
        """Enroll a person from a photo, or give the reasons for a refusal.

        An accepted template is on the disk when this returns.
        """
        picture = EncodedPicture(photo, PHOTO)
        request = EnrollmentRequest(options.name, picture, options.external_id)
        (examined,) = self.recognizer.examine([request], largest=options.largest)
        if examined.outcome is Outcome.UNREADABLE:
            raise PictureError(f"{PHOTO}: {' '.join(examined.reasons)}")
        (outcome,) = self.recognizer.admit(
            [examined],
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

    def rename(self, before: str, now: str) -> RenamedRecord:
        """Give a person another name, as `facecli people rename` does."""
        with self.recognizer.place.open() as gallery:
            return renamed(before, gallery.rename(before, now))

    def merge(self, source: str, target: str) -> MergedRecord:
        """Move a person's templates to another, as `facecli people merge` does."""
        with self.recognizer.place.open() as gallery:
            return merged(source, gallery.merge(source, target))

    def counts(self) -> tuple[int, int]:
        """Return the number of people and of templates enrolled."""
        with self.recognizer.place.open() as gallery:
            found = gallery.statistics()
        return found.people, found.templates
