"""Collect the data of a contact sheet: thumbnails, days, and places on the map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from facecli.albums.grouping import Grouping
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.headers import day_taken
from facecli.report.page import thumbnail
from facecli.report.people import Key
from facecli.report.projection import MOST, project
from facecli.stores.library import Library
from facecli.types import Failure

SIDE = 96
"""Side of a thumbnail in pixels; it takes about 2 kB."""

BATCH = 256
"""Chips in memory at a time: 17 MB."""


def faces_of(grouping: Grouping) -> list[Key]:
    """Return every different face, person by person, the most central first."""
    keys = ((face.sha256, face.face) for one in grouping.clusters for face in one.faces)
    return list(dict.fromkeys(keys))


def thumbnails(
    library: Library, keys: Sequence[Key], *, finder: str | None = None
) -> Iterator[tuple[Key, bytes]]:
    """Yield each face as a JPEG; raise LibraryError for one that the library does not have.

    `finder` is what found them; None means the one that last searched the picture.
    """
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        for key, chip in zip(some, library.chips(some, finder=finder), strict=True):
            yield key, thumbnail(chip, SIDE)


def days(sources: Iterable[str]) -> dict[str, date]:
    """Return the day on which each photo was taken, if the photo says it."""
    found = ((source, day_taken(Path(source))) for source in sources)
    return {source: day for source, day in found if day is not None}


def places(
    grouping: Grouping, pictures: Iterable[EmbeddedPicture | Failure]
) -> dict[Key, tuple[float, float]]:
    """Return places of faces on a map, as many as it has room for.

    Faces of people come first, then those seen once. If there are too many, the most central faces
    of each person are shown.
    """
    people = {one.number for one in grouping.people}
    rank = {
        (face.sha256, face.face): (one.number not in people, place)
        for one in reversed(grouping.clusters)
        for place, face in enumerate(one.faces)
    }
    shown = sorted(rank, key=lambda key: rank[key])[:MOST]
    vectors = {
        (picture.sha256, number): vector
        for picture in pictures
        if isinstance(picture, EmbeddedPicture)
        for number, vector in enumerate(picture.embeddings)
    }
    laid = project(np.stack([vectors[key] for key in shown]))
    return {key: (float(x), float(y)) for key, (x, y) in zip(shown, laid, strict=True)}
