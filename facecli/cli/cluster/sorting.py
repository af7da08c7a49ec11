"""Photos to clusters, as `facecli cluster photos` and `facecli cluster review` show them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.cli.cluster.sidecars import complain, take_names
from facecli.cli.options import Settings
from facecli.cli.output import note, progress
from facecli.errors import FacecliError, FingerprintMismatch

if TYPE_CHECKING:
    from facecli.albums.grouping import Grouping
    from facecli.albums.naming import Namer
    from facecli.faces.embedding import EmbeddedPicture
    from facecli.types import Encoder, Failure, ModelCard


def sort_faces(
    settings: Settings,
    paths: tuple[Path, ...],
    *,
    k: int | None,
    min_photos: int,
    from_sidecars: bool = False,
) -> tuple[list[EmbeddedPicture | Failure], Grouping, Namer | None]:
    """Look at photos and sort their faces; return both, and who of the gallery names clusters.

    With `from_sidecars` they are sorted by what XMP sidecars say of them, too.
    """
    from facecli.albums.sorting import group
    from facecli.stores.library.clusters import AlbumStore

    encoder = settings.encoder()
    pictures = _scanned(settings, paths, encoder)
    namer = _namer(settings, encoder.card)
    sort = partial(
        group,
        pictures,
        store=AlbumStore(settings.library()),
        threshold=settings.threshold_for(encoder.card),
        rates=encoder.card.thresholds if settings.threshold is None else None,
        k=k,
        min_photos=min_photos,
        namer=namer,
    )
    grouping = sort()
    if from_sidecars and take_names(settings, pictures):
        grouping = sort()
    return pictures, grouping, namer


def _scanned(
    settings: Settings, paths: tuple[Path, ...], encoder: Encoder
) -> list[EmbeddedPicture | Failure]:
    """Look at all photos that have not been looked at."""
    from facecli.albums.scanning import scan
    from facecli.faces.images import find_pictures
    from facecli.types import Failure

    found = find_pictures(paths)
    if not found:
        raise FacecliError(f"{paths[0]}: no pictures in this folder")
    scanned = scan(
        found,
        library=settings.library(),
        detector=settings.detector(),
        encoder=encoder,
        workers=settings.workers,
    )
    pictures = list(progress(scanned, len(found), "Looking at photos"))
    complain(one for one in pictures if isinstance(one, Failure))
    return pictures


def _namer(settings: Settings, card: ModelCard) -> Namer | None:
    """Return who is enrolled, or None without a gallery of this model."""
    from facecli.albums.naming import Namer
    from facecli.recognition.identify import default_gap

    if not settings.has_gallery():
        return None
    threshold = settings.threshold_for(card)
    try:
        matrix = settings.gallery().matrix(card.fingerprint)
    except FingerprintMismatch as error:
        note(f"nobody enrolled names a cluster: {error}")
        return None
    return Namer(matrix, threshold, default_gap(threshold))
