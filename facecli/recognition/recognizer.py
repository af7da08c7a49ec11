"""The one place where gallery, detector and encoder work together.

The command line, the gate, the service and `import facecli` all go through a Recognizer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from PIL import Image

from facecli.calibration.operating import OperatingPoint, operating_point
from facecli.faces.acquisition import Source, acquire
from facecli.faces.embedding import EmbeddedPicture, embed_pictures
from facecli.faces.images import EncodedPicture, picture_of
from facecli.recognition.enroll import judge, store
from facecli.recognition.identify import CANDIDATES, Identification, KnownPeople, identify
from facecli.recognition.live import PeopleReader
from facecli.recognition.roster import EnrollmentRequest, named_photos
from facecli.recognition.screening import FollowPhotos, PhotoOutcome, examine
from facecli.recognition.verify import Sample, Verdict, person_sample, photo_sample, verify
from facecli.stores.contract import GalleryPlace, GalleryStore
from facecli.stores.opening import imagined_gallery
from facecli.types import (
    Detector,
    Encoder,
    Failure,
    ForgetReceipt,
    ModelCard,
    Person,
    Picture,
)

Photo = str | Path | bytes | Image.Image | Picture
"""A photo: the path of a file, the bytes of a file, or a picture that is decoded already."""

Faces = Literal["all", "largest"]
"""Which faces of a photo count."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An enrolled person, as one side of a verification."""

    name: str


class Networks:
    """The detector and the encoder, each loaded when it is first needed."""

    def __init__(
        self,
        *,
        card: Callable[[], ModelCard],
        detector: Callable[[], Detector],
        encoder: Callable[[], Encoder],
    ) -> None:
        """Take what returns each of them. What is returned must be the same object every time."""
        self._card, self._detector, self._encoder = card, detector, encoder

    @property
    def card(self) -> ModelCard:
        """The card of the model in use, which is read without loading the network."""
        return self._card()

    @property
    def detector(self) -> Detector:
        """The face detector."""
        return self._detector()

    @property
    def encoder(self) -> Encoder:
        """The encoder."""
        return self._encoder()


