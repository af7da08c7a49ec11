"""Connections to the server: made with care for gates, kept for the next question, never shared."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from facecli.errors import GalleryError
from facecli.stores.address import PostgresAddress
from facecli.stores.gallery.postgres.errors import translated

Connection = psycopg.Connection[tuple[object, ...]]

PATIENCE_SECONDS = 10
"""How long to wait for an answer to a first connection, and for another program's change."""

CAREFUL = {
    "connect_timeout": PATIENCE_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "fallback_application_name": "facecli",
}
"""Defaults of a connection: a gate notices within half a minute that the server's host is gone."""

MOST_IDLE = 4
"""Connections kept open between questions. A gate and a service ask from few threads at once."""


def connect(address: PostgresAddress, where: str, *, seconds: int | None = None) -> Connection:
    """Return a new connection, on which each statement is a transaction unless one is begun.

    `seconds` is how long to wait for the server. Raises GalleryError for an address that the
    driver does not understand, and GalleryUnavailable if no connection comes about.
    """
    try:
        given = conninfo_to_dict(address.url)
    except psycopg.ProgrammingError:
        # Its message quotes parts of the URL: one of them may be the password.
        raise GalleryError(f"{where}: PostgreSQL does not understand this URL") from None
    careful: dict[str, Any] = {name: value for name, value in CAREFUL.items() if name not in given}
    if seconds is not None:
        careful["connect_timeout"] = seconds
    with translated(where):
        # No prepared statements: a pooler such as PgBouncer may change servers between questions.
        return psycopg.connect(
            address.url,
            autocommit=True,
            prepare_threshold=None,
            client_encoding="UTF8",
            **careful,
        )


class IdleConnections:
    """Connections that wait for the next question; any thread may take and give."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._process = os.getpid()

    def take(self) -> Connection | None:
        """Return a connection that waits, or None."""
        with self._lock:
            self._after_a_fork()
            return self._idle.pop() if self._idle else None

    def give(self, connection: Connection) -> None:
        """Keep a connection, or close it if it is of no use or enough wait already."""
        with self._lock:
            self._after_a_fork()
            usable = connection.info.transaction_status == TransactionStatus.IDLE
            if usable and not connection.closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        close(connection)

    def close(self) -> None:
        """Close all that wait."""
        while (connection := self.take()) is not None:
            close(connection)

    def _after_a_fork(self) -> None:
        """Leave the connections of the parent process alone: the two would talk at once."""
        if self._process != os.getpid():
            self._process = os.getpid()
            for connection in self._idle:
                _disown(connection)
            self._idle = []


def close(connection: Connection) -> None:
    """Close a connection; one that is broken has nothing left to fail."""
    with suppress(psycopg.Error):
        connection.close()


def _disown(connection: Connection) -> None:
    """Drop a connection of the parent process without a word to the server.

    Closing it would end it for the parent too, so this process's end is turned away first.
    """
    with suppress(psycopg.Error, OSError):
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, connection.fileno())
        os.close(null)
    close(connection)
