"""The contact sheet as a page to edit: each correction is stored and shown at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from facecli.albums.corrections import Corrections
from facecli.albums.doubts import find_doubts, said_apart
from facecli.albums.grouping import Grouping
from facecli.albums.naming import Namer
from facecli.albums.sorting import regroup
from facecli.errors import FacecliError
from facecli.faces.embedding import EmbeddedPicture
from facecli.report.people import Key, Reviewing, people_page
from facecli.report.sheet import faces_of, thumbnails
from facecli.stores.library.clusters import AlbumStore
from facecli.types import Failure


class ReviewPage:
    """Serves a grouping of these pictures, and stores the corrections made on the page."""

    def __init__(
        self,
        grouping: Grouping,
        pictures: Sequence[EmbeddedPicture | Failure],
        store: AlbumStore,
        *,
        namer: Namer | None,
        days: Mapping[str, date],
        places: Mapping[Key, tuple[float, float]],
        facts: Sequence[tuple[str, str]],
        finder: str | None = None,
    ) -> None:
        self._sorted = grouping
        self._pictures = pictures
        self._store = store
        self._namer = namer
        self._days = days
        self._places = places
        self._facts = facts
        self._finder = finder
        self._names = {_name(key): key for key in faces_of(grouping)}

    def page(self) -> str:
        """Return the page with all corrections so far, also those made elsewhere."""
        grouping = replace(
            regroup(
                self._pictures,
                store=self._store,
                min_photos=self._sorted.min_photos,
                namer=self._namer,
                subject=self._sorted.subject,
            ),
            threshold=self._sorted.threshold,
        )
        return people_page(
            grouping,
            find_doubts(grouping, self._pictures, apart=said_apart(self._store)),
            picture_of=_name,
            days=self._days,
            places=self._places,
            facts=self._facts,
            review=Reviewing(next((one.said for one in self._store.corrections()), None)),
        )

    def picture(self, name: str) -> bytes | None:
        """Return the thumbnail of a face on the page, or None if there is no such face."""
        key = self._names.get(name)
        if key is None:
            return None
        ((_, jpeg),) = thumbnails(self._store.library, [key], finder=self._finder)
        return jpeg

    def correct(self, request: Any) -> None:
        """Store one correction; raise FacecliError if it is not one, or cannot be applied."""
        _apply(Corrections(self._store), request)


def _name(key: Key) -> str:
    """Return the address of a face's picture, relative to the page."""
    sha256, number = key
    return f"face/{sha256}/{number}.jpg"


def _apply(corrections: Corrections, request: Any) -> None:
    match request:
        case {"what": "undo"}:
            corrections.undo()
        case {"what": "name", "clusters": [int(number)], "name": str(name)}:
            corrections.name(number, name)
        case {"what": "merge", "clusters": [int(into), *others]} if _are(int, others):
            corrections.merge(into, others)
        case {"what": "not-same", "clusters": [int(one), int(other)]}:
            corrections.not_same(one, other)
        case {"what": "split", "clusters": [int(number)], "photos": list(photos)} if _are(
            str, photos
        ):
            corrections.split(number, photos)
        case {"what": "move", "clusters": [int(number), int(target)], "photos": list(photos)} if (
            _are(str, photos)
        ):
            corrections.move(number, target, photos)
        case _:
            raise FacecliError("this is not a correction")


def _are(kind: type, values: list[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)
