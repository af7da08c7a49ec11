"""Who is to be enrolled from which photo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.acquisition import Source
from facecli.faces.photo_files import find_pictures
from facecli.recognition.photos import Photo, each, source_of

NO_PICTURES = "no pictures in this folder"
"""The reason of the failure that stands for the folder of a person without pictures."""


@dataclass(frozen=True, slots=True)
class EnrollmentRequest:
    """One photo of one person: the path of a file, or a picture that was read already.

    `external_id` is the person's key in another system, if there is one.
    """

    person: str
    photo: Source
    external_id: str | None = None

    @property
    def source(self) -> str:
        """What the photo is called in answers."""
        return str(self.photo) if isinstance(self.photo, Path) else self.photo.source


def named_photos(
    person: str, paths: Iterable[Path], external_id: str | None = None
) -> list[EnrollmentRequest]:
    """Return a request for each photo; folders stand for the pictures in them."""
    return [EnrollmentRequest(person, path, external_id) for path in find_pictures(paths)]


def requests_for(
    person: str, photos: Photo | Iterable[Photo], external_id: str | None = None
) -> list[EnrollmentRequest]:
    """Return a request for each photo; a folder stands for the pictures in it.

    Raises FacecliError if there is no photo.
    """
    requests: list[EnrollmentRequest] = []
    for source in map(source_of, each(photos)):
        if isinstance(source, Path):
            requests += named_photos(person, [source], external_id)
        else:
            requests.append(EnrollmentRequest(person, source, external_id))
    if not requests:
        raise FacecliError(f"{person}: no photos to enroll from")
    return requests
