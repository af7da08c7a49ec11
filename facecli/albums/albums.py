"""Albums: photos sorted into people, as programs use them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    new photos, clusters keep their numbers, and corrections hold.

    Every method may be called from several threads; one call waits for the other. The library is
    opened for each call and closed after it. Every method raises LibraryError for a library that
    cannot be used.
    """

    def __init__(
        self, library: StrPath | None = None, recognizer: Recognizer | None = None
    ) -> None:
        """Take the path of the photo library, which is created if need be.

        None means FACECLI_LIBRARY, or photos.db in the user's data folder. `recognizer` looks at
        the photos, and its gallery names the clusters of people who are enrolled; None means
        `facecli.open()`. Raises LibraryError for a file that cannot be used.
        """
        self._path = data_file(*LIBRARY) if library is None else Path(library)
        self._recognizer = recognizer or open_recognizer()
        self._is_own = recognizer is None
        self._lock = threading.Lock()
        with self._opened():
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the recognizer if it was opened here. No file is left open between calls."""
        if self._is_own:
            self._recognizer.close()

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
        face, FacecliError if there are no pictures, and ValueError for values under 1.
        """
        if min(min_photos, workers) < 1:
            raise ValueError(f"min_photos {min_photos}, workers {workers}: each at least 1")
        with self._opened() as library:
            return sort_photos(
                _each(photos),
                recognizer=self._recognizer,
                library=library,
                workers=workers,
                k=k,
                min_photos=min_photos,
            ).grouping

    def name(self, number: int, name: str) -> None:
        """Name the person of a cluster; raise FaceError for a number or name that cannot be."""
        with self._opened() as library:
            _corrections(library).name(number, name)

    def merge(self, into: int, *others: int) -> None:
        """Merge clusters of one person; `into` keeps its number and name. Raises FaceError."""
        with self._opened() as library:
            _corrections(library).merge(into, others)

    def split(self, number: int, photos: StrPath | Iterable[StrPath]) -> int:
        """Make a new cluster of the faces that a cluster has in these photos; return its number.

        Raises FaceError, and PictureError for a photo that cannot be read.
        """
        with self._opened() as library:
            return _corrections(library).split(number, _contents(photos, library))

    def move(self, number: int, target: int, photos: StrPath | Iterable[StrPath]) -> None:
        """Move the faces that a cluster has in these photos to cluster `target`.

        Raises FaceError, and PictureError for a photo that cannot be read.
        """
        with self._opened() as library:
            _corrections(library).move(number, target, _contents(photos, library))

    def not_same(self, one: int, other: int) -> None:
        """Mark two clusters as different people: they are never merged. Raises FaceError."""
        with self._opened() as library:
            _corrections(library).not_same(one, other)

    def undo(self) -> Correction:
        """Take back the last correction and return it; raise FaceError if there is none."""
        with self._opened() as library:
            return _corrections(library).undo()

    @contextmanager
    def _opened(self) -> Iterator[Library]:
        with self._lock, Library(self._path) as library:
            yield library


def _corrections(library: Library) -> Corrections:
    return Corrections(AlbumStore(library))


def _each(photos: StrPath | Iterable[StrPath]) -> list[Path]:
    """Return the paths; a single one counts as a list of one."""
    return [Path(one) for one in ([photos] if isinstance(photos, str | Path) else photos)]


def _contents(photos: StrPath | Iterable[StrPath], library: Library) -> list[str]:
    return [content_of(photo, library) for photo in _each(photos)]


def content_of(photo: Path, library: Library) -> str:
    """Return the SHA-256 of a photo, which is not read again if the library knows the file.

    Raises PictureError for a photo that cannot be read.
    """
    try:
        known = library.content(FileState.of(photo))
    except (OSError, ValueError):
        known = None  # reading it says why
    return hashlib.sha256(read_file(photo)).hexdigest() if known is None else known
