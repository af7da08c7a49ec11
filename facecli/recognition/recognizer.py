"""The one place where gallery, detector and encoder work together.

The command line, the gate, the service and `import facecli` all go through a Recognizer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Self

from facecli.calibration.operating import OperatingPoint, operating_point
from facecli.faces.embedding import EmbeddedPicture
from facecli.recognition.enroll import judge, store
from facecli.recognition.identify import CANDIDATES, Identification, KnownPeople, identify
from facecli.recognition.live import PeopleReader, Snapshot
from facecli.recognition.networks import Faces, FollowPhotos, Networks
from facecli.recognition.photos import Photo, each, source_of
from facecli.recognition.roster import EnrollmentRequest, requests_for
from facecli.recognition.screening import PhotoOutcome, examine
from facecli.recognition.verify import (
    Enrolled,
    Sample,
    Verdict,
    compare,
    person_sample,
    photo_sample,
)
from facecli.stores.contract import GalleryPlace, GalleryStore
from facecli.stores.opening import imagined_gallery
from facecli.types import Failure, ForgetReceipt, ModelCard, Person
from facecli.vectors.distances import check_squared_l2


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

    def snapshot(self) -> Snapshot:
        """Return everyone enrolled now and the threshold in use, for `answers`."""
        with self.place.open() as gallery:
            return Snapshot(self.reader.read_in(gallery), self._point_in(gallery))

    def people(self) -> list[Person]:
        """Return everyone enrolled, by name."""
        with self.place.open() as gallery:
            return gallery.people()

    def forget(self, names: str | Iterable[str]) -> ForgetReceipt:
        """Erase people with all their templates, all of them or none, and return a receipt."""
        with self.place.open() as gallery:
            return gallery.forget([names] if isinstance(names, str) else list(names))

    def embed(
        self,
        photos: Photo | Iterable[Photo],
        *,
        faces: Faces = "all",
        follow: FollowPhotos = iter,
    ) -> Iterator[EmbeddedPicture | Failure]:
        """Yield the faces of each photo with their embeddings, in the order given.

        A photo that cannot be read is yielded as a Failure. `follow` receives the photos as their
        faces are found and passes them on: a place for a progress bar. Raises ValueError for other
        `faces`, and TypeError for a photo of another type.
        """
        return self.networks.embed(map(source_of, each(photos)), faces=faces, follow=follow)

    def samples(self, sides: Sequence[Photo | Enrolled]) -> list[Sample]:
        """Return what is compared of each side; the networks are loaded only for a photo.

        Raises PictureError for a photo that cannot be read, FaceError for one without a face, and
        GalleryError for a person who is not enrolled with this model.
        """
        names = [side.name for side in sides if isinstance(side, Enrolled)]
        photos = [side for side in sides if not isinstance(side, Enrolled)]
        people = iter(self._person_samples(names) if names else ())
        found = self.embed(photos) if photos else ()
        pictures = (photo_sample(one, self.card.subject) for one in found)
        return [next(people if isinstance(side, Enrolled) else pictures) for side in sides]

    def verify(self, a: Photo | Enrolled, b: Photo | Enrolled) -> Verdict:
        """Tell whether two sides, each a photo or an enrolled person, are the same person.

        The main face of a photo counts, and the nearest template of a person. Raises as
        `samples`.
        """
        left, right = self.samples((a, b))
        return compare(left, right, self.point())

    def identify(
        self, photo: Photo, *, k: int = CANDIDATES, gap: float | None = None, faces: Faces = "all"
    ) -> list[Identification]:
        """Return who each face of a photo is, among the people enrolled.

        A photo without a face gives one answer with the status "no face", and one that cannot be
        read gives the status "error". `k` people are listed for each face. Two people whose squared
        L2 differ by less than `gap` are ambiguous; None means 5 % of the threshold. Raises
        ValueError for values out of range, and TypeError for a photo of another type.
        """
        self.known()  # a gallery that cannot be used is an error before the networks are loaded
        pictures = list(self.embed([photo], faces=faces))
        # Read again after that, which takes longest: a person forgotten meanwhile must not match.
        return list(self.answers(pictures, self.snapshot(), k=k, gap=gap))

    def identify_all(
        self,
        photos: Photo | Iterable[Photo],
        *,
        k: int = CANDIDATES,
        gap: float | None = None,
        faces: Faces = "all",
        follow: FollowPhotos = iter,
    ) -> Iterator[Identification]:
        """Yield the answers for many photos, photo by photo in the order given; see `identify`.

        All answers are for the people enrolled at the time of the call.
        """
        snapshot = self.snapshot()
        pictures = self.embed(photos, faces=faces, follow=follow)
        return self.answers(pictures, snapshot, k=k, gap=gap)

    def answers(
        self,
        pictures: Iterable[EmbeddedPicture | Failure],
        snapshot: Snapshot,
        *,
        k: int = CANDIDATES,
        gap: float | None = None,
    ) -> Iterator[Identification]:
        """Yield who each face of embedded photos is, with the odds; see `identify`."""
        if k < 1:
            raise ValueError(f"k {k}: at least 1")
        if gap is not None:
            check_squared_l2(gap, "gap")
        known, point = snapshot.known, snapshot.point
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

        A folder stands for the pictures in it. `external_id` is the person's key in another system.
        `largest` takes the main face of a photo that shows several, which is large, central and
        whole; such a photo is refused otherwise. `allow_look_alikes` accepts a face that looks like
        another person. A dry run stores nothing. Raises FacecliError if there is no photo.
        """
        return self.enroll_all(
            {name: photos},
            external_ids={} if external_id is None else {name: external_id},
            largest=largest,
            allow_look_alikes=allow_look_alikes,
            dry_run=dry_run,
        )

    def enroll_all(
        self,
        people: Mapping[str, Photo | Iterable[Photo]],
        *,
        external_ids: Mapping[str, str] | None = None,
        largest: bool = False,
        allow_look_alikes: bool = False,
        dry_run: bool = False,
    ) -> list[PhotoOutcome]:
        """Enroll several people, each name with one or more photos; see `enroll`.

        All accepted photos are stored in one transaction. The people are compared with each other
        too: two names for one face are both refused. Raises ValueError for the external id of a
        name that is not among the people.
        """
        ids = external_ids or {}
        if strangers := ids.keys() - people.keys():
            raise ValueError(f"external id of {min(strangers)!r}, who is not among the people")
        requests = [
            request
            for name, photos in people.items()
            for request in requests_for(name, photos, ids.get(name))
        ]
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
        embed = partial(self.networks.embed, follow=follow)
        return examine(requests, embed, largest=largest, subject=self.card.subject)

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

    def _person_samples(self, names: Sequence[str]) -> list[Sample]:
        with self.place.open() as gallery:
            persons = [gallery.person(name) for name in names]
            matrix = gallery.matrix(self.card)
        return [person_sample(person, matrix) for person in persons]

    def _point_in(self, gallery: GalleryStore) -> OperatingPoint:
        return operating_point(self.card, gallery.calibrations(), threshold=self.threshold)