class Recognizer:
    """Recognizes faces: a gallery, a detector and an encoder, each opened when first needed.

    Every method may be called from several threads. The gallery is opened for each question and
    closed after it, so an answer always rests on what is stored at that moment. The templates are
    kept in memory and read again when the gallery has changed.

    Methods raise GalleryError for a gallery that cannot be used, FingerprintMismatch for a gallery
    that holds only other models' templates, and ModelError for a model that cannot be loaded.
    """

    def __init__(
        self, networks: Networks, place: GalleryPlace, *, threshold: float | None = None
    ) -> None:
        """Take the networks and where the gallery is.

        `threshold` is the largest squared L2 that counts as the same person. None means the
        calibrated threshold of the gallery, or the model's own.
        """
        self.networks = networks
        self.place = place
        self.threshold = threshold
        self._admitting = threading.Lock()
        self.reader = PeopleReader(place, lambda: networks.card)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the templates that are held in memory. No file is left open between questions."""
        self.reader.forget()

    @property
    def card(self) -> ModelCard:
        """The card of the model in use."""
        return self.networks.card

    def point(self) -> OperatingPoint:
        """Return the threshold in use and what is known of strangers under it.

        Where there is no gallery yet, that is the model's own.
        """
        if not self.place.exists():
            return operating_point(self.card, [], threshold=self.threshold)
        with self.place.open() as gallery:
            return self._point_in(gallery)

    def known(self) -> KnownPeople:
        """Return everyone enrolled now: the same object as long as nothing has changed."""
        return self.reader.read()

    def people(self) -> list[Person]:
        """Return everyone enrolled, by name."""
        with self.place.open() as gallery:
            return gallery.people()

    def forget(self, names: str | Iterable[str]) -> ForgetReceipt:
        """Erase people with all their templates, all of them or none, and return a receipt."""
        with self.place.open() as gallery:
            return gallery.forget([names] if isinstance(names, str) else list(names))

    def embed(
        self, photos: Iterable[Photo], *, faces: Faces = "all", follow: FollowPhotos = iter
    ) -> Iterator[EmbeddedPicture | Failure]:
        """Yield the faces of each photo with their embeddings, in the order given.

        A photo that cannot be read is yielded as a Failure. `follow` receives the photos as their
        faces are found and passes them on: a place for a progress bar.
        """
        encoder = self.networks.encoder
        sources = map(_source, photos)
        acquired = acquire(sources, self.networks.detector, encoder.card.geometry)
        return embed_pictures(follow(acquired), encoder, largest_only=faces == "largest")

    def samples(self, sides: Sequence[Photo | Enrolled]) -> list[Sample]:
        """Return what is compared of each side; the networks are loaded only for a photo.

        Raises PictureError for a photo that cannot be read, FaceError for one without a face, and
        GalleryError for a person who is not enrolled with this model.
        """
        samples: dict[int, Sample] = {}
        people = {place: side for place, side in enumerate(sides) if isinstance(side, Enrolled)}
        if people:
            with self.place.open() as gallery:
                persons = {place: gallery.person(side.name) for place, side in people.items()}
                matrix = gallery.matrix(self.card)
            samples |= {place: person_sample(one, matrix) for place, one in persons.items()}
        photos = {place: side for place, side in enumerate(sides) if not isinstance(side, Enrolled)}
        if photos:
            pictures = self.embed(photos.values())
            samples |= zip(photos, map(photo_sample, pictures), strict=True)
        return [samples[place] for place in range(len(sides))]

    def verify(self, a: Photo | Enrolled, b: Photo | Enrolled) -> Verdict:
        """Tell whether two sides, each a photo or an enrolled person, are the same person.

        The largest face of a photo counts, and the nearest template of a person. Raises as
        `samples`.
        """
        return self.compare(*self.samples((a, b)))

    def compare(self, a: Sample, b: Sample) -> Verdict:
        """Compare two sides with the threshold in use."""
        point = self.point()
        verdict = verify(a, b, threshold=point.threshold)
        pairs = len(a.embeddings) * len(b.embeddings)
        return replace(verdict, odds=point.odds(verdict.squared_l2, templates=pairs))

    def identify(
        self, photo: Photo, *, k: int = CANDIDATES, gap: float | None = None, faces: Faces = "all"
    ) -> list[Identification]:
        """Return who each face of a photo is, among the people enrolled.

        A photo without a face gives one answer with the status "no face", and one that cannot be
        read gives the status "error". `k` people are listed for each face. Two people whose squared
        L2 differ by less than `gap` are ambiguous; None means 5 % of the threshold.
        """
        return list(self.identify_all([photo], k=k, gap=gap, faces=faces))

    def identify_all(
        self,
        photos: Iterable[Photo],
        *,
        k: int = CANDIDATES,
        gap: float | None = None,
        faces: Faces = "all",
        follow: FollowPhotos = iter,
    ) -> Iterator[Identification]:
        """Yield the answers for many photos, photo by photo in the order given; see `identify`."""
        known, point = self.reader.read(), self.point()
        pictures = self.embed(photos, faces=faces, follow=follow)
        for answer in identify(pictures, known, threshold=point.threshold, gap=gap, k=k):
            near = answer.nearest
            odds = None if near is None else point.odds(near, templates=known.templates)
            yield replace(answer, odds=odds)

    def enroll(
        self,
        name: str,
        photos: Photo | Iterable[Photo],
        *,
        external_id: str | None = None,
        largest: bool = False,
        allow_look_alikes: bool = False,
        dry_run: bool = False,
    ) -> list[PhotoOutcome]:
        """Enroll a person from photos; return what becomes of each photo.

        A folder stands for the pictures in it. `largest` takes the largest face of a photo that
        shows several; such a photo is refused otherwise. `allow_look_alikes` accepts a face that
        looks like another person. A dry run stores nothing.
        """
        requests: list[EnrollmentRequest] = []
        for photo in [photos] if isinstance(photos, Photo) else photos:
            if isinstance(photo, str | Path):
                requests += named_photos(name, [Path(photo)], external_id)
            else:
                requests.append(EnrollmentRequest(name, _source(photo), external_id))
        examined = self.examine(requests, largest=largest)
        return self.admit(examined, allow_look_alikes=allow_look_alikes, dry_run=dry_run)

    def open_to_store(self, *, dry_run: bool) -> AbstractContextManager[GalleryStore]:
        """Open the gallery, made if need be; a dry run makes none, and imagines an empty one."""
        if dry_run and not self.place.exists():
            return imagined_gallery()
        return self.place.open(create=not dry_run)

    def prepare(self, *, dry_run: bool = False) -> None:
        """Make the gallery if need be, and raise now what storing people would raise."""
        with self.open_to_store(dry_run=dry_run) as gallery:
            self._point_in(gallery)

    def examine(
        self,
        requests: Sequence[EnrollmentRequest | Failure],
        *,
        largest: bool = False,
        follow: FollowPhotos = iter,
    ) -> Iterator[PhotoOutcome]:
        """Yield what becomes of each photo by itself, before the gallery is asked."""
        networks = self.networks
        return examine(
            requests,
            detector=networks.detector,
            encoder=networks.encoder,
            largest=largest,
            follow=follow,
        )

    def admit(
        self,
        outcomes: Iterable[PhotoOutcome],
        *,
        allow_look_alikes: bool = False,
        dry_run: bool = False,
    ) -> list[PhotoOutcome]:
        """Compare examined photos with the gallery and each other, and store those accepted.

        All are stored in one transaction, or none. A dry run stores nothing.
        """
        examined = list(outcomes)
        # One batch at a time: two names given to one face at once would not be noticed.
        with self._admitting, self.open_to_store(dry_run=dry_run) as gallery:
            judged = judge(
                examined,
                gallery,
                self.card,
                threshold=self._point_in(gallery).threshold,
                allow_look_alikes=allow_look_alikes,
            )
            if not dry_run:
                store(judged, gallery, self.card)
        return judged

    def _point_in(self, gallery: GalleryStore) -> OperatingPoint:
        return operating_point(self.card, gallery.calibrations(), threshold=self.threshold)


def _source(photo: Photo) -> Source:
    """Return a photo as `acquire` takes it."""
    if isinstance(photo, bytes):
        return EncodedPicture(photo, "photo")
    if isinstance(photo, Image.Image):
        return picture_of(photo, "photo")
    return Path(photo) if isinstance(photo, str) else photo
