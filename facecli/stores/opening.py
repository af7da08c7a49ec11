"""Where a gallery is and which engine opens it: the only module that knows the engines by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from facecli.stores.contract import GalleryPlace, GalleryStore


class GalleryFile:
    """A gallery in a SQLite file, opened and closed for every question."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def location(self) -> str:
        """The path."""
        return os.fspath(self.path)

    def exists(self) -> bool:
        """Return whether the file is there."""
        return self.path.exists()

    def open(self, *, create: bool = False) -> AbstractContextManager[GalleryStore]:
        """Open the file; any thread may do so."""
        from facecli.stores.gallery.sqlite.store import SqliteGallery

        return SqliteGallery(self.path, create=create)


class OpenedGallery:
    """A gallery that somebody else has opened and will close; for one thread at a time."""

    def __init__(self, gallery: GalleryStore) -> None:
        self._gallery = gallery

    @property
    def location(self) -> str:
        """Where the gallery is."""
        return self._gallery.location

    def exists(self) -> bool:
        """Return True: it is open."""
        return True

    @contextmanager
    def open(self, *, create: bool = False) -> Iterator[GalleryStore]:  # noqa: ARG002 - it is there
        """Hand out the gallery, and leave it open."""
        yield self._gallery


def gallery_at(location: str | Path) -> GalleryPlace:
    """Return the place that a location means: the path of a SQLite file."""
    return GalleryFile(Path(location))


def imagined_gallery() -> AbstractContextManager[GalleryStore]:
    """Return an empty gallery in memory, which is gone when it is closed."""
    from facecli.stores.gallery.sqlite.store import SqliteGallery

    return SqliteGallery.memory()
