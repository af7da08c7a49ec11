"""Sort photos and make the contact sheet: shared by `photos` and `review`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from facecli import __version__
from facecli.cli.cluster.sidecars import complain_of, show_taken
from facecli.cli.output import note, progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from facecli.albums.grouping import Grouping
    from facecli.albums.photos import SortedPhotos
    from facecli.cli.settings import Settings
    from facecli.faces.embedding import EmbeddedPicture
    from facecli.types import Failure, ModelCard


def sort_faces(
    settings: Settings,
    paths: tuple[Path, ...],
    *,
    k: int | None,
    min_photos: int,
    from_sidecars: bool = False,
) -> SortedPhotos:
    """Sort the faces of photos; show progress and problems on stderr."""
    from facecli.albums.photos import Listeners, sort_photos

    return sort_photos(
        paths,
        recognizer=settings.recognizer(),
        library=settings.library(),
        workers=settings.workers,
        k=k,
        min_photos=min_photos,
        from_sidecars=from_sidecars,
        tell=Listeners(
            follow=lambda found, count: progress(found, count, "Looking at photos"),
            failed=complain_of,
            named=show_taken,
            note=note,
        ),
    )


def contact_sheet(
    settings: Settings, grouping: Grouping, pictures: Sequence[EmbeddedPicture | Failure]
) -> str:
    """Return the page of a grouping of these pictures, with all faces inside the page."""
    from facecli.albums.doubts import find_doubts, said_apart
    from facecli.report import data_uri
    from facecli.report.people import people_page
    from facecli.report.sheet import days, faces_of, places, thumbnails
    from facecli.stores.library.clusters import AlbumStore

    note_without_map()
    keys = faces_of(grouping)
    drawn = thumbnails(settings.library(), keys, finder=finder_in_use(settings))
    made = progress(drawn, len(keys), "Drawing faces")
    addresses = {key: data_uri(jpeg) for key, jpeg in made}
    apart = said_apart(AlbumStore(settings.library()))
    return people_page(
        grouping,
        find_doubts(grouping, pictures, apart=apart),
        picture_of=addresses.__getitem__,
        days=days(face.source for one in grouping.clusters for face in one.faces),
        places=places(grouping, pictures),
        facts=sheet_facts(grouping, settings.card()),
    )


def finder_in_use(settings: Settings) -> str:
    """Return the name, in the library, of how things are found: faces and whole pictures differ."""
    from facecli.albums.scanning import finder_of

    return finder_of(settings.detector().version, settings.card().geometry)


def note_without_map() -> None:
    """Print what to install for the map of faces, if it is missing."""
    from facecli.report.projection import HINT, has_tsne

    if not has_tsne():
        note(HINT)


def sheet_facts(grouping: Grouping, card: ModelCard) -> tuple[tuple[str, str], ...]:
    """Return what a reader must know about a clustering."""
    faces = sum(len(one.faces) for one in grouping.clusters)
    return (
        ("faces", f"{faces:,}"),
        ("seen once", f"{len(grouping.seen_once):,}"),
        ("model", f"{card.name} ({card.fingerprint[:12]})"),
        ("threshold", f"{grouping.threshold:.4g} squared L2"),
        ("sorted", f"{datetime.now(UTC):%Y-%m-%d} with facecli {__version__}"),
    )
