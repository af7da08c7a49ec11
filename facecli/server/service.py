"""What the service does, in the words of its records; safe to call from several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facecli import records
from facecli.calibration.operating import OperatingPoint, operating_point
from facecli.faces.acquisition import look
from facecli.faces.embedding import EmbeddedPicture, embed_pictures
from facecli.faces.images import read_picture
from facecli.recognition.enroll import examine, judge, store
from facecli.recognition.identify import KnownPeople, identify
from facecli.recognition.roster import EnrollmentRequest
from facecli.recognition.verify import Sample, person_sample, photo_sample, verify
from facecli.records import Record
from facecli.stores.gallery import Gallery
from facecli.types import Detector, Encoder, Failure
from facecli.vectors.index import ExactIndex

PHOTO = "photo"
"""What a picture without a file name is called in records and messages."""

WhichFaces = Literal["all", "largest"]


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

    The gallery is opened for each question that needs it: another program may change it at any
    time, and an answer that was given is on the disk. `threshold` is as for `operating_point`.
    """

    def __init__(
        self,
        *,
        detector: Detector,
        encoder: Encoder,
        open_gallery: Callable[[], Gallery],
        threshold: float | None,
    ) -> None:
        self.detector = detector
        self.encoder = encoder
        self._open = open_gallery
        self._threshold = threshold
        self._enrolling = threading.Lock()
        self._reading = threading.Lock()
        self._generation: int | None = None

    def verify(self, sides: tuple[bytes | str, bytes | str]) -> Record:
        """Compare two sides, each a photo as bytes or an enrolled person by name."""
        samples = [
            self._person(side) if isinstance(side, str) else self._photo(side, called)
            for side, called in zip(sides, ("a", "b"), strict=True)
        ]
        point = self.point()
        verdict = verify(*samples, threshold=point.threshold)
        pairs = len(samples[0].embeddings) * len(samples[1].embeddings)
        odds = point.odds(verdict.squared_l2, templates=pairs)
        return records.verification(verdict, self.encoder.card, point, odds)

    def identify(
        self, photo: bytes, *, k: int, gap: float | None, faces: WhichFaces
    ) -> list[Record]:
        """Say of each face in a photo who it is."""
        picture = self._embedded(photo, PHOTO, largest_only=faces == "largest")
        with self._open() as gallery:
            known, point = self._known_in(gallery), self._point_in(gallery)
        templates = len(known.matrix.template_ids)
        answers = identify([picture], known, threshold=point.threshold, gap=gap, k=k)
        return [
            records.identification(
                answer,
                self.encoder.card,
                point,
                None if answer.nearest is None else point.odds(answer.nearest, templates=templates),
            )
            for answer in answers
        ]

    def enroll(self, photo: bytes, request: EnrollmentOptions) -> Record:
        """Remember a person from a photo, or say why not; what is accepted is on the disk."""
        picture = read_picture(photo, PHOTO)
        wanted = EnrollmentRequest(request.name, Path(PHOTO), request.external_id, picture)
        examined = list(
            examine([wanted], detector=self.detector, encoder=self.encoder, largest=request.largest)
        )
        card = self.encoder.card
        # One at a time, or two names given to one face at once would not be noticed.
        with self._enrolling, self._open() as gallery:
            point = self._point_in(gallery)
            (outcome,) = judge(
                examined,
                gallery,
                card,
                threshold=point.threshold,
                allow_look_alikes=request.allow_look_alike,
            )
            if not request.dry_run:
                store([outcome], gallery, card)
        return records.enrollment(outcome, dry_run=request.dry_run)

    def people(self) -> list[Record]:
        """List everyone enrolled, by name."""
        with self._open() as gallery:
            return [records.person(one) for one in gallery.people()]

    def forget(self, names: list[str]) -> Record:
        """Erase people with all their templates."""
        with self._open() as gallery:
            return records.forgotten(gallery.forget(names))

    def counts(self) -> tuple[int, int]:
        """Return how many people and templates there are; raise GalleryError if out of reach."""
        with self._open() as gallery:
            found = gallery.statistics()
        return found.people, found.templates

    def current(self) -> KnownPeople:
        """Return everyone enrolled now; the same object as long as nothing has changed.

        Unlike a camera's gate, which goes on with those known when the gallery is out of reach, it
        raises GalleryError: who asks can ask again.
        """
        with self._open() as gallery:
            return self._known_in(gallery)

    def point(self) -> OperatingPoint:
        """Return the threshold in use now and what is known of strangers under it."""
        with self._open() as gallery:
            return self._point_in(gallery)

    def _known_in(self, gallery: Gallery) -> KnownPeople:
        with self._reading:
            generation = gallery.generation()
            if generation != self._generation:
                matrix = gallery.matrix(self.encoder.card.fingerprint)
                self._known = KnownPeople(matrix, ExactIndex(matrix.embeddings))
                self._generation = generation
            return self._known

    def _point_in(self, gallery: Gallery) -> OperatingPoint:
        calibrations = gallery.calibrations()
        return operating_point(self.encoder.card, calibrations, threshold=self._threshold)

    def _person(self, name: str) -> Sample:
        with self._open() as gallery:
            person = gallery.person(name)
            return person_sample(person, gallery.matrix(self.encoder.card.fingerprint))

    def _photo(self, data: bytes, called: str) -> Sample:
        return photo_sample(self._embedded(data, called, largest_only=True))

    def _embedded(
        self, data: bytes, called: str, *, largest_only: bool
    ) -> EmbeddedPicture | Failure:
        """Return a photo's faces; raise PictureError if it cannot be read."""
        picture = read_picture(data, called)
        geometry = self.encoder.card.geometry
        found = look(called, lambda: picture, self.detector, geometry)
        (embedded,) = embed_pictures([found], self.encoder, largest_only=largest_only)
        return embedded
