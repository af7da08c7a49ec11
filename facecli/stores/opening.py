"""Where a gallery is and which engine opens it: the only module that knows the engines by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.errors import GalleryError, MissingExtra, check_extra
from facecli.stores.address import PostgresAddress, located

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from facecli.stores.address import Location
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


def gallery_at(location: str | Location) -> GalleryPlace:
    """Return the place that a location means: a SQLite file, or a database by its URL.

    Raises GalleryError for a URL of anything but PostgreSQL, and if its driver is not installed.
    """
    where = location if isinstance(location, PostgresAddress) else located(location)
    if isinstance(where, Path):
        return GalleryFile(where)
    _check_driver(where)
    from facecli.stores.gallery.postgres.place import PostgresPlace

    return PostgresPlace(where)


def _check_driver(address: PostgresAddress) -> None:
    """Raise GalleryError, which says what to install, if there is no driver for PostgreSQL."""
    where = f"gallery {str(address)!r}"
    try:
        check_extra("psycopg", "postgres", where)
        import psycopg  # noqa: F401 - it is there, but may lack PostgreSQL's library
    except MissingExtra as error:
        raise GalleryError(str(error)) from None
    except ImportError as error:
        raise GalleryError(
            f"{where}: psycopg lacks libpq: pip install 'facecli[postgres]'"
        ) from error


def names_beginning(location: Location, beginning: str, most: int) -> list[str]:
    """Return the names that begin with a text in any spelling, `most` at most, without a change.

    A quick look for a shell that completes a name; it fails in any way.
    """
    if isinstance(location, PostgresAddress):
        from facecli.stores.gallery.postgres import glance as postgres

        return postgres.names_beginning(location, beginning, most)
    from facecli.stores.gallery.sqlite import glance as sqlite

    return sqlite.names_beginning(location, beginning, most)


def imagined_gallery() -> AbstractContextManager[GalleryStore]:
    """Return an empty gallery in memory, which is gone when it is closed."""
    from facecli.stores.gallery.sqlite.store import SqliteGallery

    return SqliteGallery.memory()
