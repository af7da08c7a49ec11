"""Where a gallery in PostgreSQL is, and a few connections that wait for the next question."""

from __future__ import annotations

import weakref

from facecli.errors import GalleryError
from facecli.stores.address import PostgresAddress
from facecli.stores.gallery.postgres import migrations
from facecli.stores.gallery.postgres.connecting import (
    Connection,
    IdleConnections,
    close,
    connect,
)
from facecli.stores.gallery.postgres.store import PostgresGallery


class PostgresPlace:
    """A gallery in PostgreSQL; any thread may ask, and each question has its own connection.

    A gate opens the gallery for every look. Opening on a new connection took 2.6 to 5 ms beside the
    server, and takes several trips over a network with TLS. On one that waited it took 0.1 ms: one
    trip, which also tells if it is still good. So up to four wait here, until the place is gone.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._where = f"gallery {str(address)!r}"
        self._idle = IdleConnections()
        weakref.finalize(self, self._idle.close)

    def __reduce__(self) -> tuple[type[PostgresPlace], tuple[PostgresAddress]]:
        return PostgresPlace, (self._address,)

    @property
    def location(self) -> str:
        """The URL without the password."""
        return str(self._address)

    def exists(self) -> bool:
        """Return whether a gallery has been made in the database.

        Raises GalleryError if the server cannot be asked.
        """
        connection, done = self._connection()
        self._idle.give(connection)
        return bool(done)

    def open(self, *, create: bool = False) -> PostgresGallery:
        """Open the gallery."""
        connection, done = self._connection()
        try:
            migrations.make_ready(connection, self._where, done, create=create)
        except BaseException:
            self._idle.give(connection)
            raise
        return PostgresGallery(self._address, connection, self._where, self._give_back)

    def _give_back(self, connection: Connection) -> None:
        """Keep a connection for the next question; the gallery that has it keeps this place too."""
        self._idle.give(connection)

    def _connection(self) -> tuple[Connection, list[str]]:
        """Return a connection that works, and the steps that its database has been through.

        It is one that waits, or a new one. If the first that waited does not answer, such as after
        a restart of the server, none does.
        """
        waiting = self._idle.take()
        if waiting is not None:
            try:
                return waiting, migrations.applied(waiting, self._where)
            except GalleryError:
                close(waiting)
                self._idle.close()
        made = connect(self._address, self._where)
        try:
            return made, migrations.applied(made, self._where)
        except GalleryError:
            close(made)
            raise
