"""Photos nobody named, sorted into people, for programs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from facecli.albums.corrections import Corrections
from facecli.albums.grouping import Grouping
from facecli.albums.photos import sort_photos
from facecli.faces.images import read_file
from facecli.files import LIBRARY, data_file
from facecli.recognition.opening import open_recognizer
from facecli.recognition.recognizer import Recognizer
from facecli.stores.library import FileState, Library
from facecli.stores.library.clusters import AlbumStore, Correction

StrPath = str | Path


class Albums:
    """Sorts the faces of photos into people, and keeps what people say about the result.

    What was seen in a photo is remembered in a photo library, so that a second run looks only at
    new photos, clusters keep their numbers, and corrections hold. Use it from one thread at a time,
    and close it, or use it in a `with` block.
    """

    def __init__(
        self, library: StrPath | None = None, recognizer: Recognizer | None = None
    ) -> None:
        """Open the photo library at a path; it is created if need be.

        None means FACECLI_LIBRARY, or photos.db in the user's data folder. `recognizer` looks at
        the photos, and its gallery names the clusters of people who are enrolled; None means
        `facecli.open()`. Raises LibraryError for a file that cannot be used.
        """
        self._library = Library(data_file(*LIBRARY) if library is None else Path(library))
        self._recognizer = recognizer or open_recognizer()
        self._corrections = Corrections(AlbumStore(self._library))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the photo library. The recognizer stays as it is."""
        self._library.close()

    def sort(
        self,
        photos: StrPath | Iterable[StrPath],
        *,
        k: int | None = None,
        min_photos: int = 2,
        workers: int = 1,
    ) -> Grouping:
        """Sort the faces in photos and folders into people.

        The threshold decides how many people there are, unless `k` does. People in fewer than
        `min_photos` photos are not among the result's `people`. `workers` processes look for faces.
        Photos that cannot be read are the result's `failures`. Raises FaceError if no photo shows a
        face, and FacecliError for folders without pictures.
        """
        given = [photos] if isinstance(photos, str | Path) else list(photos)
        return sort_photos(
            [Path(one) for one in given],
            recognizer=self._recognizer,
            library=self._library,
            workers=workers,
            k=k,
            min_photos=min_photos,
        ).grouping

    def name(self, number: int, name: str) -> None:
        """Name the person of a cluster; raise FaceError for a number or name that cannot be."""
        self._corrections.name(number, name)

    def merge(self, into: int, *others: int) -> None:
        """Merge clusters of one person; `into` keeps its number and name. Raises FaceError."""
        self._corrections.merge(into, others)

    def split(self, number: int, photos: Iterable[StrPath]) -> int:
        """Make a new cluster of the faces that a cluster has in these photos; return its number.

        Raises FaceError.
        """
        return self._corrections.split(number, map(self._content, photos))

    def move(self, number: int, target: int, photos: Iterable[StrPath]) -> None:
        """Move the faces that a cluster has in these photos to cluster `target`.

        Raises FaceError.
        """
        self._corrections.move(number, target, map(self._content, photos))

    def not_same(self, one: int, other: int) -> None:
        """Mark two clusters as different people: they are never merged. Raises FaceError."""
        self._corrections.not_same(one, other)

    def undo(self) -> Correction:
        """Take back the last correction and return it; raise FaceError if there is none."""
        return self._corrections.undo()

    def _content(self, photo: StrPath) -> str:
        return content_of(Path(photo), self._library)


def content_of(photo: Path, library: Library) -> str:
    """Return the SHA-256 of a photo, which is not read again if the library knows the file."""
    known = library.content(FileState.of(photo))
    return hashlib.sha256(read_file(photo)).hexdigest() if known is None else known
