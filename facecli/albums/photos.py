"""From photos to people: look at new photos, sort all faces, name the people who are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facecli.albums.grouping import Grouping
from facecli.albums.naming import Namer
from facecli.albums.scanning import scan
from facecli.albums.sorting import group
from facecli.albums.xmp import Named, names_from_sidecars
from facecli.errors import FacecliError, FingerprintMismatch
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.photo_files import said, search_pictures
from facecli.recognition.identify import default_gap
from facecli.recognition.recognizer import Recognizer
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore
from facecli.types import Failure, Subject

Scanned = EmbeddedPicture | Failure
FollowScan = Callable[[Iterable[Scanned], int], Iterable[Scanned]]
"""Receives photos as they are looked at, and their number; yields each of them again."""


@dataclass(frozen=True, slots=True)
class SortedPhotos:
    """Photos in the order given, their faces sorted into people, and names from the gallery."""

    pictures: list[Scanned]
    grouping: Grouping
    namer: Namer | None


@dataclass(frozen=True, slots=True)
class Listeners:
    """Called as photos are sorted: for progress, failed photos, names from sidecars, and notes."""

    follow: FollowScan = lambda found, _: found
    failed: Callable[[Failure], None] = lambda _: None
    named: Callable[[Named], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None


def sort_photos(
    paths: Sequence[Path],
    *,
    recognizer: Recognizer,
    library: Library,
    workers: int = 1,
    k: int | None = None,
    min_photos: int = 2,
    from_sidecars: bool = False,
    tell: Listeners | None = None,
) -> SortedPhotos:
    """Look at the photos that the library does not know, and sort the faces of all of them.

    A folder means all pictures in it. `workers` processes look for faces. With `from_sidecars` the
    names in XMP sidecars count as corrections. Raises FacecliError if there are no pictures, and
    FaceError if there is no face or if `k` clusters cannot be made.
    """
    tell = tell or Listeners()
    if from_sidecars and recognizer.card.subject is Subject.PICTURE:
        raise FacecliError(
            f"sidecars name faces, and {recognizer.card.name} looks at whole pictures"
        )
    pictures = _scanned(paths, recognizer, library, workers, tell)
    point, card = recognizer.point(), recognizer.card
    namer = _namer(recognizer, point.threshold, tell)
    store = AlbumStore(library)

    def sort() -> Grouping:
        return group(
            pictures,
            store=store,
            threshold=point.threshold,
            rates=card.thresholds if recognizer.threshold is None else None,
            k=k,
            min_photos=min_photos,
            namer=namer,
            subject=card.subject,
        )

    grouping = sort()
    if from_sidecars:
        named = names_from_sidecars(pictures, store)
        tell.named(named)
        grouping = sort() if named.faces else grouping
    return SortedPhotos(pictures, grouping, namer)


def _scanned(
    paths: Sequence[Path], recognizer: Recognizer, library: Library, workers: int, tell: Listeners
) -> list[Scanned]:
    """Return all photos with their faces, and look at those that the library does not know."""
    if not paths:
        raise FacecliError("no photos to sort")
    searched = search_pictures(paths)
    if text := said(searched.passed):
        tell.note(text)
    found = searched.pictures
    if not found:
        raise FacecliError(f"{paths[0]}: no pictures in this folder")
    scanned = scan(
        found,
        library=library,
        encoder=recognizer.networks.encoder,  # first: its card says which detector
        detector=recognizer.networks.detector,
        workers=workers,
    )
    pictures = list(tell.follow(scanned, len(found)))
    for one in pictures:
        if isinstance(one, Failure):
            tell.failed(one)
    return pictures


def _namer(recognizer: Recognizer, threshold: float, tell: Listeners) -> Namer | None:
    """Return the names of the people enrolled; None without a gallery of this model."""
    if not recognizer.place.exists():
        return None
    try:
        matrix = recognizer.known().matrix
    except FingerprintMismatch as error:
        tell.note(f"nobody enrolled names a cluster: {error}")
        return None
    return Namer(matrix, threshold, default_gap(threshold))
